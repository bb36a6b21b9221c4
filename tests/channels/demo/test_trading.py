"""The demo's merchant sells gift sets, has goods on order, two pools in force and a draft to rehearse."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from channels.demo import trading
from channels.demo.catalogue import GIFT_SETS, catalogue, gift_sets
from channels.demo.figures import _events_of
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import ChannelGroup, Rule, RuleSetVersion
from channels.rehearsals.running import ask, run
from inventory.bundles import kits_available
from inventory.models import Bundle, Merchant, PurchaseOrder, StockOperation, Variant
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db

ITEMS = catalogue(80)
SETS = gift_sets(ITEMS)


@pytest.fixture
def merchant() -> Merchant:
    """The merchant with goods in stock and gift sets that are variants already."""
    merchant = open_merchant("Demo", "demo")
    goods = [Goods(item.sku, item.product, item.title, item.quantities) for item in ITEMS]
    stock_up(merchant, goods + [Goods(each.sku, each.title, each.title, {}) for each in SETS])
    return merchant


def test_gift_sets_are_the_same_on_every_machine_and_made_of_what_is_there() -> None:
    assert gift_sets(ITEMS) == SETS
    assert len(SETS) == GIFT_SETS
    known = {item.sku for item in ITEMS} | {each.sku for each in SETS}
    assert {sku for each in SETS for sku in each.parts} <= known
    assert len({each.sku for each in SETS} | {item.sku for item in ITEMS}) == len(known)
    assert all(each.price > 0 for each in SETS)


def test_a_hamper_takes_the_parts_of_the_sets_in_it() -> None:
    inner = {each.sku: each for each in SETS}
    hamper = SETS[-1]
    expected: Counter[str] = Counter()
    for sku in hamper.parts:
        expected.update(inner[sku].parts)
    assert trading.parts_of(SETS)[hamper.sku] == dict(expected)


def test_what_the_merchant_does_is_there_once_however_often_the_demo_starts(merchant: Merchant) -> None:
    channels = [ChannelFactory(merchant=merchant, kind=kind) for kind in ("shopify", "woocommerce", "bol")]
    seen = []
    for _ in range(2):
        trading.bundle(merchant, SETS)
        trading.buy(merchant, ITEMS)
        trading.set_rules(merchant, channels)
        seen.append((StockOperation.objects.count(), Rule.objects.count(), PurchaseOrder.objects.count()))
    assert seen[0] == seen[1]
    assert Bundle.objects.filter(is_current=True).count() == GIFT_SETS
    kits = kits_available(
        merchant.pk, Variant.objects.filter(sku__startswith="GIFT").values_list("id", flat=True)
    )
    assert len(kits) == GIFT_SETS
    assert all(sum(of_kit.values()) > 0 for of_kit in kits.values())
    in_force = Rule.objects.filter(version__state="active")
    assert {rule.pool.name for rule in in_force if rule.pool} == {"Own shops", "Marketplaces"}
    members = {group.name: {c.kind for c in group.channels.all()} for group in ChannelGroup.objects.all()}
    assert members == {"Own shops": {"shopify", "woocommerce"}, "Marketplaces": {"bol"}}


def test_dealers_have_a_pool_of_their_own(merchant: Merchant) -> None:
    channels = [ChannelFactory(merchant=merchant, kind=kind) for kind in ("shopify", "square", "wholesale")]
    trading.set_rules(merchant, channels[:2])
    for _ in range(2):
        trading.set_rules(merchant, channels)
    in_force = Rule.objects.filter(version__state="active", pool__name="Dealers")
    assert [(rule.category, rule.pool_percent) for rule in in_force] == [("Kitchen", 20)]
    members = {group.name: {c.kind for c in group.channels.all()} for group in ChannelGroup.objects.all()}
    assert members == {"Own shops": {"shopify", "square"}, "Marketplaces": set(), "Dealers": {"wholesale"}}


def test_goods_on_order_are_confirmed_but_for_the_last_order(merchant: Merchant) -> None:
    trading.buy(merchant, ITEMS)
    lines = [line for order in PurchaseOrder.objects.order_by("number") for line in order.lines.all()]
    assert {line.order.number for line in lines if line.confirmed_quantity} == {"PO-1001", "PO-1002"}
    assert {line.order.number for line in lines if not line.confirmed_quantity} == {"PO-1003"}


def test_the_draft_is_ready_to_be_rehearsed(merchant: Merchant) -> None:
    trading.set_rules(merchant, [ChannelFactory(merchant=merchant, kind="shopify")])
    draft = RuleSetVersion.objects.get(state="draft")
    assert draft.rules.count() == 2
    now = timezone.now()
    rehearsal = ask(draft, now - timedelta(hours=2), now - timedelta(hours=1))
    run(rehearsal.pk)
    rehearsal.refresh_from_db()
    assert (rehearsal.state, rehearsal.error) == ("done", "")


def test_a_sale_of_a_gift_set_is_a_sale_of_its_parts() -> None:
    books = {"shopify": {"movements": [(10.0, "SET", -2), (11.0, "MUG", -1)]}}
    events = _events_of(books, {"SET": {"MUG": 1, "CUP": 3}})
    assert [(event.at, event.sku, event.delta) for event in events] == [
        (10.0, "MUG", -2),
        (10.0, "CUP", -6),
        (11.0, "MUG", -1),
    ]
