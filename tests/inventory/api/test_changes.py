"""The feed of changes, as a merchant's system reads it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from inventory.changes import forget_old
from inventory.models import Change, StockLevel
from inventory.sequencer import sequence
from tests.api import Api, make_key, problem_of
from tests.inventory.cast import Cast
from tests.inventory.test_changes import tell_all

pytestmark = pytest.mark.django_db


def start(api: Api) -> str:
    """Returns the cursor of now, with everything told so far below it."""
    sequence()
    answer = api.get("/changes").json()
    assert (answer["data"], answer["has_more"]) == ([], False)
    cursor: str = answer["next_cursor"]
    return cursor


def test_a_mirror_begins_with_a_cursor_and_follows(api: Api, cast: Cast) -> None:
    cast.receive(10)
    cursor = start(api)
    assert api.get("/changes", {"cursor": cursor}).json()["data"] == []
    api.post("/reservations", {"lines": [{"reference": "cart", "sku": cast.mug.sku, "quantity": 2}]})
    sequence()
    answer = api.get("/changes", {"cursor": cursor}).json()
    stock, created = answer["data"]
    level = StockLevel.objects.get()
    assert (stock["kind"], stock["sku"], stock["location"], stock["version"]) == (
        "stock.changed",
        cast.mug.sku,
        cast.warehouse.code,
        level.version,
    )
    assert (stock["verb"], stock["source"], stock["data"]["available"]) == ("reserve", "api", 8)
    assert stock["data"]["level_id"] == level.pk
    assert (created["kind"], created["data"]["reference"]) == ("reservation.created", "cart")
    assert created["operation_id"] == stock["operation_id"]
    assert api.get("/changes", {"cursor": answer["next_cursor"]}).json()["data"] == []


def test_pieces_follow_each_other_without_gap_or_repeat(api: Api, cast: Cast) -> None:
    cursor = start(api)
    for _ in range(5):
        cast.receive(1)
    sequence()
    versions, more = [], True
    while more:
        answer = api.get("/changes", {"cursor": cursor, "limit": 2}).json()
        versions += [each["version"] for each in answer["data"]]
        cursor, more = answer["next_cursor"], answer["has_more"]
    assert versions == [1, 2, 3, 4, 5]


def test_kinds_are_chosen_and_the_cursor_passes_the_others(api: Api, cast: Cast) -> None:
    cursor = start(api)
    cast.receive(5)
    sequence()
    answer = api.get("/changes", {"cursor": cursor, "kind": "variant.changed"}).json()
    assert answer["data"] == []
    assert api.get("/changes", {"cursor": answer["next_cursor"]}).json()["data"] == []
    both = api.get("/changes", {"cursor": cursor, "kind": ["variant.changed", "stock.changed"]}).json()
    assert [each["kind"] for each in both["data"]] == ["stock.changed"]


def test_a_key_is_told_what_it_may_read(cast: Cast) -> None:
    narrow = Api(cast.merchant, make_key(cast.merchant, "stock:read")[1])
    cursor = start(narrow)
    cast.receive(5)
    cast.hold("cart", 1)
    cast.mug.title = "Another"
    cast.mug.save()
    sequence()
    kinds = [each["kind"] for each in narrow.get("/changes", {"cursor": cursor}).json()["data"]]
    assert kinds == ["stock.changed", "stock.changed"]
    refused = narrow.get("/changes", {"cursor": cursor, "kind": "reservation.created"})
    assert "reservations:read" in problem_of(refused, 403, "missing-scope")["detail"]
    other = Api(cast.merchant, make_key(cast.merchant, "reservations:read")[1])
    problem_of(other.get("/changes"), 403, "missing-scope")


def test_nobody_is_told_of_somebody_elses(api: Api, cast: Cast, stranger: Cast) -> None:
    cursor = start(api)
    stranger.receive(5)
    stranger.hold("secret", 1)
    cast.receive(1)
    sequence()
    answer = api.get("/changes", {"cursor": cursor})
    assert [each["sku"] for each in answer.json()["data"]] == [cast.mug.sku]
    assert "secret" not in answer.content.decode()


def test_whoever_stayed_away_too_long_is_told_to_begin_anew(api: Api, cast: Cast) -> None:
    cursor = start(api)
    cast.receive(1)
    cast.receive(1)
    tell_all()
    Change.objects.update(happened_at=timezone.now() - timedelta(days=settings.KEEP_CHANGES_DAYS + 1))
    forget_old()
    problem = problem_of(api.get("/changes", {"cursor": cursor}), 410, "changes-forgotten")
    assert problem["field"] == "cursor"
    assert api.get("/changes", {"cursor": start(api)}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [{"cursor": "x"}, {"cursor": ""}, {"limit": 1001}, {"limit": 0}, {"kind": "stock.lost"}, {"wait": 1}],
)
def test_what_makes_no_sense_is_refused(query: dict[str, object], api: Api) -> None:
    problem_of(api.get("/changes", query), 400, "invalid-request")
