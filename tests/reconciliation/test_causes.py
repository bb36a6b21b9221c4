"""What a conflict came from, by the record: who sold when, what was known, what the shop had been told."""

from datetime import datetime, timedelta

import pytest

from channels.models import ChannelOrder, ListingLevel, Push, ShelfObservation
from inventory.bundles import Component, define
from inventory.demands import DemandChange, settle
from inventory.models import BundleKind, Conflict, Reservation
from inventory.stock import CountLine, count
from reconciliation.causes import classify, examine, examine_new
from reconciliation.evidence import gather
from reconciliation.models import CauseClass, ConflictCase
from reconciliation.timelines import timeline
from tests.factories import VariantFactory
from tests.reconciliation.desk import Desk, listing_of

pytestmark = pytest.mark.django_db


def at(conflict: Conflict, seconds: float) -> datetime:
    """Returns an instant so many seconds before the conflict opened."""
    return conflict.opened_at - timedelta(seconds=seconds)


def sold(number: str, when: datetime, known: datetime | None = None) -> None:
    """Has an order sold at an instant, and known to the ledger at another."""
    line_reference = ChannelOrder.objects.get(external_id=number).lines.get().reference
    ChannelOrder.objects.filter(external_id=number).update(ordered_at=when, applied_at=known or when)
    Reservation.objects.filter(reference=line_reference).update(created_at=known or when)


def shelf(desk: Desk, number: int, confirmed_at: datetime) -> ListingLevel:
    """Has the shop show a number since an instant."""
    level = listing_of(desk).levels.get()
    Push.objects.create(
        channel=desk.shop.channel,
        listing_level=level,
        wanted=1,
        target=number,
        quantity=number,
        outcome="confirmed",
        computed_at=confirmed_at,
        finished_at=confirmed_at,
    )
    return level


@pytest.fixture
def rivals(desk: Desk) -> tuple[Desk, str, str, Conflict]:
    """The last mug was sold to one order, and once more to the next."""
    desk.receive(1)
    first, second = desk.sell(1), desk.sell(1)
    return desk, first, second, desk.conflict(second)


def cause_of(conflict: Conflict) -> tuple[CauseClass, str]:
    conflict.refresh_from_db()
    return classify(gather(conflict))


def test_sales_within_a_second_are_a_race(rivals: tuple[Desk, str, str, Conflict]) -> None:
    desk, first, second, conflict = rivals
    shelf(desk, 1, at(conflict, 60))
    sold(first, at(conflict, 10.4), at(conflict, 9.9))
    sold(second, at(conflict, 10), at(conflict, 0))
    assert cause_of(conflict)[0] is CauseClass.TRUE_RACE


def test_an_order_that_was_not_known_yet_is_the_cause(rivals: tuple[Desk, str, str, Conflict]) -> None:
    desk, first, second, conflict = rivals
    shelf(desk, 1, at(conflict, 600))
    sold(first, at(conflict, 300), at(conflict, 5))
    sold(second, at(conflict, 100), at(conflict, 0))
    cause, why = cause_of(conflict)
    assert cause is CauseClass.UNSEEN_ORDER
    assert "known only 5 min after its sale" in why


def test_an_order_that_came_late_itself_is_the_cause(rivals: tuple[Desk, str, str, Conflict]) -> None:
    _, first, second, conflict = rivals
    sold(first, at(conflict, 10), at(conflict, 9))
    sold(second, at(conflict, 300), at(conflict, 0))
    assert cause_of(conflict)[0] is CauseClass.UNSEEN_ORDER


def test_a_number_that_the_shop_had_not_confirmed_is_the_cause(
    rivals: tuple[Desk, str, str, Conflict],
) -> None:
    desk, first, second, conflict = rivals
    shelf(desk, 1, at(conflict, 600))
    sold(first, at(conflict, 300), at(conflict, 299))
    sold(second, at(conflict, 10), at(conflict, 0))
    cause, why = cause_of(conflict)
    assert cause is CauseClass.UNCONFIRMED_PUSH
    assert "still showed 1" in why


def test_a_shop_that_sold_below_its_number_is_the_cause(rivals: tuple[Desk, str, str, Conflict]) -> None:
    desk, first, second, conflict = rivals
    shelf(desk, 0, at(conflict, 60))
    sold(first, at(conflict, 300), at(conflict, 299))
    sold(second, at(conflict, 10), at(conflict, 0))
    assert cause_of(conflict)[0] is CauseClass.SOLD_BELOW


def test_a_number_that_somebody_else_wrote_is_the_cause(rivals: tuple[Desk, str, str, Conflict]) -> None:
    desk, first, second, conflict = rivals
    level = shelf(desk, 0, at(conflict, 600))
    sold(first, at(conflict, 300), at(conflict, 299))
    sold(second, at(conflict, 10), at(conflict, 0))
    ShelfObservation.objects.create(
        channel=desk.shop.channel,
        listing_level=level,
        quantity=7,
        expected=0,
        verdict="foreign",
        observed_at=at(conflict, 50),
        received_at=at(conflict, 50),
    )
    cause, why = cause_of(conflict)
    assert cause is CauseClass.FOREIGN_EDIT
    assert "showed 7" in why


def test_kits_that_took_the_last_units_are_the_cause(desk: Desk) -> None:
    shop = desk.shop
    kit = VariantFactory(merchant=shop.merchant, sku="KIT")
    define(desk.context(), kit.pk, BundleKind.KIT, [Component(shop.variants["MUG"].pk, 1)])
    shop.variants["KIT"] = kit
    shop.list_variant("KIT")
    desk.receive(1)
    desk.sell(1, sku="KIT")
    conflict = desk.conflict(desk.sell(1))
    assert cause_of(conflict)[0] is CauseClass.BUNDLE


def test_goods_that_are_gone_are_the_cause(desk: Desk) -> None:
    desk.receive(1)
    number = desk.sell(1)
    shop = desk.shop
    count(desk.context(), [CountLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 0)])
    assert cause_of(desk.conflict(number))[0] is CauseClass.PHYSICAL_LOSS


def test_a_demand_without_a_record_is_not_explained(desk: Desk) -> None:
    shop = desk.shop
    change = DemandChange("job:1", shop.variants["MUG"].pk, (shop.locations["main"].pk,), wanted=1)
    settle(desk.context(), [change])
    assert cause_of(Conflict.objects.get())[0] is CauseClass.UNEXPLAINED


def test_every_new_conflict_is_judged_once_and_the_judgement_stays(desk: Desk) -> None:
    conflict = desk.oversell()
    assert (examine_new(), examine_new()) == (1, 0)
    kept = ConflictCase.objects.get()
    ConflictCase.objects.update(cause_class=CauseClass.TRUE_RACE)
    assert examine(conflict).cause_class == CauseClass.TRUE_RACE
    assert kept.channel_id == desk.shop.channel.pk


def test_the_timeline_tells_who_sold_when_what_was_told_and_which_message_was_late(
    rivals: tuple[Desk, str, str, Conflict],
) -> None:
    desk, first, second, conflict = rivals
    shelf(desk, 1, at(conflict, 600))
    sold(first, at(conflict, 300), at(conflict, 5))
    sold(second, at(conflict, 100), at(conflict, 0))
    events = timeline(gather(conflict), [])
    assert [event.at for event in events] == sorted(event.at for event in events)
    words = [event.what for event in events]
    assert any(f"Other sale: 1 to #{first} on Web shop" in each for each in words)
    assert any("confirmed 1" in each for each in words)
    assert next(each.what for each in events if each.is_late).startswith(f"#{first} on Web shop known")
    assert words[-1].startswith(f"#{second} on Web shop known") or words[-1].startswith("Conflict opened")
