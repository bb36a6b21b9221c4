"""Where somebody else has the say over stock, what they count corrects the ledger, netted of what they have not seen."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.orders import apply_state
from inventory.ledger import Context
from inventory.models import Conflict, StockLevel
from inventory.proof import prove
from inventory.reservations import Demand, reserve
from inventory.stock import CountLine, ShipmentLine, StockLine, count, receive, ship
from reconciliation.authority import compare, count_in
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, StockAuthority
from reconciliation.models.discrepancies import DiscrepancyState, Policy
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.inventory.racing import race
from tests.properties import examples

pytestmark = pytest.mark.django_db


def opened(policy: Policy = Policy.CORRECT) -> tuple[Shop, StockAuthority]:
    shop = open_shop({"MUG": 20, "CUP": 8})
    location = shop.locations["main"]
    authority = StockAuthority.objects.create(
        merchant=shop.merchant, location=location, name="The ERP", policy=policy
    )
    return shop, authority


def shipped(shop: Shop, sku: str, units: int) -> None:
    lines = [ShipmentLine(shop.variants[sku].pk, shop.locations["main"].pk, units)]
    ship(Context(shop.merchant.pk, f"ship:{sku}:{timezone.now().isoformat()}"), lines)


def now() -> datetime:
    return timezone.now()


def test_what_the_authority_counts_corrects_the_ledger() -> None:
    shop, authority = opened()
    done = compare(authority, {"MUG": 17, "CUP": 8, "POT": 4}, seen_until=now())
    assert (done.compared, done.drifted, done.corrected, done.flagged) == (2, 1, 1, 0)
    assert done.unknown == ["POT"]
    assert (shop.level("MUG"), shop.level("CUP")) == ((17, 0), (8, 0))
    found = Discrepancy.objects.get()
    assert (found.shown, found.expected, found.state) == (17, 20, DiscrepancyState.CORRECTED)
    assert all(proof.is_ok for proof in prove())


def test_what_it_has_not_seen_is_none_of_the_difference() -> None:
    shop, authority = opened()
    seen_until = now()
    shipped(shop, "MUG", 5)
    done = compare(authority, {"MUG": 20, "CUP": 8}, seen_until=seen_until)
    assert done.drifted == 0
    assert shop.level("MUG") == (15, 0)
    compare(authority, {"MUG": 18, "CUP": 8}, seen_until=seen_until)
    assert shop.level("MUG") == (13, 0), "two were missing before the five left"


def test_without_netting_the_shipment_would_be_undone() -> None:
    """The control: by today's level the authority's old number looks like five too many."""
    shop, authority = opened()
    shipped(shop, "MUG", 5)
    assert compare(authority, {"MUG": 20}, seen_until=now()).drifted == 1
    assert shop.level("MUG") == (20, 0)


def test_saying_the_same_twice_changes_nothing_twice() -> None:
    shop, authority = opened()
    for _ in range(2):
        compare(authority, {"MUG": 17}, seen_until=now())
    assert (shop.level("MUG"), Discrepancy.objects.count()) == ((17, 0), 1)


@pytest.mark.parametrize("said", [17, 23])
def test_the_same_file_twice_changes_nothing_twice(said: int) -> None:
    """Of the same instant, before the first correction: what was counted for it since is found already."""
    shop, authority = opened()
    until = now()
    for _ in range(3):
        compare(authority, {"MUG": said}, seen_until=until)
        shipped(shop, "MUG", 1)
    assert shop.level("MUG") == (said - 3, 0)
    assert Discrepancy.objects.count() == 1


def test_what_a_person_has_counted_since_is_not_counted_again() -> None:
    shop, authority = opened()
    until = now()
    count(
        Context(shop.merchant.pk, "by hand"),
        [CountLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 18)],
    )
    compare(authority, {"MUG": 17}, seen_until=until)
    assert shop.level("MUG") == (17, 0)


def test_what_is_counted_by_hand_while_it_waits_for_a_person_is_not_counted_again() -> None:
    shop, authority = opened(Policy.FLAG)
    compare(authority, {"MUG": 17, "CUP": 9}, seen_until=now())
    place = shop.locations["main"].pk
    lines = [CountLine(shop.variants["MUG"].pk, place, 18), CountLine(shop.variants["CUP"].pk, place, 9)]
    count(Context(shop.merchant.pk, "by hand"), lines)
    assert count_in(Discrepancy.objects.all(), actor="operator") == 2
    assert (shop.level("MUG"), shop.level("CUP")) == ((17, 0), (9, 0))


@pytest.mark.parametrize("policy", [Policy.FLAG, Policy.CORRECT_SMALL])
def test_a_large_difference_waits_for_a_person_who_takes_it_over(policy: Policy) -> None:
    shop, authority = opened(policy)
    assert compare(authority, {"MUG": 3}, seen_until=now()).flagged == 1
    assert shop.level("MUG") == (20, 0)
    shipped(shop, "MUG", 1)
    assert count_in(Discrepancy.objects.all(), actor="operator") == 1
    assert shop.level("MUG") == (2, 0)
    assert count_in(Discrepancy.objects.all(), actor="operator") == 0


def test_a_difference_that_is_gone_is_closed() -> None:
    shop, authority = opened(Policy.FLAG)
    compare(authority, {"MUG": 19}, seen_until=now())
    shipped(shop, "MUG", 1)
    compare(authority, {"MUG": 19}, seen_until=now())
    assert Discrepancy.objects.get().state == DiscrepancyState.GONE


def test_goods_the_ledger_never_held_there_are_found() -> None:
    shop, authority = opened()
    shop.add_variant("POT")
    compare(authority, {"POT": 6}, seen_until=now())
    assert shop.level("POT") == (6, 0)


def test_units_that_are_gone_break_reservations_into_conflicts() -> None:
    shop, authority = opened()
    demand = Demand("order 1", shop.variants["MUG"].pk, 18, (shop.locations["main"].pk,))
    reserve(Context(shop.merchant.pk, "reserve"), [demand])
    compare(authority, {"MUG": 15}, seen_until=now())
    assert shop.level("MUG") == (15, 15)
    assert Conflict.objects.get().open_quantity == 3


@pytest.mark.parametrize(
    ("numbers", "ahead", "field"), [({"MUG": -1}, 0, "numbers"), ({"MUG": 1}, 5, "seen_until")]
)
def test_what_cannot_be_is_refused(numbers: dict[str, int], ahead: int, field: str) -> None:
    _, authority = opened()
    with pytest.raises(Refused) as refused:
        compare(authority, numbers, seen_until=now() + timedelta(minutes=ahead))
    assert refused.value.field == field


@pytest.mark.property
@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    before=st.lists(st.integers(1, 5), max_size=3),
    after=st.lists(st.integers(-5, 5).filter(bool), max_size=4),
    lost=st.integers(-6, 6),
)
def test_the_ledger_ends_where_the_goods_are(before: list[int], after: list[int], lost: int) -> None:
    """Whatever moved before and after the authority looked: it ends at what truly lies there."""
    shop, authority = opened()
    truth = 20
    for units in before:
        truth -= units
        shipped(shop, "MUG", units)
    truth -= lost
    seen, said = now(), truth
    for units in after:
        if units > 0 and truth >= units:
            truth -= units
            shipped(shop, "MUG", units)
        elif units < 0:
            truth -= units
            goods = [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, -units)]
            receive(Context(shop.merchant.pk, f"more:{timezone.now().isoformat()}"), goods)
    if said < 0:
        return
    compare(authority, {"MUG": said}, seen_until=seen)
    assert StockLevel.objects.get(variant=shop.variants["MUG"]).on_hand == truth


def test_units_that_left_beyond_record_since_are_found_already() -> None:
    shop, authority = opened()
    seen_until = now()
    shipped(shop, "MUG", 21)
    assert compare(authority, {"MUG": 21}, seen_until=seen_until).drifted == 0
    assert shop.level("MUG") == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_counts_once() -> None:
    shop, authority = opened(Policy.FLAG)
    compare(authority, {"MUG": 15}, seen_until=now())

    def click() -> int:
        return count_in(Discrepancy.objects.all(), actor="operator")

    assert sorted(race([click] * 4)) == [0, 0, 0, 1]
    assert shop.level("MUG") == (15, 0)


def test_an_order_of_a_channel_that_it_has_not_seen_stays_reserved() -> None:
    shop, authority = opened()
    shop.list_variant("MUG")
    seen_until = now()
    apply_state(shop.channel, order(line("MUG", 4)), arrived_at=NOON)
    compare(authority, {"MUG": 19}, seen_until=seen_until)
    assert shop.level("MUG") == (19, 4)


def test_the_command_reads_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop, _ = opened()
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nMUG,18\nCUP,8\n")
    options = {"merchant": shop.merchant.slug, "location": "main", "seen_until": now().isoformat()}
    call_command("reconcile_stock", str(file), **options)
    assert "1 differ; 1 counted in" in capsys.readouterr().out
    assert shop.level("MUG") == (18, 0)
    file.write_text("sku,on_hand\nMUG,many\n")
    with pytest.raises(CommandError, match="row 2"):
        call_command("reconcile_stock", str(file), **options)
    file.write_text("sku,on_hand\nMUG,18\n")
    with pytest.raises(CommandError, match="no time"):
        call_command("reconcile_stock", str(file), **{**options, "seen_until": "yesterday"})
    with pytest.raises(CommandError, match="Nobody has the say"):
        call_command("reconcile_stock", str(file), **{**options, "location": "moon"})
