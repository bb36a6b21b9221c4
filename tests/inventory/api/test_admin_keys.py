"""Keys in the back office: shown once, by their beginning ever after; replaced, revoked."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inventory.access import recognise
from inventory.models import ApiKey
from tests.api import make_key
from tests.back_office import person
from tests.inventory.cast import Cast

pytestmark = pytest.mark.django_db

_KEY = re.compile(r"oc_(?:live|test)_\w+\.\w+")


@pytest.fixture
def engineer(client: Client) -> Client:
    """Somebody who looks after connections."""
    client.force_login(person("engineering"))
    return client


def filled_in(cast: Cast, **more: Any) -> dict[str, Any]:
    return {
        "merchant": cast.merchant.pk,
        "name": "warehouse",
        "scopes": ["stock:read", "stock:write"],
        "requests_per_minute": "120",
        "expires_at_0": "",
        "expires_at_1": "",
        **more,
    }


def test_a_key_is_shown_once_when_it_is_made(engineer: Client, cast: Cast) -> None:
    shown = engineer.post(reverse("admin:inventory_apikey_add"), filled_in(cast))
    assert shown.status_code == 200
    assert "no-store" in shown["Cache-Control"]
    text = _KEY.findall(shown.content.decode())[0]
    caller = recognise(text)
    assert caller is not None
    assert (caller.merchant_id, caller.rate, caller.scopes) == (
        cast.merchant.pk,
        120,
        frozenset({"stock:read", "stock:write"}),
    )
    key = ApiKey.objects.get()
    for page in ("changelist", "change", "history"):
        args = [] if page == "changelist" else [key.pk]
        content = engineer.get(reverse(f"admin:inventory_apikey_{page}", args=args)).content.decode()
        assert not _KEY.search(content), page
        assert text.partition(".")[2] not in content
        assert key.hashed_key not in content


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"name": ""}, {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}]
)
def test_a_key_that_makes_no_sense_is_not_made(wrong: dict[str, Any], engineer: Client, cast: Cast) -> None:
    response = engineer.post(reverse("admin:inventory_apikey_add"), filled_in(cast, **wrong))
    assert response.context["adminform"].form.errors
    assert not ApiKey.objects.exists()


def test_a_key_is_replaced_and_the_new_one_shown_once(engineer: Client, cast: Cast) -> None:
    old, old_text = make_key(cast.merchant, "stock:read")
    address = reverse("admin:inventory_apikey_do", args=[old.pk, "rotate_keys"])
    text = _KEY.findall(engineer.post(address).content.decode())[0]
    assert recognise(text) is not None
    assert recognise(old_text) is not None
    old.refresh_from_db()
    assert old.expires_at is not None


def test_a_key_is_revoked(engineer: Client, cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    engineer.post(reverse("admin:inventory_apikey_do", args=[key.pk, "revoke_keys"]))
    assert recognise(text) is None


@pytest.mark.parametrize("role", ["operations", "commerce", "read-only"])
def test_others_give_out_no_keys(role: str, client: Client, cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    client.force_login(person(role))
    assert client.post(reverse("admin:inventory_apikey_add"), filled_in(cast)).status_code == 403
    assert client.post(reverse("admin:inventory_apikey_do", args=[key.pk, "revoke_keys"])).status_code == 403
    assert recognise(text) is not None


def test_what_a_key_may_do_is_changed(engineer: Client, cast: Cast) -> None:
    key, text = make_key(cast.merchant, "stock:read")
    address = reverse("admin:inventory_apikey_change", args=[key.pk])
    engineer.post(address, filled_in(cast, scopes=["catalogue:read"]))
    caller = recognise(text)
    assert caller is not None
    assert caller.scopes == {"catalogue:read"}
    assert key.history.count() == 2
