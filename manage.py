#!/usr/bin/env python
"""Runs a management command of OneCount."""

import signal
import sys
from types import FrameType

from django.core.management import execute_from_command_line

from config import startup

#: Commands that need none of the installation's database: they print, read files, or bring a server of their own.
_WITHOUT_DATABASE = frozenset({"check", "collectstatic", "help", "recover", "sandbox", "torture", "version"})


def _leave(number: int, _frame: FrameType | None) -> None:
    # As an exception, so that what was begun is undone and the database is released.
    raise SystemExit(128 + number)


def main() -> None:
    """Prepares the process, brings up the database where the command needs one, and runs it."""
    signal.signal(signal.SIGTERM, _leave)
    startup.prepare()
    arguments = sys.argv[1:]
    wants_help = not arguments or {"--help", "-h", "--version"} & set(arguments)
    if not wants_help and arguments[0] not in _WITHOUT_DATABASE:
        startup.hold_database()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
