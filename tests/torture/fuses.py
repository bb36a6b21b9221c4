"""Mines at the points where a death hurts most; each goes off once, in whichever process comes first.

A fuse is a file. Who can remove it has burned it, so that one file is one death among any number of processes.
"""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from django.db import OperationalError
from django.db.backends.postgresql.base import DatabaseWrapper

from channels import transport
from inventory import ledger
from tests.torture.patching import replace

#: Fuse → what burns it.
FUSES: Final = {
    "kill-before-commit": "SIGKILL with an operation of the ledger written and not committed",
    "kill-after-commit": "SIGKILL right after its commit, before anybody knows",
    "kill-before-send": "SIGKILL before a number is sent to a shop",
    "kill-after-send": "SIGKILL after the shop has answered, before that is written down",
    "cut-before-commit": "the connection is gone before COMMIT is sent",
    "cut-after-commit": "COMMIT was carried out and its answer is lost",
}

_wrote = threading.local()


class Fuses:
    """The lit fuses of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def light(self, name: str) -> None:
        """Lays a mine."""
        (self.directory / name).touch()

    def put_out(self) -> list[str]:
        """Removes what has not gone off, and returns its names."""
        left = [name for name in FUSES if self.burn(name)]
        return sorted(left)

    def burn(self, name: str) -> bool:
        """Removes a fuse; tells whether it was this process that did."""
        try:
            os.unlink(self.directory / name)
        except FileNotFoundError:
            return False
        return True

    def is_lit(self, name: str) -> bool:
        """Whether it has not gone off yet."""
        return (self.directory / name).exists()


def lay(directory: Path) -> None:
    """Mines this process."""
    fuses = Fuses(directory)
    replace(ledger, "_append", _noting(ledger._append))
    replace(DatabaseWrapper, "_commit", _mined_commit(fuses, DatabaseWrapper._commit))  # type: ignore[attr-defined]
    replace(transport, "_exchange", _mined_exchange(fuses, transport._exchange))


def _noting(append: Callable[..., None]) -> Callable[..., None]:
    """Remembers that this thread's transaction holds an operation of the ledger."""

    def noted(*args: Any) -> None:
        append(*args)
        _wrote.something = True

    return noted


def _mined_commit(fuses: Fuses, commit: Callable[[Any], None]) -> Callable[[Any], None]:
    def mined(wrapper: Any) -> None:
        if not getattr(_wrote, "something", False):
            commit(wrapper)
            return
        _wrote.something = False
        if fuses.burn("kill-before-commit"):
            _die()
        if fuses.burn("cut-before-commit"):
            wrapper.connection.close()
        commit(wrapper)
        if fuses.burn("kill-after-commit"):
            _die()
        if fuses.burn("cut-after-commit"):
            wrapper.connection.close()
            raise OperationalError("The connection was lost at COMMIT.")

    return mined


def _mined_exchange(fuses: Fuses, exchange: Callable[..., Any]) -> Callable[..., Any]:
    def mined(*args: Any, **options: Any) -> Any:
        if options.get("is_write") and fuses.burn("kill-before-send"):
            _die()
        answer = exchange(*args, **options)
        if options.get("is_write") and fuses.burn("kill-after-send"):
            _die()
        return answer

    return mined


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
