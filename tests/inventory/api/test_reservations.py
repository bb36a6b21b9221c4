"""Carts: held for a while, confirmed, extended, released, fulfilled."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from inventory.bundles import Component, define
from inventory.models import BundleKind, Reservation
from inventory.reservations import confirm, extend
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, assert_ledger_holds, level_of

pytestmark = pytest.mark.django_db


def cart(cast: Cast, quantity: int = 2, **more: Any) -> dict[str, Any]:
    return {"lines": [{"reference": "cart", "sku": cast.mug.sku, "quantity": quantity}], **more}


def held(api: Api, cast: Cast, quantity: int = 2, **more: Any) -> int:
    made = api.post("/reservations", cart(cast, quantity, **more))
    assert made.status_code == 201, made.content
    identity: int = made.json()["held"][0]["reservation_id"]
    return identity


def test_a_cart_is_held_for_a_while(api: Api, cast: Cast) -> None:
    cast.receive(5)
    identity = held(api, cast, ttl_seconds=900)
    shown = api.get(f"/reservations/{identity}").json()
    assert (shown["reference"], shown["open_quantity"]) == ("cart", 2)
    assert shown["expires_at"] is not None
    assert level_of(cast.mug, cast.warehouse) == (5, 2, 0)


def test_all_or_nothing_names_every_shortage(api: Api, cast: Cast) -> None:
    cast.receive(1)
    lines = [
        {"reference": "a", "sku": cast.mug.sku, "quantity": 2},
        {"reference": "b", "sku": cast.shirt.sku, "quantity": 1},
    ]
    problem = problem_of(api.post("/reservations", {"lines": lines}), 409, "insufficient-stock")
    assert problem["shortages"] == [
        {"reference": "a", "sku": cast.mug.sku, "requested": 2, "available": 1},
        {"reference": "b", "sku": cast.shirt.sku, "requested": 1, "available": 0},
    ]
    assert Reservation.objects.count() == 0


def test_a_part_is_held_where_it_is_asked_for(api: Api, cast: Cast) -> None:
    cast.receive(1)
    made = api.post("/reservations", cart(cast, allow_partial=True)).json()
    assert [each["quantity"] for each in made["held"]] == [1]
    assert made["short"] == [{"reference": "cart", "sku": cast.mug.sku, "quantity": 1}]


def test_only_the_locations_named_are_drawn_on(api: Api, cast: Cast) -> None:
    cast.receive(5)
    body = cart(cast)
    body["lines"][0]["locations"] = [cast.store.code]
    problem_of(api.post("/reservations", body), 409, "insufficient-stock")


def test_a_hold_goes_its_way(api: Api, cast: Cast) -> None:
    cast.receive(9)
    first, second, third = held(api, cast, ttl_seconds=60), held(api, cast), held(api, cast, 3)
    assert api.post("/reservations/confirm", {"reservation_ids": [first]}).status_code == 200
    assert api.get(f"/reservations/{first}").json()["expires_at"] is None
    units = {"units": [{"reservation_id": second, "quantity": 1}]}
    assert api.post("/reservations/release", units).status_code == 200
    assert api.post("/reservations/fulfil", {"units": [{"reservation_id": third}]}).status_code == 200
    assert level_of(cast.mug, cast.warehouse) == (6, 3, 0)
    open_ones = api.get("/reservations", {"is_open": "true"}).json()["data"]
    assert [each["id"] for each in open_ones] == [first, second]
    assert_ledger_holds()


def test_an_ended_hold_can_neither_be_confirmed_nor_extended(api: Api, cast: Cast) -> None:
    cast.receive(5)
    identity = held(api, cast, ttl_seconds=60)
    Reservation.objects.filter(pk=identity).update(expires_at=timezone.now() - timedelta(seconds=1))
    problem_of(api.post("/reservations/confirm", {"reservation_ids": [identity]}), 409, "reservation-expired")
    body = {"reservation_ids": [identity], "ttl_seconds": 60}
    problem_of(api.post("/reservations/extend", body), 409, "reservation-expired")


def test_a_hold_is_given_another_end(api: Api, cast: Cast) -> None:
    cast.receive(5)
    identity = held(api, cast, ttl_seconds=60)
    api.post("/reservations/extend", {"reservation_ids": [identity], "ttl_seconds": 7200})
    end = Reservation.objects.get(pk=identity).expires_at
    assert end is not None
    assert end > timezone.now() + timedelta(hours=1)


def test_a_confirmed_hold_keeps_having_no_end(cast: Cast) -> None:
    cast.receive(5)
    soon = timezone.now() + timedelta(minutes=5)
    identity = cast.hold("cart", 2, expires_at=soon)
    confirm(cast.context(), [identity])
    extend(cast.context(), [identity], soon)
    assert Reservation.objects.get(pk=identity).expires_at is None


def test_the_parts_of_a_kit_are_extended_together(cast: Cast) -> None:
    kit, parts = cast.shirt, [cast.mug, Cast(cast.merchant).mug]
    define(cast.context(), kit.pk, BundleKind.KIT, [Component(part.pk, 1) for part in parts])
    for part in parts:
        cast.receive(2, part)
    identity = cast.hold("cart", 1, kit, expires_at=timezone.now() + timedelta(minutes=1))
    later = timezone.now() + timedelta(hours=1)
    extend(cast.context(), [identity], later)
    assert set(Reservation.objects.values_list("expires_at", flat=True)) == {later}


def test_what_was_given_back_cannot_be_extended(api: Api, cast: Cast) -> None:
    cast.receive(5)
    identity = held(api, cast, ttl_seconds=60)
    api.post("/reservations/release", {"units": [{"reservation_id": identity}]})
    body = {"reservation_ids": [identity], "ttl_seconds": 60}
    problem_of(api.post("/reservations/extend", body), 409, "reservation-closed")


def test_a_reservation_of_somebody_else_is_unknown(api: Api, stranger: Cast) -> None:
    stranger.receive(5)
    identity = stranger.hold("cart", 2)
    for verb, body in (
        ("confirm", {"reservation_ids": [identity]}),
        ("extend", {"reservation_ids": [identity], "ttl_seconds": 9}),
        ("release", {"units": [{"reservation_id": identity}]}),
        ("fulfil", {"units": [{"reservation_id": identity}]}),
    ):
        problem_of(api.post(f"/reservations/{verb}", body), 404, "not-found")
    assert level_of(stranger.mug, stranger.warehouse) == (5, 2, 0)
