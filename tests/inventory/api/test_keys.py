"""Keys: given out once, recognised, limited to scopes, replaced with an overlap, revoked."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from inventory.access import recognise, revoke, rotate
from inventory.errors import InvalidStockRequest
from inventory.models import ApiAnswer, ApiKey, ApiKeyUse
from inventory.scopes import SCOPES
from tests.api import Api, make_key, problem_of
from tests.inventory.cast import Cast

pytestmark = pytest.mark.django_db


def test_a_key_is_kept_as_a_digest_alone(cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    stored = ApiKey.objects.filter(pk=key.pk).values().get()
    assert text.startswith(key.prefix)
    assert not any(text in str(value) for value in stored.values())
    assert text.partition(".")[2] not in str(ApiKey.history.filter(id=key.pk).values())


def test_the_beginning_of_a_key_says_whether_it_is_for_tests(cast: Cast) -> None:
    assert make_key(cast.merchant)[1].startswith("oc_live_")
    assert make_key(cast.merchant, is_test=True)[1].startswith("oc_test_")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x", "Bearer " + "x" * 500, "Basic abc", "Bearer oc_live_é.x", "\x00"],
)
def test_who_has_no_key_learns_nothing(header: str | None, cast: Cast) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = Client().get("/api/v1/variants", headers=headers)
    problem_of(response, 401, "no-key")
    assert response["WWW-Authenticate"] == "Bearer"
    assert "RateLimit-Limit" not in response


def test_a_key_is_refused_once_it_has_expired(cast: Cast) -> None:
    key, text = make_key(cast.merchant, expires_at=timezone.now() + timedelta(hours=1))
    assert Api(cast.merchant, text).get("/variants").status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    problem_of(Api(cast.merchant, text).get("/variants"), 401, "no-key")


def test_a_key_is_refused_from_the_moment_it_is_revoked(cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    assert recognise(text) is not None
    revoke(cast.merchant.pk, key.pk)
    assert recognise(text) is None


def test_a_key_of_a_merchant_that_is_switched_off_is_refused(cast: Cast) -> None:
    _, text = make_key(cast.merchant)
    cast.merchant.is_active = False
    cast.merchant.save()
    assert recognise(text) is None


def test_it_is_noted_when_a_key_was_used(cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    assert ApiKeyUse.objects.get(key=key).last_used_at is None
    Api(cast.merchant, text).get("/variants")
    assert ApiKeyUse.objects.get(key=key).last_used_at is not None


def test_the_old_key_stays_in_force_for_the_overlap(cast: Cast) -> None:
    old, old_text = make_key(cast.merchant, "stock:read")
    new, new_text = rotate(cast.merchant.pk, old.pk, by="tests", overlap=timedelta(minutes=5))
    assert recognise(old_text) is not None
    found = recognise(new_text)
    assert found is not None
    assert (found.scopes, new.replaces_id) == (frozenset({"stock:read"}), old.pk)
    old.refresh_from_db()
    assert old.expires_at is not None
    assert old.expires_at <= timezone.now() + timedelta(minutes=5)


def test_a_key_that_ends_anyway_is_not_given_longer_by_being_replaced(cast: Cast) -> None:
    end = timezone.now() + timedelta(minutes=1)
    old, _ = make_key(cast.merchant, expires_at=end)
    rotate(cast.merchant.pk, old.pk, by="tests", overlap=timedelta(hours=24))
    old.refresh_from_db()
    assert old.expires_at == end


def test_a_key_is_replaced_once_so_that_no_key_ends_with_an_overlap(cast: Cast) -> None:
    old, _ = make_key(cast.merchant)
    new, _ = rotate(cast.merchant.pk, old.pk, by="tests")
    with pytest.raises(InvalidStockRequest, match="replaced already"):
        rotate(cast.merchant.pk, old.pk, by="tests")
    assert rotate(cast.merchant.pk, new.pk, by="tests")[0].expires_at is None


def test_a_key_that_is_not_in_force_cannot_be_replaced(cast: Cast) -> None:
    key, _ = make_key(cast.merchant)
    revoke(cast.merchant.pk, key.pk)
    with pytest.raises(InvalidStockRequest):
        rotate(cast.merchant.pk, key.pk, by="tests")


@pytest.mark.parametrize(
    "terms",
    [
        {"scopes": ["nonsense"]},
        {"scopes": []},
        {"name": " "},
        {"expires_at": "past"},
        {"requests_per_minute": 0},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(terms: dict[str, Any], cast: Cast) -> None:
    from inventory.access import KeyTerms, issue

    if terms.get("expires_at"):
        terms = {"expires_at": timezone.now() - timedelta(days=1)}
    with pytest.raises(InvalidStockRequest):
        issue(cast.merchant, KeyTerms(**{"name": "x", "scopes": ["stock:read"], **terms}), by="tests")


# Scopes.


def test_reading_needs_the_scope_to_read_and_writing_that_to_write(cast: Cast) -> None:
    reader = Api(cast.merchant, make_key(cast.merchant, "catalogue:read")[1])
    assert reader.get("/variants").status_code == 200
    problem = problem_of(reader.post("/products", {"title": "Mugs"}), 403, "missing-scope")
    assert "catalogue:write" in problem["detail"]
    problem_of(reader.get("/stock-levels"), 403, "missing-scope")
    writer = Api(cast.merchant, make_key(cast.merchant, "catalogue:write")[1])
    assert writer.post("/products", {"title": "Mugs"}).status_code == 201
    problem_of(writer.get("/products"), 403, "missing-scope")


def test_only_an_owner_key_sees_keys(cast: Cast) -> None:
    everything = [scope for scope in SCOPES if scope != "owner"]
    other = Api(cast.merchant, make_key(cast.merchant, *everything)[1])
    problem_of(other.get("/keys"), 403, "missing-scope")
    problem_of(other.post("/keys", {"name": "x", "scopes": ["owner"]}), 403, "missing-scope")


# Through the API.


def test_an_owner_key_makes_replaces_and_revokes_keys(api: Api, cast: Cast) -> None:
    made = api.post("/keys", {"name": "warehouse", "scopes": ["stock:write"]})
    assert made.status_code == 201
    first = recognise(made.json()["secret"])
    assert first is not None
    assert (first.merchant_id, first.name) == (cast.merchant.pk, "warehouse")
    replaced = api.post(f"/keys/{first.key_id}/rotate", {"overlap_seconds": 60})
    assert replaced.status_code == 201
    second = recognise(replaced.json()["secret"])
    assert second is not None
    assert api.post(f"/keys/{second.key_id}/revoke").json()["revoked_at"] is not None
    assert recognise(replaced.json()["secret"]) is None


def test_a_repeat_makes_no_second_key_and_does_not_show_the_first_again(api: Api) -> None:
    body = {"name": "warehouse", "scopes": ["stock:write"]}
    first = api.post("/keys", body, Idempotency_Key="one").json()
    again = api.post("/keys", body, Idempotency_Key="one")
    assert again.status_code == 201
    assert again.json() == {"secret": None, "key": first["key"]}
    assert ApiKey.objects.filter(name="warehouse").count() == 1
    assert first["secret"] not in ApiAnswer.objects.get().body


def test_a_listed_key_shows_its_beginning_and_no_more(api: Api) -> None:
    listed = api.get("/keys").json()["data"][0]
    assert api.key.startswith(listed["prefix"])
    assert "hashed" not in str(listed)
    assert api.key not in str(listed)
