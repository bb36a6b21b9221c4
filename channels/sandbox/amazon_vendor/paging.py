"""Pages of lists, by token."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from channels.sandbox.amazon_seller.rest import invalid

LARGEST_PAGE: Final = 100
_Row = TypeVar("_Row")


def page_of(rows: Sequence[_Row], query: Mapping[str, str]) -> tuple[Sequence[_Row], str]:
    """Returns a page, and the token to the next one; empty where there is none."""
    text = query.get("limit", str(LARGEST_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise invalid(f"limit must be between 1 and {LARGEST_PAGE}.")
    size, start = int(text), after(query.get("nextToken", ""))
    end = start + size
    return rows[start:end], token(end) if end < len(rows) else ""


def token(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def after(text: str) -> int:
    """Returns where a page begins; raises `Problem` for a token that is none."""
    try:
        return int(base64.urlsafe_b64decode(text)) if text else 0
    except ValueError:
        raise invalid("The token is not valid.") from None
