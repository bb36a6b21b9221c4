"""Channels without a connector: systems of the merchant's own, which send their orders through the API.

Nothing is polled and nothing pushed: such a system reads what is available. Its orders are states like those of any
platform, and apply in any sequence.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from django.db import transaction
from django.utils import timezone

from channels.errors import OrderRefused
from channels.events import OrderLineState, OrderState
from channels.models import Channel, ChannelLocation, ChannelLocationSource, ChannelOrder
from channels.orders import record_state

#: The kind of such a channel; no connector has it.
KIND: Final = "api"
LABEL: Final = "A system of your own, through the API"
#: The setting that says that it only plays.
SIMULATED: Final = "is_simulated"


@transaction.atomic
def connect(
    merchant_id: int, name: str, locations: Mapping[str, int], *, is_simulated: bool = False
) -> Channel:
    """Adds such a channel; its orders are served from these locations (code → id), the first ones first.

    Each location is a place of the channel, named by its code, so that an order line may say where it is taken from.
    """
    channel = Channel.objects.create(
        merchant_id=merchant_id, name=name, kind=KIND, settings={SIMULATED: True} if is_simulated else {}
    )
    for priority, (code, location_id) in enumerate(locations.items()):
        place = ChannelLocation.objects.create(channel=channel, external_id=code, name=code)
        ChannelLocationSource.objects.create(
            channel_location=place, location_id=location_id, priority=priority
        )
    return channel


def take_order(channel: Channel, state: OrderState) -> ChannelOrder:
    """Brings order and ledger to this snapshot, unless a larger one is known already; returns the order as it is then.

    Raises `OrderRefused` for a channel that has a platform, a place that it does not have, and a line named twice,
    `BadMessage` for what else cannot be, and `StockBusy`.
    """
    if channel.kind != KIND:
        raise OrderRefused(
            "channel_id", f"Orders of {channel} come from its platform; they cannot be sent here."
        )
    _check_lines(channel, state.lines)
    record_state(channel, state, arrived_at=timezone.now())
    return ChannelOrder.objects.get(channel=channel, external_id=state.external_id)


def _check_lines(channel: Channel, lines: Sequence[OrderLineState]) -> None:
    named = {line.location_external_id for line in lines if line.location_external_id}
    places = channel.locations.filter(external_id__in=named).values_list("external_id", flat=True)
    missing, seen = named - set(places), set[str]()
    for index, line in enumerate(lines):
        if line.location_external_id in missing:
            message = f"The channel has no place {line.location_external_id[:100]!r}."
            raise OrderRefused(f"lines[{index}].location", message)
        if line.external_id in seen:
            message = f"An earlier line has the id {line.external_id[:100]!r} already."
            raise OrderRefused(f"lines[{index}].external_id", message)
        seen.add(line.external_id)
