"""What went wrong with channels, as other systems read it, and having it tried again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.models import ListingLevel, PollFeed, Retry
from tests.api import Api, problem_of
from tests.back_office import SECRET, Business
from tests.channels.shop import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def business(db: None) -> Business:
    """A merchant with a row of everything."""
    return Business.grown(1)


@pytest.fixture
def caller(business: Business) -> Api:
    """A key that may do everything."""
    return Api(business.merchant)


def test_the_error_log_is_read_by_channel_and_time(caller: Api, business: Business) -> None:
    entry = caller.get("/errors", {"channel": business.channels[0].pk}).json()["data"][0]
    assert (entry["code"], entry["status"], entry["job"]) == ("unavailable", 503, "poll")
    assert caller.get(f"/errors/{entry['id']}").json() == entry
    later = (timezone.now() + timedelta(minutes=1)).isoformat()
    assert caller.get("/errors", {"since": later}).json()["data"] == []


def test_a_message_that_was_given_up_is_processed_again(caller: Api) -> None:
    dead = caller.get("/platform-messages", {"state": "dead"}).json()["data"][0]
    assert "payload" not in dead
    path = f"/platform-messages/{dead['id']}/replay"
    assert caller.post(path).json()["state"] == "received"
    problem_of(caller.post(path), 409, "wrong-state")
    again = caller.post("/platform-messages/replay", {"message_ids": [dead["id"]]})
    assert again.json() == {"replayed": 0}


def test_messages_of_a_channel_that_is_off_are_left_alone(caller: Api, business: Business) -> None:
    business.channels[0].is_active = False
    business.channels[0].save()
    dead = caller.get("/platform-messages", {"state": "dead"}).json()["data"][0]
    problem_of(caller.post(f"/platform-messages/{dead['id']}/replay"), 409, "wrong-state")


def test_numbers_that_were_given_up_are_told_again(caller: Api) -> None:
    ListingLevel.objects.update(dead_at=timezone.now(), last_error="Refused.")
    dead = caller.get("/listing-levels", {"is_dead": "true"}).json()["data"][0]
    assert (dead["last_error"], dead["is_due"]) == ("Refused.", False)
    path = f"/listing-levels/{dead['id']}"
    problem_of(caller.post(f"{path}/push"), 409, "wrong-state")
    assert caller.post(f"{path}/replay").json()["is_due"]
    problem_of(caller.post(f"{path}/replay"), 409, "wrong-state")
    assert caller.get("/listing-levels", {"is_dead": "true"}).json()["data"] == []
    ListingLevel.objects.update(dead_at=timezone.now())
    answer = caller.post("/listing-levels/replay", {"listing_level_ids": [dead["id"]]})
    assert answer.json() == {"replayed": 1}


def test_the_push_log_of_a_shelf_comes_latest_first(caller: Api, business: Business) -> None:
    level = ListingLevel.objects.get(channel=business.channels[0])
    business.log_push(level)
    pushes = caller.get(f"/listing-levels/{level.pk}/pushes", {"limit": 1}).json()
    more = caller.get(f"/listing-levels/{level.pk}/pushes", {"cursor": pushes["next_cursor"]}).json()
    ids = [each["id"] for each in (*pushes["data"], *more["data"])]
    assert len(ids) == 2
    assert ids == sorted(ids, reverse=True)


def test_given_up_work_is_begun_anew(caller: Api) -> None:
    waiting = caller.get("/retries").json()["data"][0]
    problem_of(caller.post(f"/retries/{waiting['id']}/again"), 409, "wrong-state")
    Retry.objects.update(state="exhausted", next_attempt_at=None, ended_at=timezone.now())
    assert caller.post(f"/retries/{waiting['id']}/again").json()["state"] == "done"


def test_work_of_no_merchant_is_nobodys(caller: Api) -> None:
    now = timezone.now()
    job = Retry.objects.create(kind="job", key="sweep", reason="deadlock", first_at=now, last_at=now)
    problem_of(caller.get(f"/retries/{job.pk}"), 404, "not-found")


# A whole channel.


def test_a_channel_is_paused_and_resumed_by_name(api: Api, shop: Shop) -> None:
    path = f"/channels/{shop.channel.pk}"
    assert api.post(f"{path}/pause").json()["is_paused"] is True
    problem_of(api.post(f"{path}/push"), 409, "wrong-state")
    assert api.post(f"{path}/resume").json()["is_paused"] is False
    assert shop.channel.history.first().history_change_reason.startswith("API: tests")


def test_all_numbers_of_a_channel_are_told_again(api: Api, shop: Shop) -> None:
    shelf = shop.shelf(shop.list_variant("MUG"))
    ListingLevel.objects.update(done=shelf.wanted, due_since=None)
    assert api.post(f"/channels/{shop.channel.pk}/push").json() == {"marked": 1}
    shelf.refresh_from_db()
    assert shelf.is_due


def test_a_channel_is_polled_at_once(api: Api, shop: Shop) -> None:
    later = timezone.now() + timedelta(hours=1)
    PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=later)
    assert api.post(f"/channels/{shop.channel.pk}/poll").status_code == 200
    assert PollFeed.objects.get(channel=shop.channel, name="orders").next_poll_at < later


def test_nothing_of_this_shows_a_secret(caller: Api) -> None:
    for path in ("/errors", "/platform-messages", "/retries", "/listing-levels", "/alerts", "/discrepancies"):
        assert SECRET not in caller.get(path).content.decode(), path
