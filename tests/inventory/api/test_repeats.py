"""A request under an idempotency key is done once, and its repeats are answered as it was."""

from contextlib import ExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from inventory.answers import KEPT_FOR, forget_old, once
from inventory.models import ApiAnswer, StockOperation
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, level_of
from tests.inventory.racing import meanwhile, race, wait_until_blocked


def receipt(cast: Cast, quantity: int = 3) -> dict[str, Any]:
    return {"lines": [{"sku": cast.mug.sku, "location": cast.warehouse.code, "quantity": quantity}]}


def test_a_repeat_is_answered_with_the_same_bytes_and_does_nothing(api: Api, cast: Cast) -> None:
    first = api.post("/stock/receive", receipt(cast), Idempotency_Key="one")
    again = api.post("/stock/receive", receipt(cast), Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def test_a_repeat_of_an_edit_keeps_its_tag(api: Api, cast: Cast) -> None:
    path = f"/variants/{cast.mug.pk}"
    first = api.patch(path, {"title": "Blue mug"}, Idempotency_Key="one")
    assert api.patch(path, {"title": "Blue mug"}, Idempotency_Key="one")["ETag"] == first["ETag"]


@pytest.mark.parametrize("change", ["body", "path"])
def test_the_same_key_for_another_request_is_refused(change: str, api: Api, cast: Cast) -> None:
    api.post("/stock/receive", receipt(cast), Idempotency_Key="one")
    path = "/stock/receive" if change == "body" else "/stock/scrap"
    body = receipt(cast, 4 if change == "body" else 3)
    problem_of(api.post(path, body, Idempotency_Key="one"), 422, "idempotency-key-reused")
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def test_another_merchant_may_use_the_same_key(api: Api, cast: Cast, stranger: Cast) -> None:
    api.post("/stock/receive", receipt(cast), Idempotency_Key="one")
    other = Api(stranger.merchant).post("/stock/receive", receipt(stranger), Idempotency_Key="one")
    assert "Idempotent-Replayed" not in other
    assert level_of(stranger.mug, stranger.warehouse) == (3, 0, 0)


def test_a_refused_request_leaves_its_key_free(api: Api, cast: Cast) -> None:
    reservation = {"lines": [{"reference": "cart", "sku": cast.mug.sku, "quantity": 3}]}
    problem_of(api.post("/reservations", reservation, Idempotency_Key="one"), 409, "insufficient-stock")
    assert ApiAnswer.objects.count() == 0
    cast.receive(3)
    assert api.post("/reservations", reservation, Idempotency_Key="one").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "naïve"])
def test_a_key_that_is_none_is_refused(key: str, api: Api, cast: Cast) -> None:
    problem_of(api.post("/products", {"title": "x"}, Idempotency_Key=key), 400, "invalid-request")


def test_the_ledger_knows_the_key_even_after_the_answer_is_forgotten(api: Api, cast: Cast) -> None:
    api.post("/stock/receive", receipt(cast), Idempotency_Key="one")
    ApiAnswer.objects.update(created_at=timezone.now() - KEPT_FOR - timedelta(minutes=1))
    assert forget_old() == 1
    assert api.post("/stock/receive", receipt(cast), Idempotency_Key="one").status_code == 200
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)
    assert StockOperation.objects.get(merchant=cast.merchant).key == "api:one"


def test_a_key_of_long_ago_makes_something_else_of_another_request(api: Api, cast: Cast) -> None:
    def draft(quantity: int) -> dict[str, Any]:
        lines = [{"sku": cast.mug.sku, "quantity": quantity}]
        body = {"source": cast.warehouse.code, "destination": cast.store.code, "lines": lines}
        made: dict[str, Any] = api.post("/transfers", body, Idempotency_Key="one").json()
        ApiAnswer.objects.all().delete()  # as after two days
        return made

    first, again, other = draft(3), draft(3), draft(4)
    assert again["id"] == first["id"]
    assert (other["id"] != first["id"], other["lines"][0]["quantity"]) == (True, 4)


def test_answers_are_kept_for_a_day_at_least(api: Api) -> None:
    api.post("/products", {"title": "x"}, Idempotency_Key="one")
    ApiAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24))
    assert forget_old() == 0


@pytest.mark.django_db(transaction=True)
def test_of_requests_at_the_same_time_one_is_done_and_all_get_its_answer() -> None:
    cast = Cast()
    key = Api(cast.merchant).key
    callers = [Api(cast.merchant, key) for _ in range(4)]
    sent = [partial(each.post, "/stock/receive", receipt(cast), Idempotency_Key="one") for each in callers]
    answers = race(sent)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer for answer in answers) == 3
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_without_a_key_each_of_them_is_done() -> None:
    """The control."""
    cast = Cast()
    key = Api(cast.merchant).key
    callers = [Api(cast.merchant, key) for _ in range(4)]
    race([partial(each.post, "/stock/receive", receipt(cast)) for each in callers])
    assert level_of(cast.mug, cast.warehouse) == (12, 0, 0)


def _impatient(api: Api, body: dict[str, Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    return api.post("/stock/receive", body, Idempotency_Key="one")


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_for_the_first_is_told_to_come_again() -> None:
    cast = Cast()
    api = Api(cast.merchant)
    with once(cast.merchant.pk, "one", "digest"):
        answer = race([partial(_impatient, api, receipt(cast))])[0]
    problem_of(answer, 409, "request-in-progress")
    assert answer["Retry-After"] == "1"
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_who_waited_for_another_request_is_refused() -> None:
    cast = Cast()
    second = partial(Api(cast.merchant).post, "/stock/receive", receipt(cast), Idempotency_Key="one")
    with ExitStack() as stack, once(cast.merchant.pk, "one", "digest") as answer:
        waiting = stack.enter_context(meanwhile(second))
        wait_until_blocked()
        answer.status = 200
    problem_of(waiting.result(), 422, "idempotency-key-reused")
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_second_request_goes_on_where_the_first_one_died() -> None:
    cast = Cast()
    api = Api(cast.merchant)
    second = partial(api.post, "/stock/receive", receipt(cast), Idempotency_Key="one")
    with ExitStack() as stack, suppress(ConnectionError), once(cast.merchant.pk, "one", "digest"):
        waiting = stack.enter_context(meanwhile(second))
        wait_until_blocked()
        raise ConnectionError  # the first process dies here
    assert waiting.result().status_code == 200
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)
