"""The rate of a key is exact: all processes count in one row."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from inventory.access import Caller, recognise
from inventory.models import ApiKey, ApiKeyUse
from tests.api import Api, make_key, problem_of
from tests.inventory.cast import Cast
from tests.inventory.racing import race


def test_requests_beyond_the_rate_are_refused_until_the_minute_is_over(cast: Cast) -> None:
    key, text = make_key(cast.merchant, requests_per_minute=2)
    caller = Api(cast.merchant, text)
    first = caller.get("/variants")
    assert (first["RateLimit-Limit"], first["RateLimit-Remaining"]) == ("2", "1")
    assert 0 < int(first["RateLimit-Reset"]) <= 60
    assert caller.get("/variants")["RateLimit-Remaining"] == "0"
    refused = caller.get("/variants")
    problem_of(refused, 429, "rate-limit")
    assert 0 < int(refused["Retry-After"]) <= 60
    ApiKeyUse.objects.filter(key=key).update(window_started_at=timezone.now() - timedelta(seconds=61))
    assert caller.get("/variants")["RateLimit-Remaining"] == "1"


def test_what_was_sent_with_a_wrong_key_counts_against_nobody(cast: Cast) -> None:
    key, text = make_key(cast.merchant)
    Api(cast.merchant, key.prefix + ".guessed").get("/variants")
    assert ApiKeyUse.objects.get(key=key).used == 0
    assert recognise(text) is not None


@pytest.mark.django_db(transaction=True)
def test_exactly_as_many_pass_as_the_rate_says() -> None:
    cast = Cast()
    _, text = make_key(cast.merchant, requests_per_minute=5)
    answers: list[Caller] = race([partial(recognise, text)] * 12)
    assert sorted(answer.used for answer in answers) == list(range(1, 13))
    assert sum(not answer.is_over_rate for answer in answers) == 5


@pytest.mark.django_db(transaction=True)
def test_counting_by_reading_first_lets_more_pass() -> None:
    """The control: what the one statement is for."""
    cast = Cast()
    key, _ = make_key(cast.merchant, requests_per_minute=5)
    results = race([partial(_read_then_count, key)] * 12)
    assert sum(results) > 5


def _read_then_count(key: ApiKey) -> Any:
    import time

    used = ApiKeyUse.objects.get(key=key).used
    time.sleep(0.05)
    ApiKeyUse.objects.filter(key=key).update(used=F("used") + 1)
    return used < key.requests_per_minute
