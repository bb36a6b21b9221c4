"""What is on its way between two places, on the pages of variants and stock levels."""

from config.admin_panels import Panel, page_of
from inventory.admin.document_pages import ROWS
from inventory.models import Location, Transfer, Variant
from inventory.transit import inbound_transfers


def on_the_way_panel(variant: Variant, location_id: int | None = None) -> Panel:
    """Shows what is on its way of a variant, to one place or to all."""
    every = inbound_transfers(variant.merchant_id, [variant.pk])
    inbound = [each for each in every if location_id in {None, each.location_id}][:ROWS]
    places = dict(Location.objects.filter(pk__in={i.location_id for i in inbound}).values_list("pk", "code"))
    rows = [
        (
            page_of(Transfer(pk=each.transfer_id), f"TR-{each.transfer_id}"),
            places.get(each.location_id, ""),
            each.units,
            each.expected_on.isoformat() if each.expected_on else "",
        )
        for each in inbound
    ]
    headers = ("Transfer", "To", "Units", "Expected on")
    return Panel("On the way", headers, rows, empty="Nothing is on its way between two places.")
