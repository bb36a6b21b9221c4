"""A history's corrections go through the ledger; its opening stock is received once."""

import pytest
from django.db import transaction

from channels.demo.catalogue import LOCATIONS
from channels.demo.replay import Replay, account_for
from channels.demo.sales_file import RowKind, Tally
from channels.demo.stocking import Goods, open_merchant, stock_up
from inventory.models import Location, Merchant, StockLevel, StockMovement, StockOperation, Variant
from inventory.proof import prove
from tests.channels.demo.files import row
from tests.channels.demo.platform import plenty, shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    opened = open_merchant("Replay", "replay")
    stock_up(opened, [Goods("A", "Mug", "Mug", {"AMS": 10}), Goods("B", "Jug", "Jug", {"AMS": 0})])
    return opened


def replay_of(merchant: Merchant) -> Replay:
    variant_ids = dict(Variant.objects.filter(merchant=merchant).values_list("sku", "id"))
    location = Location.objects.get(merchant=merchant, code="AMS")
    return Replay(
        [shop(plenty("A", "B"))], merchant_id=merchant.pk, location_id=location.pk, variant_ids=variant_ids
    )


def on_hand(merchant: Merchant, sku: str) -> int:
    levels = StockLevel.objects.filter(merchant=merchant, variant__sku=sku)
    return sum(levels.values_list("on_hand", flat=True))


def test_a_correction_changes_the_stock_and_is_no_sale(merchant: Merchant) -> None:
    replay = replay_of(merchant)
    rows = [row(2, "536589", "A", -4, RowKind.ADJUSTMENT), row(3, "536590", "A", -1, RowKind.ADJUSTMENT)]

    replay.play(rows, rate=None, should_stop=lambda: False, report=lambda line: None)

    assert on_hand(merchant, "A") == 5
    assert (replay.played.adjusted_rows, replay.played.adjusted_units) == (2, -5)
    assert [(event.sku, event.delta, event.is_sale) for event in replay.played.events] == [
        ("A", -4, False),
        ("A", -1, False),
    ]
    assert account_for(Tally(rows_read=2), replay.played)


def test_a_correction_names_its_document(merchant: Merchant) -> None:
    replay_of(merchant).play(
        [row(2, "536589", "A", -4, RowKind.ADJUSTMENT)],
        rate=None,
        should_stop=lambda: False,
        report=lambda line: None,
    )

    operation = StockOperation.objects.get(merchant=merchant, verb="adjust")
    assert (operation.key, operation.actor, operation.document) == ("replay:536589:2", "replay", "536589")


@pytest.mark.parametrize(("sku", "delta"), [("A", -25), ("B", -9000)])
def test_a_correction_beyond_the_stock_is_recorded_and_the_ledger_holds(
    merchant: Merchant, sku: str, delta: int
) -> None:
    replay_of(merchant).play(
        [row(2, "536589", sku, delta, RowKind.ADJUSTMENT)],
        rate=None,
        should_stop=lambda: False,
        report=lambda line: None,
    )

    assert on_hand(merchant, sku) == 0
    assert all(proof.is_ok for proof in prove())


def test_the_merchant_has_the_demo_s_locations_however_often_it_is_opened() -> None:
    first, again = open_merchant("Demo", "demo"), open_merchant("Demo", "demo")

    assert first == again
    codes = Location.objects.filter(merchant=first).values_list("code", flat=True)
    assert sorted(codes) == sorted(code for code, *_ in LOCATIONS)


def test_stocking_up_twice_receives_once(merchant: Merchant) -> None:
    goods = [Goods("A", "Mug", "Mug", {"AMS": 10}), Goods("B", "Jug", "Jug", {"AMS": 0})]

    stock_up(merchant, goods)

    assert on_hand(merchant, "A") == 10
    assert Variant.objects.filter(merchant=merchant).count() == 2
    assert StockMovement.objects.filter(merchant=merchant).count() == 1


def test_variants_of_one_product_stay_together_and_skus_keep_their_case() -> None:
    merchant = open_merchant("Demo", "demo")
    stock_up(
        merchant,
        [
            Goods("a", "Mug", "Mug, red", {"AMS": 1}, "2000000000008", "Kitchen"),
            Goods("A", "Mug", "Mug, blue", {}, "", "Kitchen"),
        ],
    )

    small, large = (Variant.objects.get(merchant=merchant, sku=sku) for sku in "aA")
    assert small.product == large.product
    assert (small.product.title, small.product.category, small.gtin) == ("Mug", "Kitchen", "2000000000008")


def test_a_long_catalogue_is_received_in_batches_whose_statements_do_not_grow(
    django_assert_max_num_queries: "object",
) -> None:
    merchant = open_merchant("Demo", "demo")
    goods = [Goods(f"S{n}", f"Product {n}", f"Product {n}", {"AMS": 1, "BER": 2}) for n in range(600)]

    with django_assert_max_num_queries(40), transaction.atomic():  # type: ignore[operator]
        stock_up(merchant, goods)

    assert sum(StockLevel.objects.filter(merchant=merchant).values_list("on_hand", flat=True)) == 1800
    assert StockOperation.objects.filter(merchant=merchant).count() == 3
