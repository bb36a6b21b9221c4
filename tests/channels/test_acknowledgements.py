"""Our word on orders that wait for it: said once its units are settled, followed to its end, said again when in doubt."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar, cast

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from channels import acknowledgements
from channels.accounts import open_connector
from channels.acknowledgements import LONGEST_WAIT, hurry, replay, say_due
from channels.connectors import CONNECTORS
from channels.connectors.base import (
    Acknowledged,
    AcknowledgedLine,
    AcknowledgementEnd,
    AcknowledgementStep,
    Connector,
    PromisedLine,
)
from channels.errors import OutcomeUnknown, Rejected, TransientError, Unauthorised
from channels.mapping import apply_waiting_lines
from channels.models import Channel, ChannelHealth, ChannelOrder, ErrorEntry, OrderAcknowledgement
from channels.orders import apply_state
from channels.promises import promised_lines
from channels.survey import survey
from inventory.ledger import Context
from inventory.stock import StockLine, receive
from tests.back_office import person
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import TellingConnector
from tests.channels.test_bundles import bundle
from tests.channels.test_preorders import shop_with_inbound
from tests.inventory.buying import in_days

pytestmark = pytest.mark.django_db

Said = tuple[str, tuple[PromisedLine, ...]]


@dataclass
class Platform:
    """What waits for our word."""

    said: list[Said] = field(default_factory=list)
    #: What is answered to a word; raised where it is an exception.
    step: AcknowledgementStep | Exception = AcknowledgementStep.SENT
    #: How words end, by tracking id; None: all are still open.
    end: AcknowledgementEnd | Exception | None = field(default_factory=lambda: AcknowledgementEnd(True))
    patience: timedelta | None = timedelta(hours=1)
    #: Called before each answer.
    meanwhile: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)


class AskingConnector(TellingConnector):
    """Takes our word into the platform of the running test."""

    capabilities = replace(TellingConnector.capabilities, acknowledges_orders=True)
    platform: ClassVar[Platform]

    def acknowledge_order(self, external_id: str, lines: Sequence[PromisedLine]) -> Acknowledged:
        self.platform.meanwhile()
        with self.platform.lock:
            self.platform.said.append((external_id, tuple(lines)))
            number = len(self.platform.said)
        if isinstance(self.platform.step, Exception):
            raise self.platform.step
        words = tuple(AcknowledgedLine(each.external_id, each.held) for each in lines)
        return Acknowledged(self.platform.step, f"word-{number}", words)

    def follow_acknowledgements(self, tracking_ids: Sequence[str]) -> dict[str, AcknowledgementEnd | None]:
        if isinstance(self.platform.end, Exception):
            raise self.platform.end
        return dict.fromkeys(tracking_ids, self.platform.end)

    @classmethod
    def shortage_patience(cls, settings: Mapping[str, Any]) -> timedelta | None:
        return cls.platform.patience


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    found = Platform()
    connector = type("AskingHere", (AskingConnector,), {"platform": found})
    kinds = cast(dict[str, type[Connector]], CONNECTORS)
    monkeypatch.setitem(kinds, "telling", cast(type[Connector], connector))
    return found


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return open_shop({"MUG": 10, "CUP": 5}, kind="telling")


def ask(
    shop: Shop, *lines: Any, at: int = 0, id: str = "1", awaits: bool = True
) -> OrderAcknowledgement | None:
    """Applies an order that waits for our word, and returns what is known of that."""
    state = replace(order(*lines, at=at, id=id), awaits_acknowledgement=awaits)
    apply_state(shop.channel, state, arrived_at=timezone.now())
    return OrderAcknowledgement.objects.filter(order__external_id=id, order__channel=shop.channel).first()


def word_of(shop: Shop, id: str = "1") -> OrderAcknowledgement:
    return OrderAcknowledgement.objects.select_related("order").get(order__external_id=id)


def say(shop: Shop) -> int:
    """Says what is due, as if all pauses were over."""
    OrderAcknowledgement.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    return say_due(shop.channel, open_connector(shop.channel))


# -- when


def test_an_order_that_is_held_in_full_is_answered_at_once_and_followed_to_its_end(
    shop: Shop, platform: Platform
) -> None:
    ask(shop, line("MUG", 4), line("CUP", 5))
    assert survey()[shop.channel.pk].acknowledgements
    assert say(shop) == 1
    ((order_id, lines),) = platform.said
    assert order_id == "1"
    assert {(each.sku, each.wanted, each.held) for each in lines} == {("MUG", 4, 4), ("CUP", 5, 5)}
    word = word_of(shop)
    assert (word.progress, word.done) == ("on its way", 0)
    assert word.lines == {"line-MUG": {"accepted": 4}, "line-CUP": {"accepted": 5}}
    say(shop)
    word = word_of(shop)
    assert (word.progress, word.done) == ("in force", 1)
    assert word.order.fetch_wanted > word.order.fetched, "what came of it stands in the order"
    assert not survey()[shop.channel.pk].acknowledgements


def test_an_order_that_is_short_waits_for_goods_and_says_so(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 12), line("CUP", 5))
    say(shop)
    assert platform.said == []
    word = word_of(shop)
    assert word.progress == "waiting"
    assert word.waits_for.startswith("2 units on 1 lines are not held; it waits for goods until ")
    location = shop.locations["main"].pk
    receive(Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, location, 2)])
    say(shop)
    assert [(each.wanted, each.held) for each in platform.said[0][1]] == [(5, 5), (12, 12)]


def test_after_its_patience_a_short_order_is_answered_by_what_there_is(
    shop: Shop, platform: Platform
) -> None:
    ask(shop, line("MUG", 12))
    say(shop)
    OrderAcknowledgement.objects.update(asked_at=F("asked_at") - timedelta(hours=1))
    say(shop)
    ((_, (each,)),) = platform.said
    assert (each.wanted, each.held, each.is_known) == (12, 10, True)


def test_where_nothing_is_rejected_by_itself_people_decide(shop: Shop, platform: Platform) -> None:
    platform.patience = None
    word = ask(shop, line("MUG", 12))
    assert word is not None
    OrderAcknowledgement.objects.update(asked_at=F("asked_at") - timedelta(days=9))
    say(shop)
    assert platform.said == []
    assert "until a person decides" in word_of(shop).waits_for
    assert hurry([word.pk]) == 1
    say(shop)
    assert len(platform.said) == 1
    assert hurry([word.pk]) == 0, "it is on its way"


def test_a_line_that_nobody_knows_waits_and_is_held_once_it_is_mapped(shop: Shop, platform: Platform) -> None:
    ask(shop, line("NEW", 3))
    say(shop)
    assert "1 lines name a SKU that nobody knows" in word_of(shop).waits_for
    shop.add_variant("NEW", {"main": 3})
    apply_waiting_lines(shop.merchant.pk)
    say(shop)
    ((_, (each,)),) = platform.said
    assert (each.held, each.is_known) == (3, True)


def test_goods_that_are_not_sold_any_more_are_named(shop: Shop, platform: Platform) -> None:
    shop.variants["MUG"].is_active = False
    shop.variants["MUG"].save()
    ask(shop, line("MUG", 12))
    (each,) = promised_lines(ChannelOrder.objects.select_related("channel").get())
    assert (each.is_known, each.is_sold) == (True, False)


def test_what_has_left_or_was_cancelled_is_not_promised_again(shop: Shop) -> None:
    ask(shop, line("MUG", 8, cancelled=2, fulfilled=3))
    (each,) = promised_lines(ChannelOrder.objects.select_related("channel").get())
    assert (each.wanted, each.held) == (3, 3)


def test_what_is_to_come_is_promised_with_its_day(platform: Platform) -> None:
    shop, _ = shop_with_inbound(3, limit=2, kind="telling")
    ask(shop, line("MUG", 5))
    (each,) = promised_lines(ChannelOrder.objects.select_related("channel").get())
    assert (each.wanted, each.held, each.backordered, each.expected_on) == (5, 0, 3, in_days(7))
    assert each.is_short


def test_kits_are_promised_whole(shop: Shop) -> None:
    bundle(shop, "SET", {"MUG": 3, "CUP": 1})
    ask(shop, line("SET", 5))
    (each,) = promised_lines(ChannelOrder.objects.select_related("channel").get())
    assert (each.wanted, each.held) == (5, 3)


def test_what_is_promised_is_counted_by_one_statement_whatever_its_lines(shop: Shop) -> None:
    ask(shop, *(line("MUG", 1, id=str(number)) for number in range(9)))
    found = ChannelOrder.objects.select_related("channel").get()
    with CaptureQueriesContext(connection) as queries:
        assert len(promised_lines(found)) == 9
    assert len(queries) == 1


def test_channels_whose_orders_wait_for_nothing_cost_no_statement() -> None:
    plain = open_shop({"MUG": 10})
    with CaptureQueriesContext(connection) as queries:
        apply_state(plain.channel, order(line("MUG")), arrived_at=timezone.now())
    assert not [each for each in queries if "orderacknowledgement" in each["sql"]]


# -- what the platform changes


def test_the_same_order_again_asks_for_nothing_new_and_a_changed_one_does(
    shop: Shop, platform: Platform
) -> None:
    ask(shop, line("MUG", 4))
    ask(shop, line("MUG", 4), at=1)
    assert word_of(shop).wanted == 1
    say(shop)
    ask(shop, line("MUG", 2), at=2)
    say(shop)
    assert (word_of(shop).wanted, word_of(shop).done) == (2, 1), "what was on its way has ended"
    say(shop)
    say(shop)
    assert [lines[0].wanted for _, lines in platform.said] == [4, 2]
    assert word_of(shop).progress == "in force"


def test_an_order_that_waits_no_more_is_told_nothing(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 4))
    ask(shop, line("MUG", 4), at=1, awaits=False)
    assert say(shop) == 0
    assert word_of(shop).progress == "settled elsewhere"
    assert platform.said == []


def test_a_platform_that_waits_no_more_or_changed_its_order_has_it_read_anew(
    shop: Shop, platform: Platform
) -> None:
    ask(shop, line("MUG", 4))
    platform.step = AcknowledgementStep.CHANGED
    say(shop)
    word = word_of(shop)
    assert (word.progress, word.order.fetch_wanted) == ("to be said", 1)
    assert word.due_at > timezone.now()
    platform.step = AcknowledgementStep.NOT_AWAITED
    say(shop)
    word = word_of(shop)
    assert (word.progress, word.order.fetch_wanted) == ("settled elsewhere", 2)


# -- what goes wrong


def test_a_word_of_unknown_outcome_is_said_again_after_a_while(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 4))
    platform.step = OutcomeUnknown()
    say(shop)
    word = word_of(shop)
    assert (word.progress, word.attempts, word.lease_token) == ("to be said", 0, None)
    assert word.due_at > timezone.now() + timedelta(seconds=5)
    platform.step = AcknowledgementStep.SENT
    say(shop)
    say(shop)
    assert word_of(shop).progress == "in force"


def test_a_channel_that_fails_leaves_the_others_due_and_blames_no_order(
    shop: Shop, platform: Platform
) -> None:
    for number in range(3):
        ask(shop, line("MUG", 1), id=str(number))
    platform.step = Unauthorised()
    assert say(shop) == 3
    assert len(platform.said) == 1
    assert set(OrderAcknowledgement.objects.values_list("attempts", "lease_token")) == {(0, None)}
    assert ErrorEntry.objects.get().job == "acknowledge"
    assert ChannelHealth.objects.get(channel=shop.channel).breaker_open_until is not None


def test_a_word_that_is_refused_three_times_is_left_to_people(shop: Shop, platform: Platform) -> None:
    word = ask(shop, line("MUG", 4))
    assert word is not None
    platform.step = Rejected("No such item.")
    for _ in range(3):
        say(shop)
    found = word_of(shop)
    assert (found.progress, found.last_error, found.order.fetch_wanted) == ("given up", "No such item.", 3)
    assert say(shop) == 0
    assert replay([word.pk]) == 1
    platform.step = AcknowledgementStep.SENT
    say(shop)
    say(shop)
    assert word_of(shop).progress == "in force"


def test_a_word_that_fails_in_the_end_is_counted_anew_and_said_again(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 4))
    platform.end = AcknowledgementEnd(False, "The quantities do not match.")
    say(shop)
    say(shop)
    word = word_of(shop)
    assert (word.attempts, word.last_error, word.tracking_id) == (1, "The quantities do not match.", "")
    platform.end = AcknowledgementEnd(True)
    say(shop)
    say(shop)
    assert (word_of(shop).progress, word_of(shop).attempts) == ("in force", 0)
    assert len(platform.said) == 2


def test_a_word_that_the_platform_works_on_for_ever_is_looked_at_again(
    shop: Shop, platform: Platform
) -> None:
    ask(shop, line("MUG", 4))
    platform.end = None
    say(shop)
    say(shop)
    assert word_of(shop).progress == "on its way"
    OrderAcknowledgement.objects.update(sent_at=F("sent_at") - LONGEST_WAIT)
    say(shop)
    assert "still works on it" in word_of(shop).last_error
    # It had arrived after all.
    platform.step = AcknowledgementStep.NOT_AWAITED
    say(shop)
    assert word_of(shop).progress == "in force"


def test_a_platform_that_cannot_be_asked_leaves_the_word_on_its_way(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 4))
    say(shop)
    platform.end = TransientError()
    say(shop)
    assert (word_of(shop).progress, word_of(shop).lease_token) == ("on its way", None)


@pytest.mark.parametrize("changes", [{"is_paused": True}, {"is_active": False}])
def test_a_channel_that_is_paused_or_off_is_told_nothing(
    shop: Shop, platform: Platform, changes: dict[str, bool]
) -> None:
    ask(shop, line("MUG", 4))
    Channel.objects.filter(pk=shop.channel.pk).update(**changes)
    assert say(shop) == 0
    due = survey().get(shop.channel.pk)
    assert due is None or not due.acknowledgements


# -- workers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_leased", [True, False], ids=["leased", "without leases"])
def test_two_workers_never_say_the_same_word(
    shop: Shop, platform: Platform, monkeypatch: pytest.MonkeyPatch, is_leased: bool
) -> None:
    """Without leases, as the control shows, both say all of them."""
    for number in range(4):
        ask(shop, line("MUG", 1), id=str(number))
    both = threading.Barrier(2, timeout=20)
    lease = acknowledgements._lease

    def meet(channel: Channel, token: Any, limit: int) -> Any:
        both.wait()
        if is_leased:
            return lease(channel, token, limit)
        rows = OrderAcknowledgement.objects.filter(channel=channel).select_related("order")
        for word in rows:
            word.order.channel = channel
        found = [(word, "") for word in rows]
        both.wait()
        return found

    monkeypatch.setattr(acknowledgements, "_lease", meet)
    workers = [threading.Thread(target=_work, args=(shop.channel,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert len(platform.said) == (4 if is_leased else 8)


def _work(channel: Channel) -> None:
    try:
        say_due(channel, open_connector(channel))
    finally:
        connection.close()


def test_whoever_lost_the_lease_writes_nothing(shop: Shop, platform: Platform) -> None:
    ask(shop, line("MUG", 4))

    def lose() -> None:
        OrderAcknowledgement.objects.update(lease_token=None)

    platform.meanwhile = lose
    say(shop)
    assert (word_of(shop).tracking_id, word_of(shop).lines) == ("", {})


# -- the back office


@pytest.fixture
def operations(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def do(client: Client, word: OrderAcknowledgement, action: str) -> str:
    address = reverse("admin:channels_orderacknowledgement_do", args=[word.pk, action])
    return client.post(address, follow=True).content.decode()


def test_operations_have_a_word_said_now_and_again(
    operations: Client, shop: Shop, platform: Platform
) -> None:
    word = ask(shop, line("MUG", 12))
    assert word is not None
    assert "1 order will be answered now." in do(operations, word, "say_now")
    platform.step = Rejected("No such item.")
    for _ in range(3):
        say(shop)
    assert "Skipped 1: 1 not waiting." in do(operations, word, "say_now")
    assert "1 order will be answered again." in do(operations, word, "say_again")
    assert word_of(shop).dead_at is None


def test_what_was_said_of_each_line_is_shown(operations: Client, shop: Shop, platform: Platform) -> None:
    word = ask(shop, line("MUG", 4))
    assert word is not None
    say(shop)
    page = operations.get(reverse("admin:channels_orderacknowledgement_change", args=[word.pk]))
    assert "on its way" in page.content.decode()
    order_page = operations.get(reverse("admin:channels_channelorder_change", args=[word.order_id]))
    assert "Our word on it" in order_page.content.decode()


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_only_operations_have_words_said(client: Client, shop: Shop, role: str) -> None:
    word = ask(shop, line("MUG", 12))
    assert word is not None
    client.force_login(person(role))
    address = reverse("admin:channels_orderacknowledgement_do", args=[word.pk, "say_now"])
    assert client.post(address).status_code == 403
    assert not word_of(shop).is_hurried
