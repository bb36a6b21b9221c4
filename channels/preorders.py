"""Pre-orders: goods still to come, offered and sold where a rule allows it, and never beyond confirmed inbound."""

import time
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from channels.models import Channel
from channels.rules.book import channels_by_id, load_book
from inventory.demands import DemandChange
from inventory.inbound_offers import Places, offered_inbound
from inventory.inbound_rows import PromiseTerms

#: Goods that are confirmed for a later day than this are not offered yet.
HORIZON: Final = timedelta(days=90)
#: How long a process may go by which merchants allow pre-orders.
_MEMORY_SECONDS: Final = 2.0

_ALLOWING: Final = """
SELECT DISTINCT rule_set.merchant_id
FROM channels_rule rule
JOIN channels_rulesetversion version ON version.id = rule.version_id AND version.state = 'active'
JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
WHERE rule.preorder_limit > 0
"""

_remembered: list[tuple[float, frozenset[int]]] = []


def forget_preorders() -> None:
    """Has this process ask anew which merchants allow pre-orders."""
    _remembered.clear()


def allows_preorders(merchant_id: int) -> bool:
    """Tells whether any rule in force of the merchant allows pre-orders; asked with every sale, so remembered a moment."""
    now = time.monotonic()
    if not _remembered or now - _remembered[0][0] > _MEMORY_SECONDS:
        _remembered[:] = [(now, merchants_with_preorders())]
    return merchant_id in _remembered[0][1]


def merchants_with_preorders() -> frozenset[int]:
    """Returns the merchants of which a rule in force allows pre-orders."""
    with connection.cursor() as cursor:
        cursor.execute(_ALLOWING)
        return frozenset(identity for (identity,) in cursor.fetchall())


def last_day() -> date:
    """Returns the last day whose arrivals are offered."""
    return timezone.localdate() + HORIZON


def free_inbound(
    merchant_id: int, variant_ids: Collection[int], places: Collection[Places]
) -> dict[tuple[int, Places], int]:
    """Returns confirmed inbound that may be promised to orders of these sets of places, by variant and set."""
    return offered_inbound(merchant_id, variant_ids, last_day(), places) if variant_ids and places else {}


def terms_of(channel: Channel, demands: Iterable[DemandChange]) -> dict[str, PromiseTerms]:
    """Returns the terms on which units of these demands may be promised that are not there, by reference."""
    wanted = [demand for demand in demands if demand.wanted]
    if not wanted or not allows_preorders(channel.merchant_id):
        return {}
    # Parts matter to pools alone.
    book = load_book({channel.merchant_id}, {demand.variant_id for demand in wanted}, parts={})
    facts = channels_by_id({channel.pk})[channel.pk]
    terms = {}
    for demand in wanted:
        rules = book.rules_for(facts, demand.variant_id)
        if rules.preorder_limit > 0:
            terms[demand.reference] = PromiseTerms(last_day(), rules.origin("preorder_limit") or "rules")
    return terms
