"""Starts the program as `manage.py` does, after something in it has been switched off or mined from outside.

The production code knows nothing of this: what is patched is named in `sabotage.py` and `fuses.py`, and every process
that `serve` starts is started through this module in turn.
"""

import dataclasses
import os
from collections.abc import Sequence
from importlib import import_module

import django

import manage
from config import residents, serving, startup, supervisor
from config.management.commands import serve
from config.supervisor import Child
from tests.torture.patching import replace

_APPLICATION = "config.wsgi:application"
#: Seconds.
_START_LIMIT = 300.0


def through_here(child: Child) -> Child:
    """Returns the child, started through this module, or for the web server with its application from beside it."""
    words: list[str] = []
    for word in child.command:
        if word.endswith("manage.py"):
            words += ["-m", "tests.torture.entry"]
        else:
            words.append("tests.torture.wsgi:application" if word == _APPLICATION else word)
    return dataclasses.replace(child, command=words)


def _residents(*, host: str, port: int, workers: int) -> Sequence[Child]:
    return [through_here(child) for child in residents.residents(host=host, port=port, workers=workers)]


def main() -> None:
    """Prepares the process, lays the mines, and goes on as `manage.py`."""
    startup.prepare()
    django.setup()
    # What it patches can be imported only now.
    import_module("tests.torture.inside").prepare()
    replace(serve, "residents", _residents)
    # The world is migrated; to find that out again takes longer than the program takes to come up.
    replace(serving, "prepare_database", lambda: None)
    # On a machine with far too much to do a web server may take minutes to come up; to begin it anew would not help.
    replace(supervisor, "START_LIMIT", _START_LIMIT)
    if os.environ.get("ONECOUNT_TORTURE_SABOTAGE"):
        # Nothing is killed there, and what a web server that is away keeps from happening is not missed.
        replace(supervisor, "SILENCE_LIMIT", _START_LIMIT)
    manage.main()


if __name__ == "__main__":
    main()
