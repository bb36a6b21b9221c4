"""Every page of the back office, for every role: it opens or is refused, and what it costs does not grow with its rows."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from channels.admin.inbound import WebhookDeliveryAdmin
from channels.models import Channel
from config.admin_site import FactsAdmin
from config.models import DeadTask
from config.roles import ROLES
from tests.back_office import SECRET, Business, person

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = [
    model
    for model in MODELS
    if model._meta.app_label in {"inventory", "channels", "reconciliation", "analytics"} or model is DeadTask
]
FACTS = [model for model in OURS if isinstance(admin.site._registry[model], FactsAdmin)]
#: Those whose rows name a channel.
NEAR_CHANNELS = [
    Channel,
    *(model for model in OURS if Channel in {field.related_model for field in model._meta.fields}),
]
EVERYBODY = [*ROLES, "superuser"]
PAGES = ("changelist", "change", "history")
#: All pages of all models take a role a quarter of a minute. The quick run opens each row once: by somebody who may change it
#: where that can be done, else by somebody who may do nothing. It leaves the lists to the test that counts what they cost.
WALKS = [
    ("superuser", ("change",), [model for model in OURS if model not in FACTS]),
    ("read-only", ("change",), FACTS),
    *(pytest.param(role, PAGES, OURS, marks=pytest.mark.slow) for role in EVERYBODY),
]


@pytest.fixture
def signed_in(client: Client) -> Callable[[str], Client]:
    """Signs somebody of a role in."""

    def sign_in(role: str) -> Client:
        client.force_login(person(role))
        return client

    return sign_in


def address(model: type[models.Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def queries_of(client: Client, url: str) -> int:
    cache.clear()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url)
    assert response.status_code == 200, url
    return len(captured)


def test_every_model_has_its_page() -> None:
    from django.apps import apps

    own = {
        model
        for label in ("inventory", "channels", "reconciliation", "analytics")
        for model in apps.get_app_config(label).get_models()
        if not model.__name__.startswith("Historical")
    }
    assert own - set(MODELS) == set()


def test_the_pages_of_the_job_queue_are_closed() -> None:
    assert [model for model in MODELS if model._meta.app_label == "django_q"] == []


@pytest.mark.parametrize(
    ("few", "many"), [(2, 6), pytest.param(5, 50, marks=[pytest.mark.slow, pytest.mark.timeout(400)])]
)
def test_a_list_costs_the_same_with_few_and_with_many_rows(
    signed_in: Callable[[str], Client], few: int, many: int
) -> None:
    """Of every model; in one test, because the rows take much longer to make than the lists to open."""
    business = Business.grown(few)
    client = signed_in("superuser")
    _add_accounts(few)
    cost = _cost_of_lists(client)
    business.grow(many - few)
    _add_accounts(many - few)
    fewer = [model for model in MODELS if model._default_manager.count() < many and model is not Group]
    assert fewer == []
    with connection.cursor() as cursor:
        # Statements that were planned for a few rows, by this test or an earlier one, take minutes on many.
        cursor.execute("ANALYZE")
    assert _cost_of_lists(client) == cost


def _cost_of_lists(client: Client) -> dict[str, int]:
    return {model._meta.label: queries_of(client, address(model, "changelist")) for model in MODELS}


def _add_accounts(times: int) -> None:
    for _ in range(times):
        person("operations")
        Group.objects.create(name=f"group {Group.objects.count()}")


@pytest.mark.parametrize(
    ("role", "pages", "walked"), WALKS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_list_page_and_history_opens_for_whoever_may_see_it(
    role: str, pages: tuple[str, ...], walked: list[type[models.Model]], signed_in: Callable[[str], Client]
) -> None:
    Business.grown(2)
    client = signed_in(role)
    for model in MODELS if "changelist" in pages else ():
        expected = 200 if model in OURS or role == "superuser" else 403
        assert client.get(address(model, "changelist")).status_code == expected, model
    for model in walked:
        row = model._default_manager.first()
        assert row is not None, model
        for page in {"change", "history"} & set(pages):
            response = client.get(address(model, page, row.pk))
            assert response.status_code == 200, (model, page)
            assert SECRET not in response.content.decode(), (model, page)


@pytest.mark.parametrize("role", EVERYBODY)
def test_a_page_to_add_a_row_opens_for_those_who_may_and_for_nobody_else(
    role: str, signed_in: Callable[[str], Client]
) -> None:
    client = signed_in(role)
    opened = {model._meta.label for model in MODELS if client.get(address(model, "add")).status_code == 200}
    assert opened == MAY_ADD[role]


CATALOGUE = {"inventory.Product", "inventory.Variant", "inventory.Bundle", "inventory.UnitOfMeasure"}
DOCUMENTS = {"inventory.Transfer", "inventory.CustomerReturn", "inventory.CountSheet"}
PURCHASING = {"inventory.Supplier", "inventory.PurchaseOrder"}
RULES = {"channels.ChannelGroup", "channels.RuleSet", "inventory.Tag"}
RANKS = {"channels.ListingRank"}
KEYS = {"inventory.ApiKey"}
POLICIES = {"reconciliation.ConflictPolicy"}
FIGURES = {"analytics.KpiTarget", "analytics.ReportPlan"}
TOLD = {"reconciliation.AlertRecipient"}
HOOKS = {"reconciliation.WebhookSubscription"}
SCHEDULES = {"reconciliation.ReconciliationSchedule"}
SAYS = {"channels.Authority"}
DIFFERENCES = {"reconciliation.ReconciliationPolicy", "reconciliation.StockAuthority"}
MAY_ADD = {
    "operations": {
        *CATALOGUE,
        *DOCUMENTS,
        *PURCHASING,
        *RULES,
        *RANKS,
        *POLICIES,
        *FIGURES,
        *TOLD,
        *SCHEDULES,
        *DIFFERENCES,
        *SAYS,
        "inventory.Location",
    },
    "commerce": {*RANKS, *FIGURES},
    "engineering": {*KEYS, *TOLD, *HOOKS, *SCHEDULES, *SAYS, "inventory.Location", "channels.Channel"},
    "read-only": set(),
    "superuser": {
        *CATALOGUE,
        *DOCUMENTS,
        *PURCHASING,
        *RULES,
        *RANKS,
        *POLICIES,
        *FIGURES,
        *TOLD,
        *HOOKS,
        *KEYS,
        *SCHEDULES,
        *DIFFERENCES,
        *SAYS,
        "inventory.Location",
        "inventory.Merchant",
        "channels.Channel",
        "auth.User",
        "auth.Group",
    },
}


def test_not_even_a_superuser_adds_changes_or_deletes_a_fact(signed_in: Callable[[str], Client]) -> None:
    """Of every model; in one test, because the rows take longer to make than all of it."""
    Business.grown(1)
    client = signed_in("superuser")
    for model in FACTS:
        row = model._default_manager.first()
        assert row is not None, model
        before = model._default_manager.filter(pk=row.pk).values().get()
        assert client.post(address(model, "add"), {}).status_code == 403, model
        assert client.post(address(model, "change", row.pk), {}).status_code == 403, model
        assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        client.post(address(model, "changelist"), chosen)
        assert model._default_manager.filter(pk=row.pk).values().get() == before, model


def test_the_facts_are_those_that_must_not_be_edited() -> None:
    labels = {model._meta.model_name for model in FACTS}
    assert labels >= {
        "stockoperation", "stockmovement", "stocklevel", "reservation", "conflict", "webhookdelivery", "push",
        "channelorder", "channelorderline", "ratebucket", "pollfeed", "listinglevel", "accesstoken",
    }  # fmt: skip


@pytest.mark.menu
@pytest.mark.parametrize("role", EVERYBODY)
def test_own_pages_open_for_every_role(role: str, signed_in: Callable[[str], Client]) -> None:
    business = Business.grown(2)
    client = signed_in(role)
    variant = business.variants[0]
    for url in (
        reverse("admin:index"),
        reverse("analytics:live"),
        reverse("admin:channels_stock_grid"),
        reverse("admin:channels_unmapped"),
        reverse("admin:inventory_variant_movements", args=[variant.pk]),
        reverse("admin:analytics_kpis"),
        reverse("admin:analytics_performance"),
    ):
        assert client.get(url).status_code == 200, url


@pytest.mark.parametrize("role", EVERYBODY)
def test_stock_is_moved_by_those_who_may(role: str, signed_in: Callable[[str], Client]) -> None:
    client = signed_in(role)
    expected = 200 if role in {"operations", "superuser"} else 403
    for verb in (
        "receive",
        "adjust",
        "count",
        "set_aside",
        "put_back",
        "scrap",
        "safety_stock",
        "assemble",
        "disassemble",
    ):
        assert client.get(reverse(f"admin:inventory_{verb}")).status_code == expected


def test_own_pages_cost_the_same_whatever_the_rows(signed_in: Callable[[str], Client]) -> None:
    business = Business.grown(2)
    client = signed_in("superuser")
    variant, location = business.variants[0], business.locations[0]
    line = business.add_order(business.channels[0], variant)
    business.move(variant, location, line)
    urls = (
        reverse("admin:index"),
        reverse("admin:channels_stock_grid"),
        reverse("admin:channels_unmapped"),
        reverse("admin:inventory_variant_movements", args=[variant.pk]),
    )
    few = {url: queries_of(client, url) for url in urls}
    business.grow(3)
    for number in range(8):
        business.move(variant, location, business.add_order(business.channels[0], variant))
        business.add_order(business.channels[0], None, sku=f"NEW-{number}")
    assert {url: queries_of(client, url) for url in urls} == few


def test_the_page_of_a_row_costs_the_same_whatever_hangs_on_it(signed_in: Callable[[str], Client]) -> None:
    business = Business.grown(1)
    client = signed_in("superuser")
    channel, variant, location = business.channels[0], business.variants[0], business.locations[0]
    level = business.list_on(channel, variant, location)
    urls = [
        address(type(row), page, row.pk)
        for row in (channel, variant, variant.product, level, level.listing, level.channel_location)
        for page in ("change", "history")
    ]
    [client.get(url) for url in urls]
    few = {url: queries_of(client, url) for url in urls}
    for _ in range(5):
        business.log_push(level)
        business.grow(1)
        business.list_on(channel, variant, location)
        business.move(variant, location, business.add_order(channel, variant))
        for row in (channel, variant, variant.product, level.listing):
            row.save()
    assert {url: queries_of(client, url) for url in urls} == few


@pytest.mark.parametrize(
    "models", [NEAR_CHANNELS, pytest.param(OURS, marks=pytest.mark.slow)], ids=["near", "all"]
)
def test_a_channel_whose_key_is_lost_hides_no_page(
    signed_in: Callable[[str], Client], models: list[type[models.Model]]
) -> None:
    business = Business.grown(1)
    Channel.objects.filter(pk=business.channels[0].pk).update(credentials="not for this key")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channel SET credentials = 'gAAAA-nonsense'")
    client = signed_in("superuser")
    for model in models:
        row = model._default_manager.defer("credentials") if model is Channel else model._default_manager
        assert client.get(address(model, "changelist")).status_code == 200, model
        key = row.values_list("pk", flat=True).first()
        assert client.get(address(model, "change", key)).status_code == 200, model
    assert client.get(reverse("admin:index")).status_code == 200


def test_somebody_without_a_role_sees_no_figures(client: Client) -> None:
    Business.grown(1)
    client.force_login(User.objects.create_user("new", is_staff=True))
    response = client.get(reverse("admin:index"))
    assert response.status_code == 200
    assert "no role yet" in response.content.decode()
    assert client.get(reverse("analytics:live")).status_code == 403
    assert client.get(reverse("admin:inventory_variant_changelist")).status_code == 403


def test_a_visitor_is_sent_to_the_login(client: Client) -> None:
    for url in (reverse("admin:index"), reverse("analytics:live"), reverse("admin:channels_stock_grid")):
        assert client.get(url).status_code == 302


def test_an_action_on_a_row_runs_only_by_post(signed_in: Callable[[str], Client]) -> None:
    delivery = Business.grown(1).channels[0].deliveries.get()
    client = signed_in("superuser")
    url = address(type(delivery), "do", delivery.pk, "replay_deliveries")
    assert client.get(url).status_code == 405
    assert client.post(address(type(delivery), "do", delivery.pk, "delete")).status_code == 404
    assert "replay_deliveries" in WebhookDeliveryAdmin.detail_actions
