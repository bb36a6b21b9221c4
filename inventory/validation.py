"""What every operation refuses before it touches the database."""

from collections.abc import Iterable, Sequence
from typing import Final

from inventory.errors import InvalidStockRequest

#: Largest quantity of one line: far above any warehouse, far below what sums to more than 64 bits.
LARGEST_QUANTITY: Final = 10**15

#: Characters that a key or reference may have.
LONGEST_TEXT: Final = 200


def check_quantities(field: str, quantities: Sequence[int], *, smallest: int) -> None:
    """Refuses what is no quantity. Raises `InvalidStockRequest` with the field."""
    if not quantities:
        raise InvalidStockRequest("lines", "at least one line is needed.")
    if any(isinstance(q, bool) or not isinstance(q, int) for q in quantities):
        raise InvalidStockRequest(field, "whole numbers of the variant's base unit only.")
    if not all(smallest <= q <= LARGEST_QUANTITY for q in quantities):
        raise InvalidStockRequest(field, f"must lie between {smallest} and {LARGEST_QUANTITY}.")


def check_references(references: Iterable[str]) -> None:
    """Refuses a demand that nobody could find again. Raises `InvalidStockRequest`."""
    for reference in references:
        if not reference:
            raise InvalidStockRequest("reference", "a demand needs a reference.")
        check_text("reference", reference)


def check_places(places: Iterable[Sequence[int]]) -> None:
    """Refuses a demand that could be served from nowhere. Raises `InvalidStockRequest`."""
    if not all(places):
        raise InvalidStockRequest("location_ids", "a demand needs at least one location.")


def check_text(field: str, text: str, *, longest: int = LONGEST_TEXT) -> None:
    """Refuses text that PostgreSQL cannot store: too long, with a NUL, or half a character."""
    if len(text) > longest:
        raise InvalidStockRequest(field, f"at most {longest} characters.")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise InvalidStockRequest(field, "must not hold NUL or lone surrogates.")
