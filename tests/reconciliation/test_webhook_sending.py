"""Messages arrive, signed, under one id whatever happens to their sender; and whoever does not answer holds up nobody."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from channels.standard_webhooks import signed_headers
from inventory.models import Merchant
from reconciliation import health
from reconciliation.models import Alert, WebhookEvent, WebhookMessage, WebhookSubscription
from reconciliation.outgoing import leasing, messenger
from reconciliation.outgoing.leasing import Leased, lease
from reconciliation.outgoing.messenger import Messenger, send_all
from reconciliation.outgoing.replaying import replay, replay_since, send_test
from reconciliation.outgoing.subscriptions import disable, enable, renew_secret
from reconciliation.retention import forget_old_webhooks
from reconciliation.signed_posts import post
from tests.channels.connectors.servers import answer
from tests.factories import MerchantFactory
from tests.inventory.racing import PATIENCE, meanwhile
from tests.reconciliation.hooks import bodies, hook, make_due, wanted_since
from tests.reconciliation.receiver import Received, receiver

pytestmark = pytest.mark.django_db

ACCEPTED = "204 No Content"
BROKEN = "503 Service Unavailable"


@pytest.fixture(autouse=True)
def _receivers_on_this_machine(settings: Settings) -> None:
    settings.PRIVATE_WEBHOOK_HOSTS = ["127.0.0.1"]


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


def answering(*statuses: str) -> Callable[[], bytes]:
    """Answers with these, one after the other, and with the last one ever after."""
    left: Iterator[str] = iter(statuses[:-1])
    return lambda: answer(next(left, statuses[-1]), b"")


def lease_all(*subscriptions: WebhookSubscription) -> list[Leased]:
    return lease({each.pk: 100 for each in subscriptions}, limit=100)


# -- arriving


def test_a_message_is_signed_and_says_what_it_is_about(merchant: Merchant) -> None:
    with receiver() as (address, received):
        subscription = hook(merchant, url=address)
        secret = renew_secret(subscription.pk, overlap=timedelta(0))
        message = send_test(subscription)
        assert send_all() == 1
    ((headers, body),) = received
    assert headers["webhook-id"] == f"evt_{message.event.event_id.hex}"
    sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signed = signed_headers([secret], headers["webhook-id"], sent_at, body)
    assert headers["webhook-signature"] == signed["webhook-signature"]
    (told,) = bodies(received)
    assert told["id"] == headers["webhook-id"]
    assert (told["type"], told["subject"]) == ("webhook.test", f"subscription:{subscription.pk}")
    assert set(told) == {"id", "type", "timestamp", "subject", "version", "data"}
    message.refresh_from_db()
    assert (message.state, message.status, message.attempts) == ("arrived", 204, 1)
    assert send_all() == 0


def test_replaced_secrets_sign_along_for_the_overlap(merchant: Merchant) -> None:
    with receiver() as (address, received):
        subscription = hook(merchant, url=address)
        first = renew_secret(subscription.pk)
        second = renew_secret(subscription.pk)
        send_test(subscription)
        send_all()
        renew_secret(subscription.pk, overlap=timedelta(0))
        send_test(subscription)
        send_all()
    (before, body), (after, _) = received
    sent_at = datetime.fromtimestamp(int(before["webhook-timestamp"]), UTC)
    signatures = before["webhook-signature"].split(" ")
    for secret in (first, second):
        proof = signed_headers([secret], before["webhook-id"], sent_at, body)["webhook-signature"]
        assert proof in signatures
    assert len(after["webhook-signature"].split(" ")) == 1


def test_the_command_sends_what_is_due(merchant: Merchant, capsys: pytest.CaptureFixture[str]) -> None:
    with receiver() as (address, _):
        send_test(hook(merchant, url=address))
        call_command("send_webhooks", "--json")
    assert capsys.readouterr().out == '{"messages": 1}\n'


# -- not arriving


def test_what_fails_is_sent_again_later_under_the_same_id(merchant: Merchant) -> None:
    with receiver(answering(BROKEN, ACCEPTED)) as (address, received):
        subscription = hook(merchant, url=address)
        message = send_test(subscription)
        assert send_all() == 1
        message.refresh_from_db()
        assert (message.state, message.error) == ("waiting", "The receiver answered 503.")
        assert message.next_attempt_at is not None
        assert message.next_attempt_at > timezone.now()
        subscription.refresh_from_db()
        assert (subscription.failures, subscription.failing_since is None) == (1, False)
        make_due()
        assert send_all() == 1
    assert received[0][0]["webhook-id"] == received[1][0]["webhook-id"]
    assert received[0][1] == received[1][1]
    message.refresh_from_db()
    assert (message.state, message.error) == ("arrived", "")
    assert [entry["status"] for entry in message.log] == [503, 204]
    subscription.refresh_from_db()
    assert (subscription.failures, subscription.failing_since) == (0, None)


def test_pauses_grow_and_the_log_keeps_the_latest_attempts(merchant: Merchant) -> None:
    with receiver(answering(BROKEN)) as (address, received):
        message = send_test(hook(merchant, url=address))
        pauses = []
        for _ in range(leasing._KEPT + 2):
            make_due()
            send_all()
            message.refresh_from_db()
            assert message.next_attempt_at is not None
            pauses.append((message.next_attempt_at - timezone.now()).total_seconds())
    assert pauses[0] < 6 < pauses[1] < 40 < pauses[2]
    assert 3000 < pauses[-1] < 4200
    assert (message.attempts, len(message.log)) == (len(received), leasing._KEPT)


def test_after_a_day_it_is_given_up_the_subscription_switched_off_and_somebody_told(
    merchant: Merchant,
) -> None:
    with receiver(answering(BROKEN, BROKEN, ACCEPTED)) as (address, _):
        subscription = hook(merchant, url=address)
        message = send_test(subscription)
        send_all()
        yesterday = timezone.now() - timedelta(hours=24, seconds=1)
        wanted_since(yesterday)
        WebhookSubscription.objects.update(failing_since=yesterday)
        send_all()
        message.refresh_from_db()
        subscription.refresh_from_db()
        assert message.state == "given_up"
        assert (subscription.is_active, subscription.gave_up) == (False, True)
        health.sweep()
        alert = Alert.objects.get(kind="webhook_disabled", resolved_at=None)
        assert (alert.merchant_id, alert.subject) == (merchant.pk, str(subscription.pk))
        # A person mends it, and has it told what it missed.
        enable(subscription)
        replay([message.pk])
        assert send_all() == 1
    message.refresh_from_db()
    assert message.state == "arrived"
    health.sweep()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_a_receiver_that_took_something_lately_is_not_switched_off(merchant: Merchant) -> None:
    with receiver(answering(BROKEN, BROKEN)) as (address, _):
        subscription = hook(merchant, url=address)
        send_test(subscription)
        send_all()
        wanted_since(timezone.now() - timedelta(hours=25))
        send_all()
    subscription.refresh_from_db()
    assert WebhookMessage.objects.get().state == "given_up"
    assert subscription.is_active


def test_whoever_answers_410_is_told_no_more(merchant: Merchant) -> None:
    with receiver(answering("410 Gone")) as (address, _):
        subscription = hook(merchant, url=address)
        send_test(subscription)
        send_all()
    subscription.refresh_from_db()
    assert (subscription.is_active, subscription.gave_up) == (False, True)
    assert "410" in subscription.disabled_because
    assert WebhookMessage.objects.get().state == "given_up"


def test_a_subscription_whose_key_is_lost_holds_up_no_other(merchant: Merchant, settings: Settings) -> None:
    with receiver() as (address, received):
        lost = hook(merchant, url=address)
        settings.ONECOUNT_CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
        sound = hook(merchant, url=address)
        for each in (lost, sound):
            send_test(each)
        send_all()
    assert len(received) == 1
    assert "ONECOUNT_CREDENTIAL_KEYS" in WebhookMessage.objects.get(subscription=lost).error
    assert WebhookMessage.objects.get(subscription=sound).state == "arrived"


def test_what_waits_while_a_subscription_is_off_is_sent_when_it_is_on_again(merchant: Merchant) -> None:
    with receiver() as (address, received):
        subscription = hook(merchant, url=address)
        send_test(subscription)
        disable(subscription)
        assert send_all() == 0
        assert enable(subscription) == 1
        assert send_all() == 1
    assert len(received) == 1


# -- dying


def test_a_death_between_sending_and_noting_sends_again_under_the_same_id(merchant: Merchant) -> None:
    with receiver() as (address, received):
        subscription = hook(merchant, url=address)
        message = send_test(subscription)
        (leased,) = lease_all(subscription)
        post(leased.letter)  # it arrived, and its sender died
        assert send_all() == 0
        make_due()  # the lease is over
        assert send_all() == 1
    first, second = (headers["webhook-id"] for headers, _ in received)
    assert first == second
    message.refresh_from_db()
    assert (message.state, message.attempts) == ("arrived", 2)


def test_who_lost_the_lease_has_nothing_to_report(merchant: Merchant) -> None:
    subscription = hook(merchant)
    message = send_test(subscription)
    (late,) = lease_all(subscription)
    make_due()
    lease_all(subscription)
    leasing.record([leasing.Outcome(late, 204, "", timezone.now(), 5)])
    message.refresh_from_db()
    assert message.state == "waiting"


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_own_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = hook(MerchantFactory())
    send_test(subscription)
    assert leased_by_both(subscription) == (1, 0)
    make_due()
    # The control: without the lock both of them own it.
    careless = leasing._LEASE_SQL.replace("FOR NO KEY UPDATE OF message SKIP LOCKED", "")
    assert careless != leasing._LEASE_SQL
    monkeypatch.setattr(leasing, "_LEASE_SQL", careless)
    assert leased_by_both(subscription) == (1, 1)


def leased_by_both(subscription: WebhookSubscription) -> tuple[int, int]:
    """Returns how many messages one worker leases, and another one before the first has committed."""
    has_leased, may_commit = threading.Event(), threading.Event()

    def slowly() -> int:
        with transaction.atomic():
            count = len(lease_all(subscription))
            has_leased.set()
            may_commit.wait(0.3)
        return count

    with meanwhile(slowly) as first:
        assert has_leased.wait(PATIENCE)
        second = len(lease_all(subscription))
        may_commit.set()
    return first.result(), second


# -- holding up


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_careful", [True, False], ids=["as it is", "control: everybody alike"])
def test_those_who_do_not_answer_hold_up_nobody(monkeypatch: pytest.MonkeyPatch, is_careful: bool) -> None:
    may_answer = threading.Event()

    def stuck() -> bytes:
        may_answer.wait(PATIENCE)
        return answer(ACCEPTED, b"")

    if not is_careful:
        monkeypatch.setattr(Messenger, "_lane_of", lambda *_, **__: messenger._Lane.QUICK)
    merchant, worker = MerchantFactory(), Messenger(threads=4)
    with receiver() as (address, received), receiver(stuck) as (dead_end, _):
        quick = hook(merchant, url=address)
        arrive(worker, quick)
        for _ in range(8):
            send_test(hook(merchant, url=dead_end))
        for _ in range(8):
            worker.send_due()
        send_test(quick)
        began = worker.send_due()
        assert began == (1 if is_careful else 0)
        if is_careful:
            wait_for(received, 2)
        may_answer.set()
        worker.finish()


def arrive(worker: Messenger, subscription: WebhookSubscription) -> None:
    """Has a subscription take a message, by which it is known to answer quickly."""
    send_test(subscription)
    worker.send_due()
    worker.finish()


def wait_for(received: Received, count: int) -> None:
    for _ in range(500):
        if len(received) >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(received)} of {count} messages came")


def test_a_long_queue_of_one_leaves_room_for_others(merchant: Merchant) -> None:
    busy, other = hook(merchant), hook(merchant)
    for _ in range(20):
        send_test(busy)
    send_test(other)
    leased = lease({busy.pk: 8, other.pk: 8}, limit=8)
    assert [each.subscription_id for each in leased].count(other.pk) == 1
    assert len(leased) == 5


def test_planning_takes_the_same_statements_however_many_subscriptions(merchant: Merchant) -> None:
    def cost(subscriptions: int) -> int:
        ours = [hook(merchant) for _ in range(subscriptions)]
        for each in ours:
            send_test(each)
        with connection.execute_wrapper(counting):
            counted.clear()
            lease_all(*ours)
        return len(counted)

    counted: list[str] = []

    def counting(execute: Any, sql: str, *rest: Any) -> Any:
        counted.append(sql)
        return execute(sql, *rest)

    assert cost(1) == cost(7) == 2


@pytest.mark.django_db(transaction=True)
def test_the_resident_sends_what_happens_and_ends_when_told(merchant: Merchant) -> None:
    with receiver() as (address, received):
        send_test(hook(merchant, url=address))
        worker, stopping = Messenger(threads=2), threading.Event()
        with meanwhile(lambda: worker.run(stopping)) as ended:
            wait_for(received, 1)
            stopping.set()
        assert ended.result() is True
    assert WebhookMessage.objects.get().state == "arrived"


# -- again


def test_what_happened_since_an_instant_is_told_again(merchant: Merchant) -> None:
    with receiver() as (address, received):
        subscription, other = hook(merchant, url=address), hook(merchant, "order.*", url=address)
        for _ in range(3):
            send_test(subscription)
        send_all()
        WebhookMessage.objects.filter(pk=WebhookMessage.objects.earliest("pk").pk).update(
            arrived_at=None, given_up_at=timezone.now()
        )
        since = timezone.now() - timedelta(minutes=1)
        assert replay_since(subscription, since, only_missing=True) == 1
        assert replay_since(subscription, since) == 3
        assert replay_since(subscription, timezone.now()) == 0
        assert replay_since(other, since) == 0  # tests are no orders
        send_all()
    ids = [headers["webhook-id"] for headers, _ in received]
    assert (len(ids), len(set(ids))) == (6, 3)


def test_old_messages_and_events_are_forgotten(merchant: Merchant, settings: Settings) -> None:
    settings.KEEP_WEBHOOKS_DAYS = 7
    subscription = hook(merchant)
    old, _ = send_test(subscription), send_test(subscription)
    before = timezone.now() - timedelta(days=8)
    WebhookMessage.objects.filter(pk=old.pk).update(created_at=before, wanted_at=before)
    WebhookEvent.objects.filter(pk=old.event.pk).update(occurred_at=before)
    assert forget_old_webhooks() == {"webhook_messages": 1, "webhook_events": 1}
    assert WebhookMessage.objects.count() == WebhookEvent.objects.count() == 1
