"""Guesses which variant a listing is whose SKU nobody knows: by GTIN, by a SKU written otherwise, by title.

A listing of exactly a variant's SKU is mapped without asking (`channels.mapping`). What is found here is only shown, with how
sure it is, until a person accepts it.
"""

import math
import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from simple_history.utils import bulk_update_with_history

from channels import fuse
from channels.mapping import follow_mapping
from channels.models import Listing, ListingMatch
from channels.models.matches import MatchBasis
from channels.models.mutations import MutationKind
from config.jobs import wake
from inventory.models import Variant

#: Percent that a match by GTIN or by a SKU written otherwise is worth, and the most that a title can be.
SURE_BY_GTIN: Final = 98
SURE_BY_SKU: Final = 90
MOST_BY_TITLE: Final = 85
#: Titles less alike than this, or hardly more than another variant's, say nothing.
LEAST_BY_TITLE: Final = 50
_AHEAD: Final = 8
#: Words that more variants share than this find nobody by themselves.
_COMMON: Final = 2_000
#: The rarest words of a title that candidates are looked up by.
_LOOKED_UP: Final = 4
#: Matches written by one statement.
_BATCH: Final = 1_000

_SIGNS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Match:
    """A variant that a listing may be."""

    variant_id: int
    basis: MatchBasis
    #: Percent.
    confidence: int


@dataclass(slots=True)
class Catalogue:
    """What a merchant's variants are called, for looking up by it; some 250 bytes a variant."""

    _by_gtin: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _by_sku: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _having: dict[str, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    _words: dict[int, frozenset[str]] = field(default_factory=dict)

    def add(self, variant_id: int, sku: str, gtin: str, title: str) -> None:
        """Takes in a variant; its title is that of the product and its own."""
        if plain_gtin(gtin):
            self._by_gtin[plain_gtin(gtin)].add(variant_id)
        if plain_sku(sku):
            self._by_sku[plain_sku(sku)].add(variant_id)
        self._words[variant_id] = words_of(title)
        for word in self._words[variant_id]:
            self._having[word].append(variant_id)

    def match(self, sku: str, gtin: str, title: str) -> Match | None:
        """Returns the likeliest variant; None where nothing, or more than one, is likely."""
        if variant_id := _only(self._by_gtin.get(plain_gtin(gtin))):
            return Match(variant_id, MatchBasis.GTIN, SURE_BY_GTIN)
        if variant_id := _only(self._by_sku.get(plain_sku(sku))):
            return Match(variant_id, MatchBasis.SKU, SURE_BY_SKU)
        return self._match_title(words_of(title))

    def _match_title(self, words: frozenset[str]) -> Match | None:
        scores = Counter(
            {variant_id: self._likeness(words, variant_id) for variant_id in self._candidates(words)}
        )
        best = scores.most_common(2)
        if not best or best[0][1] < LEAST_BY_TITLE:
            return None
        if len(best) > 1 and best[0][1] - best[1][1] < _AHEAD:
            return None
        return Match(best[0][0], MatchBasis.TITLE, best[0][1])

    def _candidates(self, words: frozenset[str]) -> set[int]:
        known = [word for word in words if 0 < len(self._having.get(word, ())) <= _COMMON]
        rarest = sorted(known, key=lambda word: (len(self._having[word]), word))[:_LOOKED_UP]
        return {variant_id for word in rarest for variant_id in self._having[word]}

    def _likeness(self, words: frozenset[str], variant_id: int) -> int:
        """Percent of the weight of all words of both titles that they share; rare words weigh more."""
        other = self._words[variant_id]
        shared, all_of_them = self._weight(words & other), self._weight(words | other)
        return round(MOST_BY_TITLE * shared / all_of_them) if all_of_them else 0

    def _weight(self, words: Iterable[str]) -> float:
        return sum(math.log(1 + len(self._words) / (1 + len(self._having.get(word, ())))) for word in words)


def words_of(title: str) -> frozenset[str]:
    """Returns the words of a title without case and accents."""
    plain = unicodedata.normalize("NFKD", title.casefold())
    return frozenset(_SIGNS.sub(" ", "".join(c for c in plain if not unicodedata.combining(c))).split())


def plain_sku(sku: str) -> str:
    """Returns a SKU without case and signs; empty where too little is left to tell anything."""
    plain = _SIGNS.sub("", sku.casefold())
    return plain if len(plain) >= 4 else ""


def plain_gtin(gtin: str) -> str:
    """Returns a GTIN in 14 digits; empty where it is none (8, 12, 13 or 14 digits, the last a check digit)."""
    digits = gtin.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) in {8, 12, 13, 14}):
        return ""
    padded = digits.zfill(14)
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(padded))
    return padded if total % 10 == 0 and int(padded) else ""


def _only(found: Collection[int] | None) -> int | None:
    return next(iter(found)) if found and len(found) == 1 else None


def find_matches(merchant_id: int) -> int:
    """Looks for the variants that the merchant's unmapped listings may be; returns how many have one now."""
    unmapped = Listing.objects.filter(
        channel__merchant_id=merchant_id, variant__isnull=True, is_active=True, is_switched_off=False
    )
    found = _found(merchant_id, unmapped.values_list("id", "sku", "gtin", "title").order_by("id"))
    began, count = timezone.now(), 0
    while batch := [
        ListingMatch(
            listing_id=listing_id,
            variant_id=match.variant_id,
            basis=match.basis,
            confidence=match.confidence,
            found_at=began,
        )
        for listing_id, match in islice(found, _BATCH)
    ]:
        ListingMatch.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["listing"],
            update_fields=["variant", "basis", "confidence", "found_at"],
        )
        count += len(batch)
    ListingMatch.objects.filter(listing__channel__merchant_id=merchant_id, found_at__lt=began).delete()
    return count


def _found(merchant_id: int, listings: Any) -> Iterator[tuple[int, Match]]:
    if not listings.exists():
        return
    catalogue = Catalogue()
    variants = Variant.objects.filter(merchant_id=merchant_id).values_list(
        "id", "sku", "gtin", "product__title", "title"
    )
    for identity, sku, gtin, product, title in variants.iterator(chunk_size=5_000):
        catalogue.add(identity, sku, gtin, f"{product} {title}")
    for identity, sku, gtin, title in listings.iterator(chunk_size=5_000):
        match = catalogue.match(sku, gtin, title)
        if match is not None:
            yield identity, match


@transaction.atomic
def accept(merchant_id: int, listing_ids: Collection[int], *, actor: str, user: Any = None) -> int:
    """Maps these listings to what they match; returns how many, without those that are mapped or unmatched by now."""
    fuse.lock(merchant_id)
    chosen = Listing.objects.filter(
        pk__in=listing_ids, channel__merchant_id=merchant_id, variant__isnull=True, match__isnull=False
    )
    listings = list(
        chosen.annotate(matched_id=F("match__variant")).select_for_update(of=("self",)).order_by("id")
    )
    if not listings:
        return 0
    ids = [listing.pk for listing in listings]
    text = f"{len(ids)} listings are mapped to what they match"
    fuse.note(fuse.Change(merchant_id, MutationKind.MAPPING, ids, text, actor=actor))
    for listing in listings:
        listing.variant_id = listing.matched_id
    bulk_update_with_history(listings, Listing, ["variant"], batch_size=500, default_user=user)
    follow_mapping(merchant_id, {listing.pk: listing.matched_id for listing in listings})
    ListingMatch.objects.filter(listing__in=ids).delete()
    transaction.on_commit(lambda: wake("channels.tasks.apply_mapped", merchant_id))
    return len(ids)
