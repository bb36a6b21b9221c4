"""What ends the conflict of an order line by stock: a location that has some, or units of an order that can wait.

Orders are locked before the ledger, by id, as whoever applies a message of theirs does.
"""

from collections.abc import Collection
from functools import partial

from django.db import transaction

from channels.models import ChannelOrder, ChannelOrderLine
from channels.places import places_of
from channels.sourcing import serving_ids
from inventory.conflict_remedies import serve_conflict, take_over
from inventory.errors import InvalidStockRequest
from inventory.ledger import Context, Outcome, domain_errors
from inventory.models import Conflict, Reservation


def serve_line(
    context: Context, conflict: Conflict, location_id: int, *, quantity: int | None = None
) -> Outcome:
    """Holds units of a location for what a conflict owes. An order line is served from there, whatever routing says.

    Raises `InvalidStockRequest` for a location that may not serve the line's channel, and what
    `inventory.conflict_remedies` raises.
    """
    run = partial(serve_conflict, context, conflict.pk, location_id, quantity=quantity)
    line = line_of(conflict)
    if line is None:
        return run()
    with domain_errors(), transaction.atomic():
        (order,) = _locked([line.order_id])
        if location_id not in serving_ids(order.channel):
            raise InvalidStockRequest(
                "location_id", f"does not serve {order.channel}; put it behind one of its places first."
            )
        outcome = run()
        ChannelOrderLine.objects.filter(pk=line.pk).update(is_sourced_by_hand=True)
    return outcome


def take_over_for(
    context: Context, conflict: Conflict, reservation: Reservation, *, quantity: int | None = None
) -> Outcome:
    """Gives units that a reservation holds to what a conflict owes; the giver is served from elsewhere, or owed them.

    Raises what `inventory.conflict_remedies.take_over` raises.
    """
    giver, taker = line_of(reservation), line_of(conflict)
    with domain_errors(), transaction.atomic():
        orders = _locked({line.order_id for line in (giver, taker) if line is not None})
        places: tuple[int, ...] = ()
        if giver is not None:
            order = next(each for each in orders if each.pk == giver.order_id)
            places = places_of(order.channel).location_ids(giver.channel_location_id)
        return take_over(context, conflict.pk, reservation.pk, quantity=quantity, giver_location_ids=places)


def line_of(demand: Conflict | Reservation) -> ChannelOrderLine | None:
    """Returns the order line of its merchant that a demand is, with order and channel; None for a demand of another kind."""
    key = ChannelOrderLine.id_of(demand.reference)
    if key is None:
        return None
    lines = ChannelOrderLine.objects.filter(pk=key, order__channel__merchant_id=demand.merchant_id)
    related = lines.select_related("order__channel", "variant").defer("order__channel__credentials")
    return related.first()


def owned_references(merchant_id: int, references: Collection[str]) -> set[str]:
    """Returns those references that are order lines of a merchant; one statement."""
    keys = {reference: ChannelOrderLine.id_of(reference) for reference in references}
    wanted = [key for key in keys.values() if key is not None]
    lines = ChannelOrderLine.objects.filter(pk__in=wanted, order__channel__merchant_id=merchant_id)
    own = set(lines.values_list("pk", flat=True))
    return {reference for reference, key in keys.items() if key in own}


def _locked(order_ids: Collection[int]) -> list[ChannelOrder]:
    rows = ChannelOrder.objects.select_for_update(of=("self",)).select_related("channel")
    return list(rows.defer("channel__credentials").filter(pk__in=order_ids).order_by("pk"))
