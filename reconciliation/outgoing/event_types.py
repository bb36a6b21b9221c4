"""What there is to be told of, and how subscriptions name it."""

from collections.abc import Collection, Iterable
from typing import Final

#: Type of an event → when it is told.
EVENTS: Final[dict[str, str]] = {
    "stock.changed": "Stock of a variant at a location changed; changes within a second are one event.",
    "stock.low": "What is available there fell to the level's safety stock or below it.",
    "stock.out": "Nothing is available there any more.",
    "reservation.created": "Units are held for a demand.",
    "reservation.confirmed": "A hold with an end became one without.",
    "reservation.extended": "A hold was given another end.",
    "reservation.fulfilled": "Held units left.",
    "reservation.released": "Held units were given back.",
    "reservation.expired": "Held units were given back because the hold's time was over.",
    "order.created": "An order came in.",
    "order.updated": "Something of it changed that is none of the following.",
    "order.fulfilled": "By the platform's word nothing is left to ship.",
    "order.cancelled": "All of it is cancelled, or the platform has it no more.",
    "conflict.opened": "More was sold or sent than there is.",
    "conflict.resolved": "What was owed is there, or not owed any more.",
    "discrepancy.opened": "A shelf or level differs from what it should be.",
    "discrepancy.held": "So many differ that a person has to allow the correction.",
    "discrepancy.correcting": "The right number is on its way.",
    "discrepancy.corrected": "The right number stands there.",
    "discrepancy.gone": "The difference is gone by itself.",
    "discrepancy.dismissed": "A person decided to leave it.",
    "channel.unhealthy": "Something is wrong with a channel, or has become worse.",
    "channel.recovered": "It is over.",
}
#: Sent by hand, to see whether messages arrive; every subscription is told.
TEST: Final = "webhook.test"
ALL: Final = "*"

FAMILIES: Final = tuple(dict.fromkeys(f"{name.partition('.')[0]}.*" for name in EVENTS))
#: What a subscription may name.
PATTERNS: Final = (ALL, *FAMILIES, *EVENTS)
#: Types that come from the feed of changes.
OF_THE_FEED: Final = frozenset(name for name in EVENTS if name.startswith(("stock.", "reservation.")))


def patterns_of(event_type: str) -> tuple[str, ...]:
    """Returns the patterns that stand for a type: any of them subscribes to it."""
    return ALL, f"{event_type.partition('.')[0]}.*", event_type


def expand(patterns: Collection[str]) -> frozenset[str]:
    """Returns the types that these patterns stand for."""
    wanted = set(patterns)
    return frozenset(name for name in EVENTS if not wanted.isdisjoint(patterns_of(name)))


def unknown(patterns: Iterable[str]) -> list[str]:
    """Returns those that stand for nothing."""
    return sorted(set(patterns) - set(PATTERNS))
