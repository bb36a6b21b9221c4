"""What a key may be allowed: to read or to write one kind of thing."""

from collections.abc import Collection, Iterable
from typing import Final

#: Kind of thing → what it comprises.
RESOURCES: Final[dict[str, str]] = {
    "catalogue": "products, variants, locations",
    "stock": "levels, availability, movements, receipts, counts, adjustments, transfers, returns, events",
    "reservations": "reservations",
    "bundles": "bundles",
    "purchasing": "suppliers and purchase orders",
    "channels": "channels and listings",
    "orders": "orders",
    "rules": "rule sets and rehearsals",
    "imports": "import jobs",
    "tickets": "tickets of a help desk",
    "keys": "keys",
}
VERBS: Final = ("read", "write")
#: Everything, and giving keys to others.
OWNER: Final = "owner"

SCOPES: Final[tuple[str, ...]] = (
    OWNER,
    *(f"{resource}:{verb}" for resource in RESOURCES for verb in VERBS if resource != "keys"),
)


def unknown(scopes: Iterable[str]) -> list[str]:
    """Returns those that there are not."""
    return sorted(set(scopes) - set(SCOPES))


def allows(scopes: Collection[str], resource: str, verb: str) -> bool:
    """Tells whether these scopes allow to read or write a kind of thing; writing does not imply reading."""
    return OWNER in scopes or f"{resource}:{verb}" in scopes
