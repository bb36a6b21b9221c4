"""Channels without a connector: systems of the merchant's own, which send their orders through the API.

Nothing is polled and nothing pushed: such a system reads what is available. Its orders are states like those of any
platform, and apply in any sequence.
"""

from collections.abc import Mapping
from typing import Final

from django.db import transaction
from django.utils import timezone

from channels.errors import BadMessage
from channels.events import OrderState
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

    Raises `BadMessage` for a channel that has a platform, a place that it does not have, and what cannot be;
    `StockBusy`.
    """
    if channel.kind != KIND:
        raise BadMessage(f"Orders of {channel} come from its platform; they cannot be sent here.")
    named = {line.location_external_id for line in state.lines if line.location_external_id}
    known = channel.locations.filter(external_id__in=named).values_list("external_id", flat=True)
    if missing := sorted(named - set(known)):
        raise BadMessage(f"The channel has no place {', '.join(missing)[:200]}.")
    record_state(channel, state, arrived_at=timezone.now())
    return ChannelOrder.objects.get(channel=channel, external_id=state.external_id)
