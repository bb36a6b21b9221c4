"""Runs OneCount: database, web, jobs and pusher, as one group of processes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config import serving
from config.residents import residents
from config.supervisor import Supervisor


class Command(BaseCommand):
    """Supervises the resident processes until Ctrl-C."""

    help = "Runs web server, jobs, pusher and (without DATABASE_URL) the embedded database, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the address and the number of web workers."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
        parser.add_argument(
            "--workers", type=int, default=2, help="web worker processes (default: %(default)s)"
        )

    def handle(self, *, host: str, port: int, workers: int, **options: Any) -> None:
        """Prepares the database, then looks after the processes."""
        self._address = f"http://{host}:{port}/admin/"
        self._is_announced = False
        serving.prepare_database()
        children = residents(host=host, port=port, workers=workers)
        serving.run(children, host=host, port=port, on_tick=self._announce_once)
        self.stdout.write("Stopped.")

    def _announce_once(self, supervisor: Supervisor) -> None:
        if not self._is_announced and supervisor.is_up("web"):
            self._is_announced = True
            self.stdout.write(f"OneCount is ready at {self._address} (Ctrl-C stops it)")
