"""Goods between two places: sent, in transit, received in parts, missing or too many."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from inventory.errors import InsufficientStock, InvalidStockRequest, UnknownStock
from inventory.history import levels_as_of
from inventory.models import Location, StockMovement, StockOperation, Transfer, Variant
from inventory.proof import prove
from inventory.stock import StockLine, receive
from inventory.transfer_drafts import TransferPlan, cancel_transfer, change_draft, draft_transfer
from inventory.transfers import (
    Arrival,
    close_transfer,
    recall_transfer,
    receive_transfer,
    record_departure,
    send_transfer,
)
from inventory.transit import inbound_transfers, place_in_transit
from tests.factories import LocationFactory
from tests.inventory.cast import Cast, assert_ledger_holds, held, ledger_size, level_of, owed, story


def draft(cast: Cast, mugs: int = 5, **more: Any) -> Transfer:
    """Drafts a transfer of mugs from the warehouse to the store."""
    quantities: Mapping[int, int] = more.pop("quantities", {cast.mug.pk: mugs})
    plan = TransferPlan(cast.warehouse.pk, cast.store.pk, quantities, **more)
    return draft_transfer(cast.merchant.pk, plan, key=uuid4())


def sent(cast: Cast, mugs: int = 5) -> Transfer:
    """Sends mugs of which there are enough."""
    cast.receive(mugs)
    transfer = draft(cast, mugs)
    send_transfer(cast.context(), transfer.pk)
    return transfer


def arrive(
    cast: Cast, transfer: Transfer, units: int, unavailable: int = 0, variant: Variant | None = None
) -> None:
    arrival = Arrival((variant or cast.mug).pk, units, unavailable)
    receive_transfer(cast.context(), transfer.pk, [arrival])


def in_transit(cast: Cast) -> tuple[int, int, int]:
    return level_of(cast.mug, Location.objects.get(merchant=cast.merchant, kind="in_transit"))


def line_of(transfer: Transfer, variant: Variant) -> dict[str, int]:
    """Returns the counts of a line that are not 0."""
    line = transfer.lines.get(variant=variant)
    names = ("quantity", "sent", "received", "missing", "recalled", "surplus")
    counts = [getattr(line, name if name == "quantity" else f"{name}_quantity") for name in names]
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def test_a_draft_moves_nothing(cast: Cast) -> None:
    cast.receive(5)
    size = ledger_size()
    draft(cast)
    assert ledger_size() == size


def test_sent_goods_are_on_hand_in_transit_and_cannot_be_sold(cast: Cast) -> None:
    transfer = sent(cast)
    transfer.refresh_from_db()
    assert transfer.state == "sent"
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert in_transit(cast) == (5, 0, 5)
    assert level_of(cast.mug, cast.store) == (0, 0, 0)
    assert_ledger_holds()


def test_what_is_on_the_way_is_inbound_at_the_destination(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 2)
    inbound = inbound_transfers(cast.merchant.pk, [cast.mug.pk, cast.shirt.pk])
    assert [(i.transfer_id, i.variant_id, i.location_id, i.units) for i in inbound] == [
        (transfer.pk, cast.mug.pk, cast.store.pk, 3)
    ]


def test_goods_arrive_in_parts_and_the_last_part_closes(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 2)
    transfer.refresh_from_db()
    assert transfer.state == "sent"
    assert (in_transit(cast), level_of(cast.mug, cast.store)) == ((3, 0, 3), (2, 0, 0))
    arrive(cast, transfer, 3)
    transfer.refresh_from_db()
    assert transfer.state == "closed"
    assert transfer.closed_at is not None
    assert (in_transit(cast), level_of(cast.mug, cast.store)) == ((0, 0, 0), (5, 0, 0))
    assert line_of(transfer, cast.mug) == {"quantity": 5, "sent": 5, "received": 5}
    assert_ledger_holds()


def test_units_that_broke_on_the_way_arrive_unavailable(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 5, unavailable=2)
    assert level_of(cast.mug, cast.store) == (5, 0, 2)


def test_a_shortage_on_arrival_is_written_off_and_stands_on_the_transfer(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 4)
    close_transfer(cast.context(), transfer.pk)
    place = Location.objects.get(kind="in_transit")
    assert story(cast.mug, place)[-1] == ("adjustment", "loss", -1, 0, -1)
    assert line_of(transfer, cast.mug) == {"quantity": 5, "sent": 5, "received": 4, "missing": 1}
    assert in_transit(cast) == (0, 0, 0)
    assert_ledger_holds()


def test_missing_goods_that_turn_up_later_are_received_after_all(cast: Cast) -> None:
    transfer = sent(cast)
    close_transfer(cast.context(), transfer.pk)
    arrive(cast, transfer, 2)
    assert line_of(transfer, cast.mug) == {"quantity": 5, "sent": 5, "received": 2, "missing": 3}
    assert level_of(cast.mug, cast.store) == (2, 0, 0)
    assert story(cast.mug, cast.store)[-1] == ("adjustment", "correction", 2, 0, 0)
    assert_ledger_holds()


def test_more_than_was_sent_is_a_surplus(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 7, unavailable=6)
    assert level_of(cast.mug, cast.store) == (7, 0, 6)
    assert story(cast.mug, cast.store) == [
        ("transfer", "transfer", 5, 0, 5),
        ("adjustment", "surplus", 2, 0, 1),
    ]
    assert line_of(transfer, cast.mug) == {"quantity": 5, "sent": 5, "received": 5, "surplus": 2}
    assert_ledger_holds()


def test_other_goods_than_were_sent_are_recorded_too(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 3, variant=cast.shirt)
    assert level_of(cast.shirt, cast.store) == (3, 0, 0)
    assert line_of(transfer, cast.shirt) == {"surplus": 3}
    transfer.refresh_from_db()
    assert transfer.state == "sent"
    assert_ledger_holds()


def test_goods_taken_back_are_where_they_came_from(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 1)
    recall_transfer(cast.context(), transfer.pk)
    transfer.refresh_from_db()
    assert transfer.state == "closed"
    assert line_of(transfer, cast.mug) == {"quantity": 5, "sent": 5, "received": 1, "recalled": 4}
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    assert_ledger_holds()


def test_arriving_goods_go_to_who_waits_there_first(cast: Cast) -> None:
    cast.settle("order", wanted=3, places=[cast.store.pk])
    transfer = sent(cast)
    arrive(cast, transfer, 4)
    assert owed() == {}
    assert held() == {"order": 3}
    assert level_of(cast.mug, cast.store) == (4, 3, 0)


def test_the_ledger_shows_what_was_in_transit_at_an_instant(cast: Cast) -> None:
    transfer = sent(cast)
    then = StockMovement.objects.latest("recorded_at").recorded_at
    arrive(cast, transfer, 5)
    place = place_in_transit(cast.merchant.pk)
    levels = {level.location_id: level for level in levels_as_of(cast.merchant.pk, [cast.mug.pk], then)}
    assert (levels[place].on_hand, levels[place].available) == (5, 0)


def test_every_transfer_movement_has_its_counterpart(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 7)
    for operation in StockOperation.objects.all():
        moved = operation.movements.filter(kind="transfer").values_list("on_hand_delta", flat=True)
        assert sum(moved) == 0


def test_sending_more_than_is_available_is_refused_by_name(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2)
    size = ledger_size()
    with pytest.raises(InsufficientStock, match=f"{cast.mug.sku}: asked 5, available 3"):
        send_transfer(cast.context(), draft(cast).pk)
    assert ledger_size() == size
    assert Transfer.objects.get().state == "draft"


def test_goods_that_have_left_are_recorded_whatever_the_record_said(cast: Cast) -> None:
    cast.receive(4)
    cast.hold("cart", 3)
    transfer = draft(cast, 6)
    record_departure(cast.context(), transfer.pk)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert in_transit(cast) == (6, 0, 6)
    assert owed() == {("cart", "broken"): 3, (f"TR-{transfer.pk}", "beyond_record"): 2}
    assert_ledger_holds()


def test_a_transfer_is_sent_once(cast: Cast) -> None:
    transfer = sent(cast)
    cast.receive(5)
    with pytest.raises(InvalidStockRequest, match="is on the way; this needs one that is draft"):
        send_transfer(cast.context(), transfer.pk)
    assert in_transit(cast) == (5, 0, 5)


def test_repeating_a_step_under_its_key_changes_nothing(cast: Cast) -> None:
    cast.receive(5)
    transfer = draft(cast)
    arrival = [Arrival(cast.mug.pk, 2)]
    for _ in range(2):
        send_transfer(cast.context("send"), transfer.pk)
        receive_transfer(cast.context("arrive"), transfer.pk, arrival)
    assert (in_transit(cast), level_of(cast.mug, cast.store)) == ((3, 0, 3), (2, 0, 0))


def test_a_transfer_names_its_operations_and_they_name_it(cast: Cast) -> None:
    transfer = sent(cast)
    arrive(cast, transfer, 5)
    verbs = [(each.verb, each.document) for each in transfer.operations.order_by("id")]
    assert verbs == [("transfer_send", transfer.number), ("transfer_arrive", transfer.number)]


def test_the_same_place_twice_is_refused(cast: Cast) -> None:
    plan = TransferPlan(cast.store.pk, cast.store.pk, {cast.mug.pk: 1})
    with pytest.raises(InvalidStockRequest) as refused:
        draft_transfer(cast.merchant.pk, plan, key=uuid4())
    assert refused.value.field == "destination"
    with pytest.raises(IntegrityError, match="transfer_leads_to_another_place"), transaction.atomic():
        Transfer.objects.create(
            merchant=cast.merchant, source=cast.store, destination=cast.store, key=uuid4()
        )


@pytest.mark.parametrize("quantities", [{}, {1: 0}, {1: -3}])
def test_a_plan_without_goods_is_refused(cast: Cast, quantities: dict[int, int]) -> None:
    with pytest.raises(InvalidStockRequest):
        draft(cast, quantities=quantities)


def test_goods_and_places_of_a_stranger_are_unknown(cast: Cast, stranger: Cast) -> None:
    with pytest.raises(UnknownStock):
        draft(cast, quantities={stranger.mug.pk: 1})
    plan = TransferPlan(cast.warehouse.pk, stranger.store.pk, {cast.mug.pk: 1})
    with pytest.raises(UnknownStock):
        draft_transfer(cast.merchant.pk, plan, key=uuid4())
    with pytest.raises(UnknownStock, match="no such transfer"):
        send_transfer(stranger.context(), draft(cast).pk)


def test_nothing_is_sent_to_the_place_in_transit_itself(cast: Cast) -> None:
    place = place_in_transit(cast.merchant.pk)
    plan = TransferPlan(cast.warehouse.pk, place, {cast.mug.pk: 1})
    with pytest.raises(InvalidStockRequest, match="destination"):
        draft_transfer(cast.merchant.pk, plan, key=uuid4())


def test_more_unsalable_units_than_arrived_are_refused(cast: Cast) -> None:
    transfer = sent(cast)
    with pytest.raises(InvalidStockRequest, match="unavailable"):
        arrive(cast, transfer, 1, unavailable=2)


def test_only_drafts_are_changed_and_cancelled(cast: Cast) -> None:
    transfer = draft(cast)
    plan = TransferPlan(cast.store.pk, cast.warehouse.pk, {cast.shirt.pk: 2}, reference="note")
    change_draft(cast.merchant.pk, transfer.pk, plan)
    transfer.refresh_from_db()
    assert (transfer.source_id, transfer.reference) == (cast.store.pk, "note")
    assert line_of(transfer, cast.shirt) == {"quantity": 2}
    cancel_transfer(cast.merchant.pk, transfer.pk)
    for change in (
        lambda: cancel_transfer(cast.merchant.pk, transfer.pk),
        lambda: change_draft(cast.merchant.pk, transfer.pk, plan),
        lambda: send_transfer(cast.context(), transfer.pk),
        lambda: arrive(cast, transfer, 1),
        lambda: close_transfer(cast.context(), transfer.pk),
        lambda: recall_transfer(cast.context(), transfer.pk),
    ):
        with pytest.raises(InvalidStockRequest, match="is cancelled"):
            change()


def test_a_form_sent_twice_makes_one_draft(cast: Cast) -> None:
    plan = TransferPlan(cast.warehouse.pk, cast.store.pk, {cast.mug.pk: 1})
    key = uuid4()
    first, second = (draft_transfer(cast.merchant.pk, plan, key=key) for _ in range(2))
    assert first == second
    assert first.lines.count() == 1


def test_a_merchant_has_one_place_in_transit_that_nobody_draws_on(cast: Cast) -> None:
    LocationFactory(merchant=cast.merchant, code="IN-TRANSIT")
    place = Location.objects.get(pk=place_in_transit(cast.merchant.pk))
    assert place_in_transit(cast.merchant.pk) == place.pk
    assert not place.is_active
    with pytest.raises(IntegrityError, match="in_transit_is_never_drawn_on"), transaction.atomic():
        Location.objects.filter(pk=place.pk).update(is_active=True)
    with pytest.raises(IntegrityError, match="merchant_has_one_place_in_transit"), transaction.atomic():
        LocationFactory(merchant=cast.merchant, kind="in_transit", is_active=False)


def test_the_proof_names_units_that_vanish_from_a_transfer(cast: Cast) -> None:
    transfer = sent(cast)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_transferline SET received_quantity = 1")
    *_, proof = prove()
    [divergence] = proof.divergences
    assert divergence.sku == cast.mug.sku
    assert divergence.location == "IN-TRANSIT"
    assert "open transfers" in divergence.problem
    assert (divergence.expected["on_hand"], divergence.found["on_hand"]) == (4, 5)
    assert transfer.pk


def test_the_proof_names_units_that_somebody_brought_to_the_place_in_transit(cast: Cast) -> None:
    place = place_in_transit(cast.merchant.pk)
    receive(cast.context(), [StockLine(cast.mug.pk, place, 3)])
    *_, proof = prove()
    assert [d.found["on_hand"] for d in proof.divergences] == [3]


def test_what_left_unfit_for_sale_comes_back_so_as_far_as_it_did_not_arrive_so(cast: Cast) -> None:
    cast.receive(6)
    cast.make_unavailable(4)
    transfer = draft(cast, 6)
    record_departure(cast.context(), transfer.pk)
    arrive(cast, transfer, 1)
    arrive(cast, transfer, 1, unavailable=1)
    recall_transfer(cast.context(), transfer.pk)
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 3)
    assert level_of(cast.mug, cast.store) == (2, 0, 1)
    assert in_transit(cast) == (0, 0, 0)
    assert_ledger_holds()


def test_a_transfer_that_is_given_up_forgets_what_was_unfit(cast: Cast) -> None:
    cast.receive(2)
    cast.make_unavailable(2)
    transfer = draft(cast, 2)
    record_departure(cast.context(), transfer.pk)
    close_transfer(cast.context(), transfer.pk)
    assert transfer.lines.get().unavailable_quantity == 0
    arrive(cast, transfer, 2)
    assert level_of(cast.mug, cast.store) == (2, 0, 0)
