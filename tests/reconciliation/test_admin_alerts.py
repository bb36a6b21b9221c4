"""The back office of alerts: seen to with a reason, told to whom it should, and begun proofs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from reconciliation.alert_sending import send_due
from reconciliation.alerts import Trouble, raise_alert
from reconciliation.models import Alert, AlertDelivery, AlertRecipient, ProofRun, Severity
from tests.back_office import SECRET, Business, person
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db

LIST = "admin:reconciliation_alert_changelist"


@pytest.fixture
def signed_in(client: Client) -> Callable[[str], Client]:
    def sign_in(role: str) -> Client:
        client.force_login(person(role))
        return client

    return sign_in


def alert(title: str = "Web shop: connection: stopped", **more: Any) -> Alert:
    return raise_alert(title.replace(" ", "_")[:40], Trouble(title, remedy="Wait.", **more))


def choose(client: Client, action: str, *chosen: Alert) -> str:
    """Presses an action of the list; returns the address of the page that asks why."""
    data = {"action": action, "_selected_action": [each.pk for each in chosen]}
    response = client.post(reverse(LIST), data)
    assert response.status_code == 302
    return str(response["Location"])


def test_several_are_acknowledged_with_one_reason(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("operations")
    first, second = alert("One"), alert("Two")
    page = choose(client, "acknowledge", first, second)
    assert "One" in client.get(page).content.decode()
    response = client.post(page, {"because": "I call the platform."}, follow=True)
    assert "2 alerts acknowledged." in response.content.decode()
    first.refresh_from_db()
    assert first.acknowledged_because == "I call the platform."


def test_a_reason_is_asked_for_at_its_input(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("engineering")
    one = alert()
    page = choose(client, "mute", one)
    refused = client.post(page, {"because": "", "hours": "4"}).content.decode()
    assert "This field is required." in refused
    client.post(page, {"because": "We move house.", "hours": "4"})
    one.refresh_from_db()
    assert one.muted_until is not None
    assert timedelta(hours=3, minutes=59) < one.muted_until - timezone.now() <= timedelta(hours=4)
    text = client.get(reverse("admin:reconciliation_alert_change", args=[one.pk])).content.decode()
    assert "We move house." in text
    assert "Unmute" in text


def test_one_is_ended_by_hand_from_its_own_page(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("operations")
    one = alert()
    button = reverse("admin:reconciliation_alert_do", args=[one.pk, "resolve"])
    page = client.post(button)
    client.post(page["Location"], {"because": "It was a drill."})
    one.refresh_from_db()
    assert (one.resolved_because, one.resolved_at is None) == ("It was a drill.", False)
    again = client.post(page["Location"], {"because": "Once more."}, follow=True).content.decode()
    assert "0 alerts ended." in again


def test_open_ones_stand_above_those_that_are_over(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("read-only")
    over = alert("Over and done")
    Alert.objects.filter(pk=over.pk).update(resolved_at=timezone.now())
    alert("Small matter")
    alert("Great matter", severity=Severity.EMERGENCY)
    text = client.get(reverse(LIST)).content.decode()
    assert text.index("Great matter") < text.index("Small matter") < text.index("Over and done")
    only_open = client.get(f"{reverse(LIST)}?state=open").content.decode()
    assert "Over and done" not in only_open


@pytest.mark.parametrize("role", ["commerce", "read-only"])
def test_others_may_look_and_not_answer(role: str, signed_in: Callable[[str], Client]) -> None:
    client = signed_in(role)
    one = alert()
    url = reverse("admin:reconciliation_answer_alert", args=["resolve"])
    assert client.get(f"{url}?ids={one.pk}").status_code == 403
    assert client.post(reverse("admin:reconciliation_prove", args=["full"])).status_code == 403
    assert client.get(reverse("admin:reconciliation_alertrecipient_add")).status_code == 403


def test_nonsense_in_the_address_is_not_found(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("operations")
    for verb, ids in (("delete", "1"), ("resolve", ""), ("resolve", "x")):
        url = reverse("admin:reconciliation_answer_alert", args=[verb])
        assert client.get(f"{url}?ids={ids}").status_code == 404


def test_a_channel_whose_key_is_lost_hides_no_alert(signed_in: Callable[[str], Client]) -> None:
    channel = ChannelFactory()
    one = raise_alert("channel_down", Trouble("Down"), channel=channel)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channel SET credentials = 'gAAAA-nonsense'")
    client = signed_in("operations")
    assert client.get(reverse("admin:reconciliation_alert_change", args=[one.pk])).status_code == 200
    raise_alert("channel_down", Trouble("Down"), channel=channel.pk)


# -- who is told


def add(client: Client, **fields: str) -> Any:
    data = {
        "kind": "email",
        "address": "ops@example.com",
        "minimum_severity": "1",
        "is_active": "on",
        **fields,
    }
    return client.post(reverse("admin:reconciliation_alertrecipient_add"), data, follow=True)


@pytest.mark.parametrize(
    ("kind", "address", "sentence"),
    [
        ("email", "ops", "This is no e-mail address."),
        ("webhook", "http://ops.example/", "begins with https://"),
        ("webhook", "https://me:pass@ops.example/", "begins with https://"),
        ("webhook", "ftp://ops.example/", "begins with https://"),
    ],
)
def test_an_address_that_cannot_be_written_to_is_refused_at_its_input(
    kind: str, address: str, sentence: str, signed_in: Callable[[str], Client]
) -> None:
    client = signed_in("operations")
    assert sentence in add(client, kind=kind, address=address).content.decode()
    assert not AlertRecipient.objects.exists()


def test_the_secret_of_a_webhook_is_shown_once(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("engineering")
    shown = add(client, kind="webhook", address="https://ops.example/hook").content.decode()
    recipient = AlertRecipient.objects.get()
    secret = recipient.secrets[0]["secret"]
    assert secret.startswith("whsec_")
    assert secret in shown.replace("&#x2B;", "+")
    url = reverse("admin:reconciliation_alertrecipient_change", args=[recipient.pk])
    assert secret not in client.get(url).content.decode()
    history = reverse("admin:reconciliation_alertrecipient_history", args=[recipient.pk])
    assert secret not in client.get(history).content.decode()


def test_a_new_secret_is_made_for_webhooks_alone(signed_in: Callable[[str], Client]) -> None:
    client = signed_in("operations")
    add(client)
    add(client, kind="webhook", address="https://ops.example/hook")
    chosen = list(AlertRecipient.objects.values_list("pk", flat=True))
    data = {"action": "make_new_secret", "_selected_action": chosen}
    url = reverse("admin:reconciliation_alertrecipient_changelist")
    text = client.post(url, data, follow=True).content.decode()
    assert "1 secret made. Skipped 1: 1 no webhook." in text
    assert len(AlertRecipient.objects.get(kind="webhook").secrets) == 2


def test_a_test_is_sent(signed_in: Callable[[str], Client], settings: Settings) -> None:
    settings.EMAIL_HOST = "mail.example"
    client = signed_in("operations")
    add(client)
    recipient = AlertRecipient.objects.get()
    client.post(reverse("admin:reconciliation_alertrecipient_do", args=[recipient.pk, "send_test_message"]))
    assert send_due() == 1
    assert mail.outbox[0].to == ["ops@example.com"]


def test_what_was_given_up_is_sent_again(signed_in: Callable[[str], Client]) -> None:
    Business.grown(1)
    delivery = AlertDelivery.objects.get()
    AlertDelivery.objects.update(sent_at=None, dead_at=timezone.now(), error="The receiver answered 500.")
    client = signed_in("operations")
    url = reverse("admin:reconciliation_alertdelivery_do", args=[delivery.pk, "send_again"])
    text = client.post(url, follow=True).content.decode()
    assert "1 message will be sent again." in text
    assert SECRET not in text
    delivery.refresh_from_db()
    assert (delivery.dead_at, delivery.next_attempt_at is None) == (None, False)


# -- proofs


def test_a_proof_is_begun_and_its_page_shows_how_far_it_is(signed_in: Callable[[str], Client]) -> None:
    Business.grown(1)
    client = signed_in("operations")
    assert "Prove all" in client.get(reverse("admin:reconciliation_proofrun_changelist")).content.decode()
    url = reverse("admin:reconciliation_prove", args=["full"])
    assert client.get(url).status_code == 200
    page = client.post(url, follow=True)
    run = ProofRun.objects.latest("id")
    assert "has begun" in page.content.decode()
    assert (run.state, run.scope, run.asked_by.split("-")[0]) == ("running", "full", "operations")


def test_the_page_of_a_proof_shows_what_does_not_hold(signed_in: Callable[[str], Client]) -> None:
    now = timezone.now()
    divergence = {
        "level_id": 1, "sku": "MUG-<b>", "location": "main", "movement_id": 7, "version": 2,
        "problem": "a movement is missing", "expected": {"on_hand": 3}, "found": {"on_hand": 4},
    }  # fmt: skip
    run = ProofRun.objects.create(
        scope="full", state="failed", started_at=now, finished_at=now, divergences=[divergence]
    )
    client = signed_in("read-only")
    text = client.get(reverse("admin:reconciliation_proofrun_change", args=[run.pk])).content.decode()
    assert "a movement is missing" in text
    assert "on_hand 4" in text
    assert "MUG-<b>" not in text


def test_the_dashboard_shows_alerts_and_the_last_proof(signed_in: Callable[[str], Client]) -> None:
    Business.grown(1)
    alert("Great matter", severity=Severity.EMERGENCY)
    text = signed_in("read-only").get(reverse("admin:index")).content.decode()
    assert "Great matter" in text
    assert "digest 000000000000" in text
