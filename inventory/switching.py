"""A location that is switched on or off: its stock stays, and is offered from then on, or no more."""

from inventory.announcements import LevelChange, announce
from inventory.models import Location


def announce_switched(location: Location) -> None:
    """Tells that all stock of a location counts from now on, or no more; in the transaction that switches it."""
    levels = location.levels.order_by("id").values_list("variant_id", "on_hand", "reserved", "unavailable")
    changes = []
    for variant_id, on_hand, reserved, unavailable in levels:
        # An empty level is told too: it may have goods on order, or be filled by an operation that has not committed.
        units = max(on_hand - reserved - unavailable, 1)
        change = (units, units) if location.is_active else (-units, 0)
        changes.append(LevelChange(variant_id, location.pk, *change))
    announce(location.merchant_id, changes)
