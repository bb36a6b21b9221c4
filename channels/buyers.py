"""What wholesale buyers' systems may do here: ask what they can have, and order it.

They reach one channel, and of it what is offered to them: their pool and what is left of the rest, never what there is.
Orders are states like those of any platform; the same orders come by webhook and by poll.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels.accounts import addressed_channel
from channels.arrival_texts import arrival_texts
from channels.connectors.wholesale.connector import SHORTEST_KEY, WholesaleConnector
from channels.errors import ChannelError
from channels.events import OrderLineState, OrderState
from channels.models import Channel, ChannelOrder, ChannelOrderLine, Listing
from channels.offers import offered_units
from channels.orders import apply_state
from inventory.models import Conflict, Variant

#: The kind of the channels that have buyers.
KIND: Final = WholesaleConnector.kind
#: Name of the lock of a merchant's buyers, unlike any other of the program.
_TURNS: Final = 774_155
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


def address_of(channel: Channel) -> str:
    """Returns the address that buyers' systems begin theirs with."""
    return f"{settings.PUBLIC_URL}/wholesale/{channel.public_id}/"


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
    take_turns(channel.merchant_id)
    if not takes_less:
        _check_offer(channel, state)
    apply_state(channel, state, arrived_at=timezone.now())
    order = ChannelOrder.objects.get(channel=channel, external_id=state.external_id)
    if not takes_less:
        _check_owed(channel, order)
    return order


def take_turns(merchant_id: int) -> None:
    """Has buyers of a merchant come one after the other, until the end of the transaction and before any other lock.

    Two who were offered the same units at once would together take what is kept for others.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_TURNS, merchant_id % 2**31])


def find_order(channel: Channel, external_id: str) -> ChannelOrder | None:
    """Returns an order of the channel by the buyers' own id."""
    return ChannelOrder.objects.filter(channel=channel, external_id=external_id).first()


def variant_ids(channel: Channel, skus: Collection[str]) -> dict[str, int]:
    """Returns the ids of variants by SKU: what the channel lists under it, else the merchant's variant of that name."""
    own = Variant.objects.filter(merchant=channel.merchant_id, sku__in=skus).values_list("sku", "id")
    listed = Listing.objects.filter(channel=channel, sku__in=skus).values_list("sku", "variant_id")
    times = Counter(sku for sku, _ in listed)
    return dict(own) | {sku: mapped for sku, mapped in listed if mapped and times[sku] == 1}


def skus_of(channel: Channel, ids: Collection[int]) -> dict[int, str]:
    """Returns what variants are called, by id: the SKU that the channel lists them under, else their own."""
    own = Variant.objects.filter(pk__in=ids).values_list("id", "sku")
    listed = _mapped(channel).filter(variant__in=ids, is_active=True).exclude(sku="").order_by("-id")
    return dict(own) | {variant_id or 0: sku for variant_id, sku in listed.values_list("variant_id", "sku")}


def _mapped(channel: Channel) -> QuerySet[Listing]:
    return Listing.objects.filter(channel=channel, variant__isnull=False)


def _variants_of(channel: Channel, lines: Collection[OrderLineState]) -> dict[str, int]:
    """Returns the variant of each line as it will be linked, by the line's id: by the item it names, else by SKU."""
    by_sku = variant_ids(channel, {line.sku for line in lines if line.sku})
    own = Variant.objects.filter(merchant=channel.merchant_id, sku__in={line.sku for line in lines})
    named = {line.listing_external_id for line in lines} - {""}
    by_item = dict(_mapped(channel).filter(external_id__in=named).values_list("external_id", "variant_id"))
    by_name = dict(own.values_list("sku", "id"))
    found = {
        line.external_id: by_item.get(line.listing_external_id) or by_name.get(line.sku)
        if line.listing_external_id
        else by_sku.get(line.sku)
        for line in lines
    }
    return {external_id: variant_id for external_id, variant_id in found.items() if variant_id}


def _check_offer(channel: Channel, state: OrderState) -> None:
    """Compares what the order newly demands with what is offered; what it holds already is not asked for again."""
    variants = _variants_of(channel, state.lines)
    wanted: Counter[int] = Counter()
    names: dict[int, str] = {}
    for line in state.lines:
        if variant_id := variants.get(line.external_id):
            wanted[variant_id] += max(line.quantity - line.cancelled, 0)
            names[variant_id] = line.sku or line.listing_external_id
    held = ChannelOrderLine.objects.filter(
        order__channel=channel, order__external_id=state.external_id, variant__in=wanted
    )
    for variant_id, units in held.values_list("variant_id", "applied_demand"):
        wanted[variant_id or 0] -= units
    more = {variant_id: units for variant_id, units in wanted.items() if units > 0}
    offered = offered_units(channel.pk, more)
    short = {names[pk]: offered.get(pk, 0) for pk, units in more.items() if units > offered.get(pk, 0)}
    if short:
        raise NotOffered(short)


def _check_owed(channel: Channel, order: ChannelOrder) -> None:
    """Refuses what others have taken between the look at the offer and the reservation."""
    lines = {line.reference: line for line in order.lines.all()}
    owed = Conflict.objects.filter(
        merchant=channel.merchant_id, reference__in=lines, open_quantity__gt=0
    ).values_list("reference", "open_quantity")
    short = {
        lines[name].sku or lines[name].listing_external_id: max(lines[name].applied_demand - units, 0)
        for name, units in owed
    }
    if short:
        raise NotOffered(short)
