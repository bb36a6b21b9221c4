"""What people are told of alerts arrives, is signed, is tried again, and leads into no private network."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from channels.standard_webhooks import signed_headers
from reconciliation import alert_sending
from reconciliation.alert_messages import send_test
from reconciliation.alert_sending import PAUSES, live_secrets, renew_secret, send_again, send_due
from reconciliation.alerts import Trouble, clear_alert, raise_alert
from reconciliation.models import AlertDelivery, AlertRecipient
from reconciliation.signed_posts import NotSent
from tests.channels.connectors.servers import answer
from tests.inventory.racing import race
from tests.reconciliation.receiver import receiver

pytestmark = pytest.mark.django_db

FULL = Trouble("Disk: 1 GiB left", remedy="Make room.", evidence={"free": 1})


@pytest.fixture(autouse=True)
def _mail_server(settings: Settings) -> None:
    settings.EMAIL_HOST = "mail.example"
    settings.ALLOW_LOOPBACK_PLATFORMS = True


def by_mail() -> AlertRecipient:
    return AlertRecipient.objects.create(kind="email", address="ops@example.com")


def by_webhook(address: str) -> AlertRecipient:
    recipient = AlertRecipient.objects.create(kind="webhook", address=address)
    renew_secret(recipient.pk)
    recipient.refresh_from_db()
    return recipient


def due_now(delivery: AlertDelivery) -> None:
    AlertDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def test_mails_say_what_is_wrong_and_what_to_do() -> None:
    by_mail()
    alert = raise_alert("disk_full", FULL)
    clear_alert("disk_full")
    assert send_due() == 2
    opened, over = mail.outbox
    assert opened.to == ["ops@example.com"]
    assert opened.subject == "[OneCount] Warning, opened: Disk: 1 GiB left"
    assert "Make room." in str(opened.body)
    assert f"/admin/reconciliation/alert/{alert.pk}/" in str(opened.body)
    assert over.subject == "[OneCount] Warning, over: Disk: 1 GiB left"
    assert send_due() == 0


def test_a_title_with_line_breaks_makes_no_second_header() -> None:
    by_mail()
    raise_alert("disk_full", Trouble("Full\r\nBcc: everybody@example.com"))
    send_due()
    assert mail.outbox[0].subject == "[OneCount] Warning, opened: Full Bcc: everybody@example.com"


def test_without_a_mail_server_it_says_so_and_is_not_tried_again(settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    by_mail()
    raise_alert("disk_full", FULL)
    assert send_due() == 0
    delivery = AlertDelivery.objects.get()
    assert "EMAIL_HOST" in delivery.error
    assert delivery.dead_at is not None


def test_a_webhook_is_signed_over_what_it_carries() -> None:
    with receiver() as (address, received):
        recipient = by_webhook(address)
        raise_alert("disk_full", FULL)
        assert send_due() == 1
    (headers, body) = received[0]
    delivery = AlertDelivery.objects.get()
    assert json.loads(body)["data"]["title"] == "Disk: 1 GiB left"
    assert headers["webhook-id"] == f"msg_{delivery.message_id.hex}"
    sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    secrets = live_secrets(recipient, timezone.now())
    expected = signed_headers(secrets, headers["webhook-id"], sent_at, body)
    assert headers["webhook-signature"] == expected["webhook-signature"]
    assert headers["content-type"] == "application/json"


def test_a_replaced_secret_signs_along_for_a_day() -> None:
    with receiver() as (address, received):
        recipient = by_webhook(address)
        new = renew_secret(recipient.pk)
        recipient.refresh_from_db()
        raise_alert("disk_full", FULL)
        send_due()
    assert len(received[0][0]["webhook-signature"].split(" ")) == 2
    tomorrow = timezone.now() + timedelta(hours=25)
    assert live_secrets(recipient, tomorrow) == [new]


def test_what_did_not_arrive_is_sent_again_under_the_same_id() -> None:
    answers = iter(["503 Service Unavailable", "204 No Content"])
    with receiver(lambda: answer(next(answers), b"")) as (address, received):
        by_webhook(address)
        raise_alert("disk_full", FULL)
        assert send_due() == 0
        delivery = AlertDelivery.objects.get()
        assert (delivery.error, delivery.attempts) == ("The receiver answered 503.", 1)
        assert delivery.next_attempt_at is not None
        assert delivery.next_attempt_at > timezone.now()
        assert send_due() == 0
        due_now(delivery)
        assert send_due() == 1
    assert received[0][0]["webhook-id"] == received[1][0]["webhook-id"]
    assert received[0][1] == received[1][1]
    delivery = AlertDelivery.objects.get()
    assert (delivery.error, delivery.next_attempt_at) == ("", None)


def test_after_many_failures_it_is_given_up_until_a_person_sends_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_webhook("https://ops.example/hook")
    raise_alert("disk_full", FULL)
    monkeypatch.setitem(alert_sending._SENDERS, "webhook", _refusing)
    delivery = AlertDelivery.objects.get()
    for _ in range(len(PAUSES) + 1):
        due_now(delivery)
        send_due()
    delivery.refresh_from_db()
    assert delivery.dead_at is not None
    assert send_due() == 0
    assert send_again([delivery.pk]) == 1
    monkeypatch.setitem(alert_sending._SENDERS, "webhook", lambda *_: None)
    assert send_due() == 1


def _refusing(*_: object) -> None:
    raise NotSent("The receiver answered 500.")


def test_whoever_answers_410_is_told_no_more() -> None:
    with receiver(lambda: answer("410 Gone", b"")) as (address, _):
        recipient = by_webhook(address)
        raise_alert("disk_full", FULL)
        send_due()
    recipient.refresh_from_db()
    assert recipient.is_active is False
    assert AlertDelivery.objects.get().dead_at is not None


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1:8443/", "https://10.0.0.7/", "https://169.254.169.254/latest/", "http://x.example/"],
)
def test_an_address_leads_into_no_private_network(address: str, settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = False
    by_webhook(address)
    raise_alert("disk_full", FULL)
    assert send_due() == 0
    assert AlertDelivery.objects.get().error


def test_a_message_whose_sender_died_is_sent_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    by_mail()
    raise_alert("disk_full", FULL)
    leased = alert_sending._lease()
    assert leased is not None
    assert send_due() == 0
    due_now(leased)
    assert send_due() == 1


def test_one_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    by_webhook("https://10.0.0.7/")
    by_mail()
    raise_alert("disk_full", FULL)
    assert send_due() == 1
    assert len(mail.outbox) == 1


def test_a_recipient_whose_key_is_lost_is_a_failure_like_any_other(settings: Settings) -> None:
    by_webhook("https://ops.example/hook")
    raise_alert("disk_full", FULL)
    settings.ONECOUNT_CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    assert send_due() == 0
    assert "ONECOUNT_CREDENTIAL_KEYS" in AlertDelivery.objects.get().error


def test_a_test_message_can_be_sent() -> None:
    send_test(by_mail())
    assert send_due() == 1
    assert "test" in mail.outbox[0].subject.lower()


@pytest.mark.django_db(transaction=True)
def test_two_senders_share_the_messages(settings: Settings) -> None:
    by_mail()
    for number in range(10):
        raise_alert("disk_full", FULL, subject=str(number))
    senders: list[Callable[[], int]] = [send_due, send_due, send_due]
    assert sum(race(senders)) == 10
    assert len(mail.outbox) == 10
