"""Webhook subscriptions and their messages through the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from inventory.models import Merchant
from reconciliation.models import WebhookMessage, WebhookSubscription
from reconciliation.outgoing.messenger import send_all
from tests.api import Api, make_key, problem_of
from tests.channels.shop import open_shop
from tests.factories import MerchantFactory
from tests.reconciliation.hooks import hook
from tests.reconciliation.receiver import receiver

pytestmark = pytest.mark.django_db

WISH = {"url": "https://erp.example/hooks", "events": ["order.*", "stock.changed"], "description": "ERP"}


@pytest.fixture
def merchant() -> Merchant:
    return MerchantFactory()


@pytest.fixture
def api(merchant: Merchant) -> Api:
    return Api(merchant)


def made(api: Api, **changes: Any) -> dict[str, Any]:
    response = api.post("/webhook-subscriptions", {**WISH, **changes})
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def test_a_secret_is_shown_once(api: Api) -> None:
    first = api.post("/webhook-subscriptions", WISH, Idempotency_Key="k1").json()
    again = api.post("/webhook-subscriptions", WISH, Idempotency_Key="k1").json()
    assert first["secret"].startswith("whsec_")
    assert again["secret"] is None
    assert again["subscription"] == first["subscription"]
    assert WebhookSubscription.objects.count() == 1
    shown = api.get(f"/webhook-subscriptions/{first['subscription']['id']}")
    assert first["secret"] not in shown.content.decode()
    assert shown.json()["events"] == ["order.*", "stock.changed"]


@pytest.mark.parametrize(
    ("changes", "status", "kind", "field"),
    [
        ({"url": "http://erp.example/"}, 422, "refused", "url"),
        ({"url": "https://10.0.0.7/"}, 422, "refused", "url"),
        ({"url": "https://me:secret@erp.example/"}, 422, "refused", "url"),
        ({"url": 7}, 400, "invalid-request", "url"),
        ({"events": ["order.vanished"]}, 400, "invalid-request", "events[0]"),
        ({"events": []}, 400, "invalid-request", "events"),
        ({"secret": "mine"}, 400, "invalid-request", "secret"),
    ],
)
def test_what_cannot_be_subscribed_is_refused_with_its_field(
    api: Api, changes: dict[str, Any], status: int, kind: str, field: str
) -> None:
    problem = problem_of(api.post("/webhook-subscriptions", {**WISH, **changes}), status, kind)
    named = {problem.get("field", "")} | {each["field"] for each in problem.get("errors", ())}
    assert any(name.startswith(field.partition("[")[0]) for name in named), problem
    assert not WebhookSubscription.objects.exists()


def test_a_change_made_of_something_else_is_refused(api: Api) -> None:
    path = f"/webhook-subscriptions/{made(api)['subscription']['id']}"
    tag = api.get(path)["ETag"]
    changed = api.patch(path, {"events": ["*"]}, If_Match=tag)
    assert (changed.status_code, changed.json()["events"]) == (200, ["*"])
    problem_of(api.patch(path, {"url": "https://x.example/"}, If_Match=tag), 412, "changed-meanwhile")
    problem_of(api.patch(path, {"url": "http://x.example/"}), 422, "refused")
    assert WebhookSubscription.objects.get().url == WISH["url"]


def test_a_secret_is_replaced(api: Api) -> None:
    first = made(api)
    path = f"/webhook-subscriptions/{first['subscription']['id']}/rotate-secret"
    second = api.post(path, {"overlap_seconds": 3600})
    assert second.status_code == 201
    assert second.json()["secret"] not in {first["secret"], None}
    kept: Any = WebhookSubscription.objects.get().secrets
    assert [each["secret"] for each in kept] == [second.json()["secret"], first["secret"]]
    problem_of(api.post(path, {"overlap_seconds": 31 * 86400}), 400, "invalid-request")


def test_it_is_switched_off_and_on(api: Api) -> None:
    path = f"/webhook-subscriptions/{made(api)['subscription']['id']}"
    off = api.post(f"{path}/disable", {"because": "Moving."}).json()
    assert (off["is_active"], off["disabled_because"]) == (False, "Moving.")
    problem_of(api.post(f"{path}/test"), 409, "wrong-state")
    problem_of(api.post(f"{path}/replay", {"since": "2026-01-01T00:00:00Z"}), 409, "wrong-state")
    assert [
        each["id"] for each in api.get("/webhook-subscriptions", {"is_active": "true"}).json()["data"]
    ] == []
    on = api.post(f"{path}/enable").json()
    assert (on["is_active"], on["disabled_at"]) == (True, None)
    assert WebhookSubscription.objects.get().history.count() == 3


def test_it_is_ended_with_all_that_waits(api: Api) -> None:
    path = f"/webhook-subscriptions/{made(api)['subscription']['id']}"
    assert api.post(f"{path}/test").status_code == 201
    tag = api.get(path)["ETag"]
    api.patch(path, {"description": "Old ERP"})
    problem_of(api.send("DELETE", path, If_Match=tag), 412, "changed-meanwhile")
    for _ in range(2):  # sent again, it is answered as before
        ended = api.send("DELETE", path, Idempotency_Key="gone")
        assert (ended.status_code, ended.content) == (204, b"")
        assert "Content-Type" not in ended
    assert ended["Idempotent-Replayed"] == "true"
    problem_of(api.send("DELETE", path), 404, "not-found")
    assert not WebhookMessage.objects.exists()
    last = WebhookSubscription.history.latest()
    assert (last.history_type, last.history_change_reason[:5]) == ("-", "API: ")


@pytest.mark.parametrize("since", ["2026-01-31T14:00:00", "0001-01-01T00:00:00Z", 1])
def test_what_happened_since_no_instant_is_not_told_again(api: Api, since: object) -> None:
    path = f"/webhook-subscriptions/{made(api)['subscription']['id']}/replay"
    assert problem_of(api.post(path, {"since": since}), 400, "invalid-request")["field"] == "since"


def test_a_test_is_sent_and_logged_and_sent_again(api: Api, settings: Settings) -> None:
    settings.PRIVATE_WEBHOOK_HOSTS = ["127.0.0.1"]
    with receiver() as (address, received):
        subscription = made(api, url=address)["subscription"]
        sent = api.post(f"/webhook-subscriptions/{subscription['id']}/test")
        assert (sent.status_code, sent.json()["state"]) == (201, "waiting")
        send_all()
        path = f"/webhook-deliveries/{sent.json()['id']}"
        shown = api.get(path).json()
        assert (shown["state"], shown["status"], shown["type"]) == ("arrived", 204, "webhook.test")
        assert [attempt["status"] for attempt in shown["log"]] == [204]
        assert api.post(f"{path}/replay").status_code == 202
        since = {"since": (timezone.now() - timedelta(hours=1)).isoformat()}
        replayed = api.post(f"/webhook-subscriptions/{subscription['id']}/replay", since)
        assert replayed.status_code == 202
        send_all()
    assert [headers["webhook-id"] for headers, _ in received] == [shown["event_id"]] * 2


def test_deliveries_are_filtered(api: Api, merchant: Merchant) -> None:
    first, second = hook(merchant), hook(merchant)
    for subscription in (first, second):
        api.post(f"/webhook-subscriptions/{subscription.pk}/test")
    WebhookMessage.objects.filter(subscription=first).update(next_attempt_at=None, given_up_at=timezone.now())

    def found(**query: Any) -> list[int]:
        return [each["subscription_id"] for each in api.get("/webhook-deliveries", query).json()["data"]]

    assert found() == [second.pk, first.pk]
    assert found(subscription=first.pk) == found(state="given_up") == [first.pk]
    assert found(state="waiting", type="webhook.test", subject=f"subscription:{second.pk}") == [second.pk]
    assert found(type="order.created") == []


def test_scopes_decide(merchant: Merchant) -> None:
    reader = Api(merchant, make_key(merchant, "webhooks:read")[1])
    assert reader.get("/webhook-subscriptions").status_code == 200
    problem_of(reader.post("/webhook-subscriptions", WISH), 403, "missing-scope")
    other = Api(merchant, make_key(merchant, "orders:read")[1])
    problem_of(other.get("/webhook-deliveries"), 403, "missing-scope")


def test_a_test_key_sees_nothing_of_a_merchant_with_a_live_channel() -> None:
    shop = open_shop()
    hook(shop.merchant)
    key = make_key(shop.merchant, is_test=True)[1]
    assert Api(shop.merchant, key).get("/webhook-subscriptions").json()["data"] == []


def test_a_merchant_has_so_many_subscriptions_at_most(
    api: Api, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciliation.outgoing.subscriptions.MOST", 2)
    first = hook(merchant)
    hook(merchant)
    problem_of(api.post("/webhook-subscriptions", WISH), 422, "refused")
    api.post(f"/webhook-subscriptions/{first.pk}/disable")
    made(api)
    problem_of(api.post(f"/webhook-subscriptions/{first.pk}/enable"), 422, "refused")
