"""Safety stock: units of a level that no channel is offered. Planning, not a ledger quantity."""

from collections.abc import Mapping

from django.db import transaction
from django.db.models import Case, Value, When

from inventory import announcements
from inventory.announcements import LevelChange
from inventory.documents import check_places_of_goods
from inventory.ledger import domain_errors
from inventory.locking import create_missing_levels, lock_levels
from inventory.models import StockLevel
from inventory.validation import check_quantities

#: Units by (variant, location).
SafetyStock = Mapping[tuple[int, int], int]


def set_safety_stock(merchant_id: int, wanted: SafetyStock) -> int:
    """Sets what these levels keep back, and announces what that takes from or gives to the channels.

    Returns how many levels had another figure before. Raises `StockBusy`, `UnknownStock`, `InvalidStockRequest`.
    """
    check_quantities("safety_stock", list(wanted.values()), smallest=0)
    variants, places = {v for v, _ in wanted}, {place for _, place in wanted}
    check_places_of_goods(merchant_id, variants, location=places)
    with domain_errors(), transaction.atomic():
        create_missing_levels(merchant_id, wanted)
        locked = lock_levels(merchant_id, variants, places)
        levels = StockLevel.objects.filter(pk__in=[level.id for level in locked])
        before = dict(levels.values_list("pk", "safety_stock"))
        new: dict[int, int] = {}
        changes: list[LevelChange] = []
        for level in locked:
            old = before[level.id]
            units = wanted.get((level.variant_id, level.location_id), old)
            if units != old:
                new[level.id] = units
                changes.append(LevelChange(level.variant_id, level.location_id, old - units, level.available))
        if new:
            cases = [When(pk=level_id, then=Value(units)) for level_id, units in new.items()]
            StockLevel.objects.filter(pk__in=new).update(safety_stock=Case(*cases))
            announcements.announce(merchant_id, changes)
    return len(changes)
