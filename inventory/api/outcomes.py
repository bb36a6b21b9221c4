"""What an operation did, in the caller's words."""

from typing import Any

from inventory.ledger import Outcome
from inventory.models import Location, Variant
from inventory.naming import Names


def shown_outcome(outcome: Outcome, names: Names | None = None) -> dict[str, Any]:
    """Returns an outcome with SKUs and codes; at most two statements, none for what the caller named."""
    skus = {} if names is None else {identity: sku for sku, identity in names.variants.items()}
    codes = {} if names is None else {identity: code for code, identity in names.places.items()}
    variants = {held.variant_id for held in outcome.held} | {short.variant_id for short in outcome.short}
    if unnamed := variants - skus.keys():
        skus |= dict(Variant.objects.filter(pk__in=unnamed).values_list("pk", "sku"))
    places = {held.location_id for held in outcome.held}
    if unnamed := places - codes.keys():
        codes |= dict(Location.objects.filter(pk__in=unnamed).values_list("pk", "code"))
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
