"""What is changed is what the caller saw: `If-Match` on edits and on steps, beside the back office."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from channels.models import ListingLevel
from inventory.models import Location, Transfer
from tests.api import Api, problem_of
from tests.back_office import Business
from tests.channels.shop import open_shop
from tests.inventory.cast import Cast, level_of
from tests.inventory.racing import meanwhile, wait_until_blocked

pytestmark = pytest.mark.django_db


def draft(api: Api, cast: Cast, quantity: int = 3, path: str = "/transfers") -> Any:
    body = {"source": cast.warehouse.code, "destination": cast.store.code}
    return api.post(path, {**body, "lines": [{"sku": cast.mug.sku, "quantity": quantity}]})


def test_a_step_made_of_another_version_is_refused(api: Api, cast: Cast) -> None:
    cast.receive(5)
    transfer = draft(api, cast).json()["id"]
    tag = api.get(f"/transfers/{transfer}")["ETag"]
    assert draft(api, cast, 4, f"/transfers/{transfer}/replan").json()["lines"][0]["quantity"] == 4
    problem_of(api.post(f"/transfers/{transfer}/send", If_Match=tag), 412, "changed-meanwhile")
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    tag = api.get(f"/transfers/{transfer}")["ETag"]
    assert api.post(f"/transfers/{transfer}/send", If_Match=tag).json()["state"] == "sent"


def test_what_the_back_office_saves_meanwhile_is_another_version(api: Api, cast: Cast) -> None:
    path = f"/variants/{cast.mug.pk}"
    tag = api.get(path)["ETag"]
    cast.mug.title = "As somebody wrote at the back office"
    cast.mug.save()
    problem_of(api.patch(path, {"title": "x"}, If_Match=tag), 412, "changed-meanwhile")
    assert api.patch(path, {"title": "x"}, If_Match=api.get(path)["ETag"]).status_code == 200


def test_a_change_that_changes_nothing_is_not_noted(api: Api, cast: Cast) -> None:
    path, noted = f"/variants/{cast.mug.pk}", cast.mug.history.count()
    assert api.patch(path, {"sku": cast.mug.sku, "product_id": cast.mug.product_id}).status_code == 200
    assert cast.mug.history.count() == noted
    assert api.patch(path, {"title": "Another"}).status_code == 200
    assert cast.mug.history.count() == noted + 1


@pytest.mark.django_db(transaction=True)
def test_a_step_waits_for_who_is_changing_the_document_and_then_looks_again() -> None:
    cast = Cast()
    cast.receive(5)
    api = Api(cast.merchant)
    transfer = draft(api, cast).json()["id"]
    tag = api.get(f"/transfers/{transfer}")["ETag"]
    other = Api(cast.merchant, api.key)
    with ExitStack() as stack, transaction.atomic():
        row = Transfer.objects.select_for_update().get(pk=transfer)
        row.reference = "changed"
        row.save()
        send = partial(other.post, f"/transfers/{transfer}/send", If_Match=tag)
        waiting = stack.enter_context(meanwhile(send))
        wait_until_blocked()
    problem_of(waiting.result(), 412, "changed-meanwhile")
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_channels_hear_of_a_location_that_is_switched_off() -> None:
    shop = open_shop({"MUG": 10})
    listing = shop.list_variant("MUG")
    ListingLevel.objects.update(done=F("wanted"), due_since=None)
    api = Api(shop.merchant)
    location = shop.locations["main"].pk
    due = []
    for change in ({"name": "Main"}, {"is_active": False}):
        assert api.patch(f"/locations/{location}", change).status_code == 200
        due.append(shop.shelf(listing).is_due)
    assert due == [False, True]
    assert not Location.objects.get(pk=location).is_active


@pytest.mark.parametrize("value", ["1", "yes", "True", "banana"])
def test_a_filter_that_nobody_understands_lists_nothing(value: str, api: Api) -> None:
    problem = problem_of(api.get("/variants", {"is_active": value}), 400, "invalid-request")
    assert problem["field"] == "is_active"


def test_a_draft_of_the_back_office_is_placed() -> None:
    business = Business.grown(1)
    order = business.buy(business.variants[0], business.locations[0], _line(business))
    order.state = "draft"
    order.save()
    placed = Api(business.merchant).post(f"/purchase-orders/{order.pk}/place")
    assert placed.json()["state"] == "ordered"


def _line(business: Business) -> Any:
    return business.add_order(business.channels[0], business.variants[0])
