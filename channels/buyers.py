"""What wholesale buyers' systems may do here: ask what they can have, and order it.

They reach one channel, and of it what is offered to them: their pool and what is left of the rest, never what there is.
Orders are states like those of any platform; the same orders come by webhook and by poll.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from django.db import transaction
from django.utils import timezone

from channels.accounts import addressed_channel
from channels.arrival_texts import arrival_texts
from channels.connectors.wholesale.connector import SHORTEST_KEY, WholesaleConnector
from channels.errors import ChannelError
from channels.events import OrderState
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from channels.offers import offered_units
from channels.orders import apply_state
from inventory.models import Conflict, Variant

#: The kind of the channels that have buyers.
KIND: Final = WholesaleConnector.kind
#: Least units of a span, and what it is called.
_SPANS: Final = ((21, "20+"), (6, "6-20"), (1, "1-5"), (0, "0"))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a buyer can have of a SKU."""

    sku: str
    #: None where the channel tells spans alone.
    available: int | None
    span: str
    #: When it would arrive, such as "within 2 to 4 days"; empty where nobody has said.
    arrives: str


class NotOffered(ChannelError):
    """More is ordered than is offered."""

    def __init__(self, offered: dict[str, int]) -> None:
        #: Units that are offered of what there is too little of, by SKU.
        self.offered = offered
        few = ", ".join(f"{units} of {sku}" for sku, units in sorted(offered.items()))
        super().__init__(f"Only so much is offered: {few}.")


def channel_of_buyer(public_id: str, key: str) -> Channel | None:
    """Returns the channel of this address to whoever has its buyers' key; None to everybody else."""
    channel = addressed_channel(public_id)
    if channel is None or channel.kind != KIND:
        return None
    kept = str(channel.credentials.get("buyer_key") or "")
    is_known = len(kept) >= SHORTEST_KEY and compare_digest(kept.encode(), key.encode())
    return channel if is_known else None


def offers(channel: Channel, skus: Collection[str]) -> list[Offer]:
    """Returns what is offered of these SKUs, in their sequence; one that the channel does not list is left out."""
    ids = variant_ids(channel, skus)
    units = offered_units(channel.pk, ids.values())
    arrives = arrival_texts(channel, list(units))
    in_spans = channel.settings.get("shows_spans") is True
    return [
        Offer(sku, None if in_spans else units[ids[sku]], span_of(units[ids[sku]]), arrives.get(ids[sku], ""))
        for sku in dict.fromkeys(skus)
        if ids.get(sku) in units
    ]


def span_of(units: int) -> str:
    """Returns the span that a number of units lies in."""
    return next(name for least, name in _SPANS if units >= least)


@transaction.atomic
def place_order(channel: Channel, state: OrderState, *, takes_less: bool) -> ChannelOrder:
    """Brings an order to this state. Unless the buyer takes less, it has to be offered and there in full.

    Raises `NotOffered`, and then nothing has changed; `BadMessage`, `StockBusy`.
    """
    if not takes_less:
        _check_offer(channel, state)
    apply_state(channel, state, arrived_at=timezone.now())
    order = ChannelOrder.objects.get(channel=channel, external_id=state.external_id)
    if not takes_less:
        _check_owed(channel, order)
    return order


def find_order(channel: Channel, external_id: str) -> ChannelOrder | None:
    """Returns an order of the channel by the buyers' own id."""
    return ChannelOrder.objects.filter(channel=channel, external_id=external_id).first()


def variant_ids(channel: Channel, skus: Collection[str]) -> dict[str, int]:
    """Returns the ids of the merchant's variants, by SKU."""
    rows = Variant.objects.filter(merchant=channel.merchant_id, sku__in=skus)
    return dict(rows.values_list("sku", "id"))


def _check_offer(channel: Channel, state: OrderState) -> None:
    """Compares what the order newly demands with what is offered; what it holds already is not asked for again."""
    wanted: Counter[str] = Counter()
    for line in state.lines:
        wanted[line.sku] += max(line.quantity - line.cancelled, 0)
    held = ChannelOrderLine.objects.filter(
        order__channel=channel, order__external_id=state.external_id, variant__isnull=False
    )
    for sku, units in held.values_list("variant__sku", "applied_demand"):
        wanted[sku] -= units
    more = {sku: units for sku, units in wanted.items() if sku and units > 0}
    ids = variant_ids(channel, more)
    offered = offered_units(channel.pk, ids.values())
    short = {
        sku: offered.get(ids[sku], 0)
        for sku, units in more.items()
        if sku in ids and units > offered.get(ids[sku], 0)
    }
    if short:
        raise NotOffered(short)


def _check_owed(channel: Channel, order: ChannelOrder) -> None:
    """Refuses what others have taken between the look at the offer and the reservation."""
    lines = {line.reference: line for line in order.lines.all()}
    owed = Conflict.objects.filter(
        merchant=channel.merchant_id, reference__in=lines, open_quantity__gt=0
    ).values_list("reference", "open_quantity")
    short = {lines[name].sku: max(lines[name].applied_demand - units, 0) for name, units in owed}
    if short:
        raise NotOffered(short)
