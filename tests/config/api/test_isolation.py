"""Every endpoint, with the key of one merchant and the ids and names of another: 404, and no trace."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db.models import Model

from analytics.models import SupportTicket
from channels.models import (
    Authority,
    Channel,
    ChannelOrder,
    ErrorEntry,
    Listing,
    ListingLevel,
    Rehearsal,
    Retry,
    RuleSet,
    RuleSetVersion,
    ShadowRun,
    WebhookDelivery,
)
from inventory.models import (
    ApiKey,
    Backorder,
    Bundle,
    Conflict,
    CountSheet,
    CustomerReturn,
    ImportJob,
    Location,
    Merchant,
    Product,
    PurchaseOrder,
    Reservation,
    StockLevel,
    StockMovement,
    Supplier,
    Transfer,
    Variant,
)
from reconciliation.models import (
    Alert,
    Discrepancy,
    ReconciliationRun,
    Resolution,
    WebhookMessage,
    WebhookSubscription,
)
from tests.api import Api
from tests.back_office import Business
from tests.config.api.endpoints import ROOT, Endpoint, endpoints, lists
from tests.factories import MerchantFactory

pytestmark = pytest.mark.django_db

#: What the ids in an address are of, by the address's first part.
MODELS: dict[str, type[Model]] = {
    "alerts": Alert,
    "authorities": Authority,
    "backorders": Backorder,
    "bundles": Bundle,
    "channels": Channel,
    "conflicts": Conflict,
    "count-sheets": CountSheet,
    "discrepancies": Discrepancy,
    "errors": ErrorEntry,
    "imports": ImportJob,
    "keys": ApiKey,
    "listing-levels": ListingLevel,
    "listings": Listing,
    "locations": Location,
    "movements": StockMovement,
    "orders": ChannelOrder,
    "platform-messages": WebhookDelivery,
    "products": Product,
    "purchase-orders": PurchaseOrder,
    "reconciliation-runs": ReconciliationRun,
    "rehearsals": Rehearsal,
    "reservations": Reservation,
    "resolutions": Resolution,
    "retries": Retry,
    "returns": CustomerReturn,
    "rule-sets": RuleSet,
    "rule-versions": RuleSetVersion,
    "shadow-runs": ShadowRun,
    "stock-levels": StockLevel,
    "suppliers": Supplier,
    "support-tickets": SupportTicket,
    "transfers": Transfer,
    "variants": Variant,
    "webhook-deliveries": WebhookMessage,
    "webhook-subscriptions": WebhookSubscription,
}

APPS = ("inventory", "channels", "reconciliation", "analytics")

#: Writes that name nothing that could be somebody else's: they make something of the caller's own.
MAKES_OWN: dict[str, dict[str, Any]] = {
    "imports_create": {"name": "x.csv", "content": "sku\n"},
    "keys_create": {"name": "x", "scopes": ["stock:read"]},
    "locations_create": {"code": "X", "name": "X"},
    "products_create": {"title": "X"},
    "rule_sets_create": {"name": "X"},
    "suppliers_create": {"code": "X", "name": "X"},
    "webhook_subscriptions_create": {"url": "https://erp.example/", "events": ["*"]},
}


def names(stranger: Business) -> dict[str, Any]:
    """Returns the bodies of all other writes without an id in the address, made of somebody else's names."""
    sku, code = stranger.variants[0].sku, stranger.locations[0].code
    line = {"sku": sku, "location": code, "quantity": 1}
    lines = {"lines": [line]}
    reservation = Reservation.objects.filter(merchant=stranger.merchant).earliest("id")
    return {
        "backorders_create": {
            "by": "2099-01-01",
            "lines": [{"reference": "x", "sku": sku, "quantity": 1, "locations": [code]}],
        },
        "authorities_create": {"location": code, "channel_id": stranger.channels[0].pk, "place": "1"},
        "bundles_create": {"sku": sku, "kind": "kit", "components": [{"sku": sku, "quantity": 1}]},
        "channels_create": {"name": "X", "locations": [code]},
        "count_sheets_create": {"location": code, "skus": [sku]},
        "events_create": {
            "events": [{"id": "1", "action": "count", "sku": sku, "location": code, "level": 1}]
        },
        "listing_levels_replay_many": {
            "listing_level_ids": [first_of(ListingLevel, "channel__merchant", stranger).pk]
        },
        "platform_messages_replay_many": {
            "message_ids": [first_of(WebhookDelivery, "channel__merchant", stranger).pk]
        },
        "reconciliation_runs_create": {"channel_id": stranger.channels[0].pk},
        "support_tickets_create": {
            "tickets": [
                {"number": "1", "opened_at": "2026-01-31T14:00:00Z", "channel_id": stranger.channels[0].pk}
            ]
        },
        "orders_create": {
            "channel_id": stranger.channels[0].pk,
            "external_id": "1",
            "updated_at": "2026-01-31T14:00:00Z",
            "ordered_at": "2026-01-31T14:00:00Z",
            "lines": [{"external_id": "1", "sku": sku, "quantity": 1}],
        },
        "purchase_orders_create": {
            "number": "X",
            "supplier": Supplier.objects.filter(merchant=stranger.merchant).earliest("id").code,
            "location": code,
            "lines": [{"sku": sku, "quantity": 1}],
        },
        "rehearsals_create": {
            "version_id": RuleSetVersion.objects.filter(rule_set__merchant=stranger.merchant)
            .earliest("id")
            .pk,
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-02T00:00:00Z",
        },
        "reservations_create": {
            "lines": [{"reference": "x", "sku": sku, "quantity": 1, "locations": [code]}]
        },
        "reservations_confirm": {"reservation_ids": [reservation.pk]},
        "reservations_extend": {"reservation_ids": [reservation.pk], "ttl_seconds": 60},
        "reservations_fulfil": {"units": [{"reservation_id": reservation.pk}]},
        "reservations_release": {"units": [{"reservation_id": reservation.pk}]},
        "returns_create": {"reference": "RMA-1", **lines},
        "returns_receive": {"reference": "RMA-1", **lines},
        "stock_adjust": {"lines": [{"sku": sku, "location": code, "delta": 1}]},
        "stock_count": {"lines": [{"sku": sku, "location": code, "counted": 1}]},
        "stock_put_back": lines,
        "stock_receive": lines,
        "stock_safety_stock": lines,
        "stock_scrap": lines,
        "stock_set_aside": lines,
        "stock_ship": lines,
        "transfers_create": {"source": code, "destination": code, "lines": [{"sku": sku, "quantity": 1}]},
        "variants_bulk": {"items": [{"sku": "X", "product_id": stranger.variants[0].product_id}]},
        "variants_create": {"sku": "X", "product_id": stranger.variants[0].product_id},
    }


def first_of(model: type[Model], way: str, stranger: Business) -> Any:
    return model._default_manager.filter(**{way: stranger.merchant}).earliest("pk")


@pytest.fixture
def stranger() -> Business:
    """Another merchant, with a row of everything."""
    return Business.grown(1)


@pytest.fixture
def api() -> Api:
    """A caller with a key that may do everything of a merchant that has nothing."""
    return Api(MerchantFactory())


def owned(merchant: Merchant) -> dict[str, list[Any]]:
    """Returns everything that is a merchant's, row by row."""
    rows = {}
    for label in APPS:
        for model in apps.get_app_config(label).get_models():
            for way in (
                "merchant",
                "channel__merchant",
                "level__merchant",
                "rule_set__merchant",
                "location__merchant",
            ):
                if way.partition("__")[0] in {field.name for field in model._meta.fields}:
                    found = model._default_manager.filter(**{way: merchant.pk}).order_by("pk")
                    rows[model._meta.label] = list(found.values())
                    break
    return rows


def test_no_endpoint_shows_or_touches_what_is_somebody_elses(api: Api, stranger: Business) -> None:
    before, bodies = owned(stranger.merchant), names(stranger)
    walked = 0
    for endpoint in endpoints():
        if endpoint in lists():
            continue
        response = call(api, endpoint, stranger, bodies)
        walked += 1
        if endpoint.name in MAKES_OWN:
            assert response.status_code in {201, 202}, (endpoint, response.content)
        elif endpoint.name in {"events_create", "variants_bulk"}:
            assert [each["status"] for each in response.json()["results"]] == ["refused"], endpoint
        else:
            assert response.status_code == 404, (endpoint, response.content)
            assert response["Content-Type"] == "application/problem+json"
    assert walked > 115
    assert owned(stranger.merchant) == before


def call(api: Api, endpoint: Endpoint, stranger: Business, bodies: dict[str, Any]) -> Any:
    """Calls an endpoint with an id, or with names, of the stranger's."""
    path = endpoint.path.removeprefix(ROOT)
    if endpoint.is_on_row:
        path = path.replace("{id}", str(row_of(endpoint, stranger).pk))
    if endpoint.method == "GET":
        return api.get(path)
    body = {} if endpoint.is_on_row else {**MAKES_OWN, **bodies}[endpoint.name]
    return api.send(endpoint.method, path, json.dumps(body))


def row_of(endpoint: Endpoint, stranger: Business) -> Any:
    """Returns a row of the stranger's; the walk covers what has an owner."""
    model = MODELS[endpoint.rows]
    fields = {field.name for field in model._meta.fields}
    way = next(
        way
        for way in ("merchant", "channel__merchant", "rule_set__merchant", "location__merchant")
        if way.partition("__")[0] in fields
    )
    return model._default_manager.filter(**{way: stranger.merchant}).earliest("pk")


def test_no_list_shows_what_is_somebody_elses(api: Api, stranger: Business) -> None:
    own_key = ApiKey.objects.get(merchant=api.merchant)
    for endpoint in lists():
        path = endpoint.path.removeprefix(ROOT)
        query = {"sku": stranger.variants[0].sku} if endpoint.rows == "availability" else {}
        response = api.get(path, query)
        assert response.status_code == 200, endpoint
        expected = [own_key.pk] if endpoint.rows == "keys" else []
        assert [each["id"] for each in response.json()["data"]] == expected, endpoint


def test_every_write_without_an_id_is_walked(stranger: Business) -> None:
    known = {*MAKES_OWN, *names(stranger)}
    assert {e.name for e in endpoints() if e.method == "POST" and not e.is_on_row} == known


def test_views_ask_for_rows_in_one_place() -> None:
    """`visibility` alone knows a model's manager; what names rows after an operation gets their ids from it."""
    allowed = {
        "inventory/api/visibility.py",
        "inventory/api/outcomes.py",
        "inventory/api/problems.py",
        "inventory/api/bulk_variants.py",
        "inventory/api/keys.py",
    }
    root = Path(settings.BASE_DIR)
    modules = [path for app in APPS for path in (root / app / "api").glob("*.py")]
    asking = {str(path.relative_to(root)) for path in modules if ".objects." in path.read_text()}
    assert asking <= allowed
