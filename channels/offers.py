"""What a channel is offered of a variant: what it is to be told, over all its listings and places."""

from collections.abc import Iterable
from typing import Any

from channels.exposure import targets
from channels.models import ListingLevel


def offered_units(channel_id: int, variant_ids: Iterable[int]) -> dict[int, int]:
    """Returns units by variant id; a variant that the channel does not list is left out."""
    rows = ListingLevel.objects.filter(
        channel=channel_id,
        listing__variant_id__in=list(variant_ids),
        listing__is_active=True,
        channel_location__is_active=True,
    )
    variant_of: dict[int, Any] = dict(rows.values_list("pk", "listing__variant_id"))
    offered: dict[int, int] = {}
    for level_id, units in targets(list(variant_of)).items() if variant_of else ():
        offered[variant_of[level_id]] = offered.get(variant_of[level_id], 0) + units
    return offered
