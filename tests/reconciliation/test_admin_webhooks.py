"""Webhooks in the back office: secrets shown once, addresses judged, messages sent again."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inventory.models import Merchant
from reconciliation.models import WebhookMessage, WebhookSubscription
from tests.back_office import person
from tests.factories import MerchantFactory
from tests.reconciliation.hooks import hook

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def engineer(client: Client) -> Client:
    client.force_login(person("engineering"))
    return client


def page(name: str, *args: object) -> str:
    return reverse(f"admin:reconciliation_webhooksubscription_{name}", args=args)


def press(client: Client, row: Any, action: str) -> Any:
    name = f"admin:reconciliation_{row._meta.model_name}_do"
    return client.post(reverse(name, args=[row.pk, action]), follow=True)


def test_a_new_subscription_shows_its_secret_once(engineer: Client, merchant: Merchant) -> None:
    form = {
        "merchant": merchant.pk,
        "url": "https://erp.example/",
        "description": "ERP",
        "events": ["order.*"],
    }
    response = engineer.post(page("add"), form)
    (secret,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]+", response.content.decode()))
    assert "no-store" in response["Cache-Control"]
    subscription = WebhookSubscription.objects.get()
    kept: Any = subscription.secrets
    assert kept[0]["secret"] == secret
    assert secret not in engineer.get(page("change", subscription.pk)).content.decode()
    renewed = press(engineer, subscription, "make_new_secrets").content.decode()
    assert "whsec_" in renewed
    assert secret not in renewed


@pytest.mark.parametrize("url", ["http://erp.example/", "https://10.0.0.7/", "https://me:x@erp.example/"])
def test_an_address_that_nobody_may_be_told_at_is_refused(
    engineer: Client, merchant: Merchant, url: str
) -> None:
    form = {"merchant": merchant.pk, "url": url, "events": ["*"]}
    response = engineer.post(page("add"), form)
    assert "begins with https://" in response.content.decode()
    assert not WebhookSubscription.objects.exists()


def test_it_is_changed_switched_off_and_on_and_tested(engineer: Client, merchant: Merchant) -> None:
    subscription = hook(merchant)
    form = {"url": "https://new.example/", "description": "", "events": ["*", "stock.low"]}
    assert engineer.post(page("change", subscription.pk), form).status_code == 302
    press(engineer, subscription, "disable")
    subscription.refresh_from_db()
    assert (subscription.url, subscription.is_active) == ("https://new.example/", False)
    assert "Switch on" in engineer.get(page("change", subscription.pk)).content.decode()
    assert "switched off" in press(engineer, subscription, "send_tests").content.decode()
    press(engineer, subscription, "enable")
    press(engineer, subscription, "send_tests")
    message = WebhookMessage.objects.get()
    WebhookMessage.objects.update(next_attempt_at=None, given_up_at=timezone.now())
    assert "1 message will be sent again" in press(engineer, message, "send_again").content.decode()
    WebhookMessage.objects.update(next_attempt_at=None, given_up_at=timezone.now())
    press(engineer, subscription, "replay_missing")
    message.refresh_from_db()
    assert message.state == "waiting"
    assert "1 messages are on the way" in press(engineer, subscription, "replay_lately").content.decode()


def test_only_engineers_touch_them(client: Client, merchant: Merchant) -> None:
    subscription = hook(merchant)
    client.force_login(person("commerce"))
    assert client.get(page("change", subscription.pk)).status_code == 200
    assert press(client, subscription, "disable").status_code == 403
    subscription.refresh_from_db()
    assert subscription.is_active
