"""What happens becomes events, once, for those alone who want it; and whoever commits late is told late, not never."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.models import ChannelOrder
from channels.orders import apply_deleted, apply_state
from config.environment import BASE_DIR
from inventory.models import FeedMark, Merchant, StockLevel
from inventory.reservations import ReservedUnits, confirm, fulfil, release
from inventory.sequencer import sequence
from reconciliation.alerts import Trouble, clear_alert, mute, raise_alert
from reconciliation.models import Discrepancy, Severity, WebhookCursor, WebhookEvent
from reconciliation.outgoing import following
from reconciliation.outgoing.event_types import EVENTS, FAMILIES
from reconciliation.outgoing.making import make_noted
from reconciliation.outgoing.messenger import make_events
from reconciliation.outgoing.subscriptions import disable, enable
from tests.channels.shop import Shop, line, open_shop, order
from tests.inventory.cast import Cast, in_an_hour
from tests.inventory.racing import PATIENCE, meanwhile, race
from tests.reconciliation.desk import Desk
from tests.reconciliation.hooks import hook, said, told, types

pytestmark = pytest.mark.django_db

DOWN = Trouble("Web shop: stopped", severity=Severity.WARNING, escalates_after=None)


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG": 10})


@pytest.fixture
def cast() -> Cast:
    return Cast()


def happened() -> None:
    """Has what was committed become events."""
    sequence()
    make_events()


# -- nobody asked


def test_where_nobody_wants_to_hear_of_it_nothing_is_written(desk: Desk) -> None:
    merchant = desk.shop.merchant
    hook(merchant, "discrepancy.*")
    disable(hook(merchant, "conflict.opened", "order.*", "stock.*"))
    hook(Merchant.objects.create(name="Other", slug="other"), "*")
    desk.oversell()
    happened()
    assert not WebhookEvent.objects.exists()


def test_two_who_want_it_are_told_of_one_event_and_a_stranger_of_none(desk: Desk) -> None:
    exact, family = hook(desk.shop.merchant, "conflict.opened"), hook(desk.shop.merchant, "conflict.*")
    stranger = hook(Merchant.objects.create(name="Other", slug="other"))
    conflict = desk.oversell(2)
    happened()
    (event,) = WebhookEvent.objects.all()
    assert told(exact) == told(family) == [("conflict.opened", said(event))]
    assert told(stranger) == []
    assert (event.subject, said(event)["id"]) == (f"conflict:{conflict.pk}", conflict.pk)
    assert (said(event)["sku"], said(event)["open_quantity"]) == ("MUG", 2)
    assert said(event)["locations"][0] == "main"


# -- from rows


def test_a_conflict_is_told_when_it_opens_and_when_it_is_over(desk: Desk) -> None:
    listener = hook(desk.shop.merchant, "conflict.*")
    desk.oversell(2)
    desk.receive(1)
    happened()
    assert types(listener) == ["conflict.opened"]  # one unit is still owed
    desk.receive(1)
    happened()
    assert types(listener) == ["conflict.opened", "conflict.resolved"]
    opened, resolved = WebhookEvent.objects.order_by("pk")
    assert resolved.version > opened.version
    assert said(resolved)["resolved_at"] is not None
    assert make_events() == 0


def test_an_order_is_told_with_what_became_of_it(shop: Shop) -> None:
    listener = hook(shop.merchant, "order.*")
    states = [
        order(line("MUG", 2), at=0),
        order(line("MUG", 3), at=1),
        order(line("MUG", 3), at=2),  # nothing about stock changed
        order(line("MUG", 3, fulfilled=2, cancelled=1), at=3),
        order(line("MUG", 3, fulfilled=2, cancelled=1, returned=1), at=4),
    ]
    for state in states:
        apply_state(shop.channel, state, arrived_at=timezone.now())
        happened()
    assert types(listener) == ["order.created", "order.updated", "order.fulfilled", "order.updated"]
    versions = list(WebhookEvent.objects.order_by("pk").values_list("version", flat=True))
    assert versions == sorted(set(versions))
    data = told(listener)[-1][1]
    assert data["external_id"] == "1001"
    assert data["lines"][0]["returned"] == 1


def test_an_order_that_is_cancelled_or_deleted_is_told_as_cancelled(shop: Shop) -> None:
    listener = hook(shop.merchant, "order.cancelled")
    for number in ("1", "2"):
        apply_state(shop.channel, order(line("MUG", 2), id=number), arrived_at=timezone.now())
    apply_state(shop.channel, order(line("MUG", 2, cancelled=2), id="1", at=1), arrived_at=timezone.now())
    apply_deleted(shop.channel, "2", arrived_at=timezone.now())
    happened()
    assert [data["external_id"] for _, data in told(listener)] == ["1", "2"]


def test_a_discrepancy_is_told_by_what_becomes_of_it(shop: Shop) -> None:
    listener = hook(shop.merchant, "discrepancy.*")
    shelf = shop.shelf(shop.list_variant("MUG"))
    now = timezone.now()
    found = Discrepancy.objects.create(
        merchant=shop.merchant, channel=shop.channel, listing_level=shelf, shown=7, expected=10,
        cause="foreign_edit", first_seen_at=now, last_seen_at=now,
    )  # fmt: skip
    Discrepancy.objects.filter(pk=found.pk).update(sightings=2)
    Discrepancy.objects.filter(pk=found.pk).update(state="correcting")
    Discrepancy.objects.filter(pk=found.pk).update(state="corrected", closed_at=now)
    happened()
    assert types(listener) == ["discrepancy.opened", "discrepancy.correcting", "discrepancy.corrected"]
    opened = told(listener)[0][1]
    assert (opened["sku"], opened["difference"], opened["state"]) == ("MUG", -3, "open")


def test_a_channel_is_told_when_something_is_wrong_worse_and_over(shop: Shop) -> None:
    listener = hook(shop.merchant, "channel.*")
    raise_alert("channel_down", DOWN, channel=shop.channel)
    raise_alert("channel_down", DOWN, channel=shop.channel)  # seen again
    worse = Trouble("Web shop: stopped", severity=Severity.CRITICAL)
    raise_alert("channel_down", worse, channel=shop.channel)
    clear_alert("channel_down", channel=shop.channel)
    raise_alert("disk_full", DOWN)
    happened()
    assert types(listener) == ["channel.unhealthy", "channel.unhealthy", "channel.recovered"]
    assert [data["severity"] for _, data in told(listener)] == ["warning", "critical", "critical"]
    assert told(listener)[0][1]["channel"] == {"id": shop.channel.pk, "name": "Web shop"}


def test_nobody_hears_of_what_is_muted(shop: Shop) -> None:
    listener = hook(shop.merchant, "channel.*")
    alert = raise_alert("channel_down", DOWN, channel=shop.channel)
    mute([alert.pk], until=timezone.now() + timedelta(hours=1), actor="anna", because="Known.")
    happened()
    assert types(listener) == []
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_commits_late_is_told_late() -> None:
    shop = open_shop()
    listener = hook(shop.merchant, "channel.*")
    may_commit = threading.Event()

    def slowly() -> int:
        with transaction.atomic():
            alert = raise_alert("slow", DOWN, channel=shop.channel)
            written.set()
            may_commit.wait(PATIENCE)
        return int(alert.pk)

    written = threading.Event()
    with meanwhile(slowly):
        assert written.wait(PATIENCE)
        raise_alert("quick", DOWN, channel=shop.channel)
        assert make_noted() == 1
        may_commit.set()
    assert make_noted() == 1
    slow, quick = WebhookEvent.objects.order_by("pk")
    # A cursor over ids would have passed it over: it stands below one that was told before.
    assert (said(slow)["kind"], said(quick)["kind"]) == ("slow", "quick")
    assert [data["kind"] for _, data in told(listener)] == ["quick", "slow"]


@pytest.mark.django_db(transaction=True)
def test_two_who_make_events_make_each_once() -> None:
    shop = open_shop()
    listener = hook(shop.merchant, "channel.*")
    for number in range(20):
        raise_alert(f"kind_{number}", DOWN, channel=shop.channel)
    makers: list[Callable[[], Any]] = [make_noted] * 4
    race(makers)
    make_noted()
    assert len(told(listener)) == 20


# -- from the feed


def test_changes_of_a_level_since_the_last_look_are_one_event(cast: Cast) -> None:
    listener = hook(cast.merchant, "stock.changed")
    for units in (5, 3, 2):
        cast.receive(units)
    cast.receive(1, cast.shirt)
    happened()
    events = {data["sku"]: data for _, data in told(listener)}
    assert (len(told(listener)), set(events)) == (2, {cast.mug.sku, cast.shirt.sku})
    mugs = events[cast.mug.sku]
    assert mugs["location"] == cast.warehouse.code
    assert (mugs["on_hand"], mugs["available"], mugs["available_before"], mugs["changes"]) == (10, 10, 0, 3)
    event = WebhookEvent.objects.get(subject=f"stock:{cast.mug.pk}:{cast.warehouse.pk}")
    assert event.version == StockLevel.objects.get(variant=cast.mug).version == 3
    cast.receive(1)
    happened()
    assert WebhookEvent.objects.latest("pk").version == 4


def test_low_and_out_are_told_when_a_level_falls_there(cast: Cast) -> None:
    listener = hook(cast.merchant, "stock.low", "stock.out")
    cast.receive(10)
    cast.receive(3, place=cast.store)
    StockLevel.objects.filter(variant=cast.mug, location=cast.warehouse).update(safety_stock=5)
    happened()
    assert types(listener) == []
    cast.hold("a", 5, places=[cast.warehouse.pk])
    happened()
    cast.hold("b", 2, places=[cast.warehouse.pk])
    happened()
    assert types(listener) == ["stock.low"]
    cast.hold("c", 3, places=[cast.warehouse.pk])
    happened()
    assert types(listener) == ["stock.low", "stock.out"]
    out = told(listener)[-1][1]
    assert (out["available"], out["available_everywhere"], out["safety_stock"]) == (0, 3, 5)


def test_a_dip_that_is_over_at_the_next_look_is_not_told(cast: Cast) -> None:
    listener = hook(cast.merchant, "stock.out")
    cast.receive(2)
    happened()
    cast.hold("a", 2)
    cast.receive(1)
    happened()
    assert types(listener) == []


def test_reservations_are_told_step_by_step(cast: Cast) -> None:
    listener = hook(cast.merchant, "reservation.*")
    cast.receive(10)
    held = cast.hold("cart-1", 4, expires_at=in_an_hour())
    confirm(cast.context(), [held])
    fulfil(cast.context(), [ReservedUnits(held, 3)])
    release(cast.context(), [ReservedUnits(held, 1)])
    happened()
    assert types(listener) == [
        "reservation.created", "reservation.confirmed", "reservation.fulfilled", "reservation.released",
    ]  # fmt: skip
    versions = list(WebhookEvent.objects.order_by("pk").values_list("version", flat=True))
    assert versions == sorted(set(versions))
    told_last = told(listener)[-1][1]
    assert (told_last["reference"], told_last["units"], told_last["sku"]) == ("cart-1", 1, cast.mug.sku)


def test_what_happened_before_somebody_subscribed_is_not_told(cast: Cast) -> None:
    cast.receive(1)
    sequence()
    listener = hook(cast.merchant, "stock.*")
    happened()
    assert types(listener) == []
    disable(listener)
    cast.receive(1)
    happened()
    enable(listener)
    cast.receive(1)
    happened()
    # What happened while nobody listened stays untold; the next event says where the level stands.
    assert [data["on_hand"] for _, data in told(listener)] == [3]


def test_a_second_subscription_moves_nobodys_place_in_the_feed(cast: Cast) -> None:
    first = hook(cast.merchant, "stock.changed")
    cast.receive(1)
    sequence()
    second = hook(cast.merchant, "stock.changed")
    make_events()
    assert types(first) == types(second) == ["stock.changed"]


def test_a_merchant_of_whom_nothing_happens_keeps_up_with_the_feed(cast: Cast) -> None:
    hook(Merchant.objects.create(name="Quiet", slug="quiet"), "stock.*")
    cast.receive(1)
    happened()
    head = FeedMark.objects.get(name="position").value
    assert WebhookCursor.objects.get().position == head > 0


def test_a_death_while_events_are_made_makes_none_twice(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = hook(cast.merchant, "stock.changed")
    cast.receive(1)
    sequence()
    with monkeypatch.context() as dying:
        dying.setattr(following, "make_messages", _die)
        with pytest.raises(KeyboardInterrupt), transaction.atomic():
            make_events()
    assert not WebhookEvent.objects.exists()
    happened()
    assert types(listener) == ["stock.changed"]


def _die(_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.django_db(transaction=True)
def test_two_who_follow_the_feed_make_each_event_once() -> None:
    cast = Cast()
    listener = hook(cast.merchant, "stock.changed")
    for _ in range(5):
        cast.receive(1)
        cast.receive(1, cast.shirt)
        sequence()
        followers: list[Callable[[], Any]] = [following.follow] * 3
        race(followers)
        following.follow()
    assert len(told(listener)) == 10
    position = WebhookCursor.objects.get().position
    # The control: who reads without the lock on the place has the same changes to tell.
    WebhookCursor.objects.update(position=0)
    following.follow()
    assert len(told(listener)) == 12
    assert WebhookCursor.objects.get().position == position


def test_no_order_needs_more_statements_for_being_told(shop: Shop) -> None:
    def cost(number: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            apply_state(shop.channel, order(line("MUG", 1), id=number), arrived_at=timezone.now())
        return len(captured)

    cost("0")
    alone = cost("1")
    hook(shop.merchant, "*")
    assert cost("2") == alone
    assert WebhookEvent.objects.filter(type="order.created").count() == 1
    assert ChannelOrder.objects.count() == 3


def test_the_handbook_names_every_event() -> None:
    handbook = (BASE_DIR / "reconciliation" / "README.md").read_text()
    rows = [row for row in handbook.splitlines() if row.startswith("| `")]
    for name in EVENTS:
        family, _, what = name.partition(".")
        assert any(f"`{family}." in row and (f"`{name}`" in row or f"`.{what}`" in row) for row in rows), name
    assert set(FAMILIES) == {f"{each.partition('.')[0]}.*" for each in EVENTS}
