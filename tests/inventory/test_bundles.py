"""What bundles are made of: written in versions, refused with the field, and how many can be had."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext

from inventory.bundles import Component, define, dissolve, kits_available
from inventory.count_sheets import approve_sheet, enter_counts, print_sheet
from inventory.demands import settle
from inventory.errors import IdempotencyConflict, InvalidStockRequest, UnknownStock
from inventory.models import Bundle, BundleKind, BundlePart, StockLevel, StockOperation, Variant
from inventory.reservations import reserve
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import record_departure
from tests.inventory.bundling import Kitchen, held_parts, made_of
from tests.inventory.buying import Buying
from tests.inventory.cast import Cast, assert_ledger_holds, held, level_of, owed
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

COMPOSITE = BundleKind.COMPOSITE


@pytest.fixture
def kitchen(db: None) -> Kitchen:
    return Kitchen()


def refused(kitchen: Kitchen, bundle: Variant, components: dict[Variant, int], **more: BundleKind) -> str:
    """Returns the field that a definition is refused with; nothing is written then."""
    before = Bundle.objects.count(), StockOperation.objects.count()
    with pytest.raises(InvalidStockRequest) as refusal:
        kitchen.make(bundle, components, **more)
    assert (Bundle.objects.count(), StockOperation.objects.count()) == before
    return refusal.value.field


def test_a_bundle_is_what_its_components_are(kitchen: Kitchen) -> None:
    bundle = Bundle.objects.get()
    assert (bundle.version, bundle.kind, bundle.part_count, bundle.is_current) == (1, "kit", 2, True)
    assert made_of(kitchen.set) == {kitchen.mug.sku: 2, kitchen.spoon.sku: 1}
    assert bundle.operation.verb == "define"


def test_a_kit_of_kits_takes_its_parts_from_the_shelf(kitchen: Kitchen) -> None:
    hamper = kitchen.new()
    kitchen.make(hamper, {kitchen.set: 3, kitchen.mug: 1})
    assert made_of(hamper) == {kitchen.mug.sku: 7, kitchen.spoon.sku: 3}


def test_a_change_within_is_a_new_version_of_all_that_contain_it(kitchen: Kitchen) -> None:
    hamper, chest, other = kitchen.new(), kitchen.new(), kitchen.new()
    kitchen.make(hamper, {kitchen.set: 1})
    kitchen.make(chest, {hamper: 2})
    kitchen.make(other, {kitchen.mug: 1})
    kitchen.make(kitchen.set, {kitchen.mug: 4})
    versions = dict(Bundle.objects.filter(is_current=True).values_list("variant_id", "version"))
    assert versions == {kitchen.set.pk: 2, hamper.pk: 2, chest.pk: 2, other.pk: 1}
    assert made_of(chest) == {kitchen.mug.sku: 8}
    assert BundlePart.objects.filter(is_drawn_on=True).count() == 4


def test_the_same_components_again_are_no_new_version(kitchen: Kitchen) -> None:
    kitchen.make(kitchen.set, {kitchen.spoon: 1, kitchen.mug: 2})
    assert Bundle.objects.count() == 1


def test_a_repeat_writes_nothing_and_another_request_under_its_key_is_refused(kitchen: Kitchen) -> None:
    lines = [Component(kitchen.mug.pk, 5)]
    first = define(kitchen.context("key"), kitchen.set.pk, BundleKind.KIT, lines)
    again = define(kitchen.context("key"), kitchen.set.pk, BundleKind.KIT, lines)
    assert (again.operation_id, again.is_repeat) == (first.operation_id, True)
    assert Bundle.objects.count() == 2
    with pytest.raises(IdempotencyConflict):
        define(kitchen.context("key"), kitchen.set.pk, BundleKind.KIT, [Component(kitchen.mug.pk, 6)])


def test_circles_are_refused_whatever_their_length_and_kind(kitchen: Kitchen) -> None:
    hamper, chest = kitchen.new("HAMPER"), kitchen.new("CHEST")
    kitchen.make(hamper, {kitchen.set: 1})
    kitchen.make(chest, {hamper: 1}, COMPOSITE)
    assert refused(kitchen, kitchen.set, {kitchen.set: 1}) == "components"
    assert refused(kitchen, kitchen.set, {hamper: 1}) == "components"
    assert refused(kitchen, kitchen.set, {kitchen.mug: 1, chest: 1}) == "components"
    with pytest.raises(InvalidStockRequest, match=rf"{kitchen.set.sku} → CHEST → HAMPER → {kitchen.set.sku}"):
        kitchen.make(kitchen.set, {chest: 1}, COMPOSITE)


@pytest.mark.django_db(transaction=True)
def test_two_who_each_close_half_of_a_circle_are_one_and_a_refusal() -> None:
    kitchen = Kitchen()
    first, second = kitchen.new(), kitchen.new()
    results = race([partial(kitchen.make, first, {second: 1}), partial(kitchen.make, second, {first: 1})])
    assert sum(isinstance(result, InvalidStockRequest) for result in results) == 1
    assert Bundle.objects.filter(variant__in=[first, second]).count() == 1


@pytest.mark.parametrize("quantity", [0, -1, 10**9 + 1])
def test_amounts_that_are_none_are_refused(kitchen: Kitchen, quantity: int) -> None:
    assert refused(kitchen, kitchen.set, {kitchen.mug: quantity}) == "components"


def test_no_component_and_the_same_one_twice_are_refused(kitchen: Kitchen) -> None:
    assert refused(kitchen, kitchen.set, {}) == "components"
    twice = [Component(kitchen.mug.pk, 1), Component(kitchen.mug.pk, 2)]
    with pytest.raises(InvalidStockRequest, match="components: the same variant is named twice"):
        define(kitchen.context(), kitchen.set.pk, BundleKind.KIT, twice)


def test_goods_of_another_merchant_are_unknown(kitchen: Kitchen) -> None:
    stranger = Cast()
    with pytest.raises(UnknownStock):
        kitchen.make(kitchen.set, {stranger.mug: 1})
    with pytest.raises(UnknownStock):
        kitchen.make(stranger.mug, {kitchen.mug: 1})


def test_what_has_stock_becomes_no_kit_and_what_is_held_no_composite(kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    assert refused(kitchen, kitchen.mug, {kitchen.shirt: 1}) == "variant"
    reserve(kitchen.context(), [kitchen.demand("order", 1)])
    assert refused(kitchen, kitchen.set, {kitchen.mug: 2}, kind=COMPOSITE) == "kind"
    with pytest.raises(InvalidStockRequest, match="kind: units of it are held, promised or owed"):
        dissolve(kitchen.context(), kitchen.set.pk)


def test_a_bundle_that_is_dissolved_is_a_plain_variant_again(kitchen: Kitchen) -> None:
    hamper = kitchen.new()
    kitchen.make(hamper, {kitchen.set: 2})
    dissolve(kitchen.context(), kitchen.set.pk)
    assert made_of(hamper) == {kitchen.set.sku: 2}
    kitchen.receive(4, kitchen.set)
    assert kits_available(kitchen.merchant.pk, [hamper.pk, kitchen.set.pk]) == {
        hamper.pk: {kitchen.warehouse.pk: 2, kitchen.store.pk: 0}
    }


def test_a_component_in_use_is_neither_deleted_nor_switched_off(kitchen: Kitchen) -> None:
    with pytest.raises(ProtectedError):
        kitchen.mug.delete()
    kitchen.mug.is_active = False
    with pytest.raises(ValidationError) as refusal:
        kitchen.mug.full_clean()
    assert kitchen.set.sku in refusal.value.message_dict["is_active"][0]
    kitchen.make(kitchen.set, {kitchen.spoon: 1})
    kitchen.mug.full_clean()


def test_a_component_that_is_switched_off_is_refused(kitchen: Kitchen) -> None:
    off = kitchen.new()
    off.is_active = False
    off.save()
    with pytest.raises(InvalidStockRequest, match=f"components: {off.sku}: switched off. Switch it on"):
        kitchen.make(kitchen.new(), {off: 1})


@pytest.mark.parametrize("verb", ["receive", "count"])
def test_a_kit_has_no_stock_of_its_own(kitchen: Kitchen, verb: str) -> None:
    with pytest.raises(InvalidStockRequest, match=f"variant_id: {kitchen.set.sku}: a kit has no stock"):
        getattr(kitchen, verb)(3, kitchen.set)


@contextmanager
def refused_for(kit: Variant) -> Iterator[None]:
    """Expects a refusal that names the kit and the remedy, and no stock of it anywhere."""
    with pytest.raises(InvalidStockRequest, match=f"variant_id: {kit.sku} is a kit by now.*components"):
        yield
    assert not StockLevel.objects.filter(variant=kit, on_hand__gt=0).exists()


@pytest.mark.django_db(transaction=True)
def test_goods_received_while_their_variant_becomes_a_kit_do_not_become_its_stock() -> None:
    kitchen = Kitchen()
    plain = kitchen.new()
    with ExitStack() as stack, transaction.atomic():
        kitchen.make(plain, {kitchen.mug: 1})
        receiving = stack.enter_context(meanwhile(partial(kitchen.receive, 10, plain)))
        wait_until_blocked()
    with refused_for(plain):
        receiving.result(PATIENCE)


def test_a_count_sheet_gives_a_kit_no_stock(kitchen: Kitchen) -> None:
    plain = kitchen.new()
    sheet = print_sheet(kitchen.merchant.pk, kitchen.warehouse.pk, [plain.pk], key=uuid4())
    enter_counts(kitchen.merchant.pk, sheet.pk, {plain.pk: 5})
    kitchen.make(plain, {kitchen.mug: 1})
    with refused_for(plain):
        approve_sheet(kitchen.context(), sheet.pk)


def test_an_over_delivery_gives_a_kit_no_stock(kitchen: Kitchen) -> None:
    plain = kitchen.new()
    buying = Buying(kitchen)
    line_id = buying.order(3, variant=plain)
    buying.receive(line_id, 3)
    kitchen.count(0, plain)
    kitchen.make(plain, {kitchen.mug: 1})
    with refused_for(plain):
        buying.receive(line_id, 2)
    dissolve(kitchen.context(), plain.pk)
    buying.receive(line_id, 2)
    assert level_of(plain, kitchen.warehouse) == (2, 0, 0)


def test_a_departure_gives_a_kit_no_stock(kitchen: Kitchen) -> None:
    plain = kitchen.new()
    plan = TransferPlan(kitchen.warehouse.pk, kitchen.store.pk, {plain.pk: 4})
    transfer = draft_transfer(kitchen.merchant.pk, plan, key=uuid4())
    kitchen.make(plain, {kitchen.mug: 1})
    with refused_for(plain):
        record_departure(kitchen.context(), transfer.pk)


def test_as_many_kits_can_be_had_as_the_scarcest_part_is_enough_for_place_by_place(kitchen: Kitchen) -> None:
    kitchen.stock(7, 9)
    kitchen.stock(4, 1, kitchen.store)
    kitchen.hold("cart", 2)
    assert kits_available(kitchen.merchant.pk, [kitchen.set.pk, kitchen.mug.pk]) == {
        kitchen.set.pk: {kitchen.warehouse.pk: 2, kitchen.store.pk: 1}
    }


def test_what_is_held_stays_what_it_was_made_of(kitchen: Kitchen) -> None:
    kitchen.stock(20, 20)
    reserve(kitchen.context(), [kitchen.demand("order", 2)])
    kitchen.make(kitchen.set, {kitchen.spoon: 5})
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, wanted=1)])
    place = kitchen.warehouse.code
    assert held_parts("order") == {(kitchen.mug.sku, place): 4, (kitchen.spoon.sku, place): 7}
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, cancelled=1)])
    assert held_parts("order") == {(kitchen.mug.sku, place): 4, (kitchen.spoon.sku, place): 2}
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, fulfilled=2)])
    assert held() == {}
    assert_ledger_holds()


def test_who_waits_for_kits_gets_them_when_a_change_makes_them_possible(kitchen: Kitchen) -> None:
    kitchen.stock(5, 0)
    settle(kitchen.context(), [kitchen.change("order", kitchen.set, wanted=2)])
    assert owed() == {("order", "shortage"): 2}
    kitchen.make(kitchen.set, {kitchen.mug: 3})
    assert (held(), owed()) == ({"order": 3}, {("order", "shortage"): 1})


@pytest.mark.parametrize("containing", [1, 20])
def test_a_change_takes_the_same_statements_whatever_contains_it(kitchen: Kitchen, containing: int) -> None:
    for _ in range(containing):
        kitchen.make(kitchen.new(), {kitchen.set: 1, kitchen.shirt: 2})
    with CaptureQueriesContext(connection) as queries:
        kitchen.make(kitchen.set, {kitchen.mug: 3})
    plain = [q for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(plain) == 17
    assert Bundle.objects.filter(is_current=True, version=2).count() == containing + 1
