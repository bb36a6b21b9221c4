"""The resident process that tells channels their numbers and polls their orders."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from channels.pusher import Pusher
from channels.schedules import ensure_schedules
from config.database import plan_once
from config.processes import stay_resident


class Command(BaseCommand):
    """Adds the schedules that are missing, then pushes and polls until it is ended; `serve` runs it."""

    help = "Tell channels their numbers and poll their orders, until SIGTERM or Ctrl-C. `serve` runs this for you."

    def handle(self, *args: Any, **options: Any) -> None:
        pusher = Pusher()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: pusher.stop())
        plan_once()
        ensure_schedules()
        stay_resident()
        pusher.run()
