"""One process of a benchmark: does the jobs that come in on standard input, one JSON object a line."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import django

from config import startup


def main() -> None:
    """Prints a line when ready, then does each job and prints what came of it."""
    startup.prepare()
    startup.hold_database()
    django.setup()
    module, _, name = sys.argv[1].partition(":")
    work: Callable[[dict[str, Any]], dict[str, Any]] = getattr(import_module(module), name)
    _answer({"ready": True})
    for line in sys.stdin:
        _answer(work(json.loads(line)))


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
