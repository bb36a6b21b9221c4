"""Finds the listing levels whose numbers may change with the rules, and marks exactly those.

What counts is what the rules come to for a listing, before and after: a rule that a more specific one overrules
changes nothing. The numbers themselves are not compared: stock may move before the change is committed, and a
number that is equal now would not be then.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from django.db import connection

from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from channels.rules.book import ChannelFacts, RuleBook, channels_of, load_book, load_book_of
from channels.rules.resolved import ResolvedRules

_SHELVES: Final = """
SELECT level.id, level.listing_id, level.channel_id, listing.variant_id
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id AND listing.variant_id IS NOT NULL
JOIN channels_channel channel ON channel.id = level.channel_id AND channel.merchant_id = %s
WHERE %s::bigint[] IS NULL OR listing.variant_id = ANY(%s::bigint[])
"""


_KITS: Final = """
SELECT DISTINCT bundle_variant_id FROM inventory_bundlepart WHERE is_drawn_on AND variant_id = ANY(%s::bigint[])
"""


class Shelf(NamedTuple):
    """A listing level with what rules tell it by."""

    id: int
    listing_id: int
    channel_id: int
    variant_id: int


class Picture(NamedTuple):
    """What the rules come to for some shelves."""

    shelves: Sequence[Shelf]
    rules: Sequence[ResolvedRules]

    def changed_from(self, before: "Picture") -> list[Shelf]:
        """Returns the shelves for which the rules come to something else than before."""
        known = {shelf.id: rules for shelf, rules in zip(before.shelves, before.rules, strict=True)}
        return [
            shelf
            for shelf, rules in zip(self.shelves, self.rules, strict=True)
            if known.get(shelf.id) is not rules and known.get(shelf.id) != rules
        ]

    def where(self, is_meant: Callable[[Shelf, ResolvedRules], bool]) -> list[Shelf]:
        """Returns the shelves that are meant, by themselves and their rules."""
        both = zip(self.shelves, self.rules, strict=True)
        return [shelf for shelf, rules in both if is_meant(shelf, rules)]


def shelves_of(merchant_id: int, variant_ids: Collection[int] | None = None) -> list[Shelf]:
    """Reads the mapped listing levels of a merchant, or those of some variants."""
    chosen = None if variant_ids is None else list(variant_ids)
    with connection.cursor() as cursor:
        cursor.execute(_SHELVES, [merchant_id, chosen, chosen])
        return [Shelf(*row) for row in cursor.fetchall()]


def kits_of(variant_ids: Collection[int]) -> set[int]:
    """Returns the kits that draw on these variants: what is ring-fenced of a part is not offered as a kit."""
    if not variant_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_KITS, [list(variant_ids)])
        return {variant_id for (variant_id,) in cursor.fetchall()}


def picture(
    merchant_id: int,
    shelves: Sequence[Shelf],
    *,
    version_ids: Collection[int] | None = None,
    channels: dict[int, ChannelFacts] | None = None,
) -> Picture:
    """Resolves the rules in force, or those of other versions, for shelves."""
    variant_ids = {shelf.variant_id for shelf in shelves}
    book: RuleBook = (
        load_book([merchant_id], variant_ids)
        if version_ids is None
        else load_book_of(version_ids, variant_ids)
    )
    facts = channels or channels_of(merchant_id)
    return Picture(shelves, [book.rules_for(facts[shelf.channel_id], shelf.variant_id) for shelf in shelves])


def mark(shelves: Iterable[Shelf]) -> int:
    """Marks shelves in the least urgent lane: a change of rules must not delay what stock runs out of."""
    ids = sorted({shelf.id for shelf in shelves})
    mark_listing_levels(ids, lane=Lane.INCREASE)
    return len(ids)
