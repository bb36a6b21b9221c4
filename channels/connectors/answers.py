"""Reads what platforms answer to our own calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from channels.errors import BadMessage, TransientError


@contextmanager
def readable(platform: str) -> Iterator[None]:
    """Turns an answer that cannot be read into a failure of the call, with the reason."""
    try:
        yield
    except BadMessage as error:
        raise TransientError(f"{platform} answered something that cannot be read: {error}") from error
