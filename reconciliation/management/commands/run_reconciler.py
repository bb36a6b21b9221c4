"""The resident process that compares channels with the ledger."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.reconciler import Reconciler


class Command(BaseCommand):
    """Compares by schedule, on demand, and as shops announce their numbers, until it is ended; `serve` runs it."""

    help = (
        "Compare channels with the ledger, by schedule and as their shops announce numbers, and give changes of the stock "
        "their places in the feed, until SIGTERM or Ctrl-C. "
        "`serve` runs this for you."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        reconciler = Reconciler()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: reconciler.stop())
        reconciler.run()
