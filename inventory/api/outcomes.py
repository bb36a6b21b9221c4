"""What an operation did, in the caller's words."""

from typing import Any

from inventory.ledger import Outcome
from inventory.models import Location, Variant


def shown_outcome(outcome: Outcome) -> dict[str, Any]:
    """Returns an outcome with SKUs and codes; at most two statements."""
    variants = {held.variant_id for held in outcome.held} | {short.variant_id for short in outcome.short}
    skus = dict(Variant.objects.filter(pk__in=variants).values_list("pk", "sku")) if variants else {}
    places = {held.location_id for held in outcome.held}
    codes = dict(Location.objects.filter(pk__in=places).values_list("pk", "code")) if places else {}
    return {
        "operation_id": outcome.operation_id,
        "held": [
            {
                "reservation_id": held.reservation_id,
                "reference": held.reference,
                "sku": skus[held.variant_id],
                "location": codes[held.location_id],
                "quantity": held.quantity,
            }
            for held in outcome.held
        ],
        "short": [
            {"reference": short.reference, "sku": skus[short.variant_id], "quantity": short.quantity}
            for short in outcome.short
        ],
    }
