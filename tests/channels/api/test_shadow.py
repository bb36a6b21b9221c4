"""Shadow runs as other systems read them: their report, and what each shelf showed beside what we would have shown."""

import pytest

from channels.models import Channel, ListingLevel, ShadowRun, ShadowSpan
from tests.api import Api, problem_of
from tests.back_office import Business

pytestmark = pytest.mark.django_db


@pytest.fixture
def business(db: None) -> Business:
    """A merchant with a row of everything: a run that is over, in which one shelf showed too much."""
    return Business().grow(1)


@pytest.fixture
def caller(business: Business) -> Api:
    return Api(business.merchant)


def test_runs_are_listed_and_summed_up(caller: Api, business: Business) -> None:
    (run,) = caller.get("/shadow-runs", {"channel": business.channels[0].pk}).json()["data"]
    assert (run["outcome"], run["may_subscribe"]) == ("live", False)
    assert caller.get("/shadow-runs", {"is_over": "false"}).json()["data"] == []
    assert caller.get(f"/shadow-runs/{run['id']}").json() == run
    report = caller.get(f"/shadow-runs/{run['id']}/report").json()
    assert report["totals"]["share_differed"] == 1.0
    (difference,) = report["differences"]
    assert (difference["shown"], difference["would"], difference["most_above"]) == (5, 3, 2)
    assert difference["listing_level_id"] == ListingLevel.objects.get(channel=business.channels[0]).pk


def test_spans_are_listed_by_run_and_by_whether_they_differ(caller: Api) -> None:
    run = ShadowRun.objects.get()
    (span,) = caller.get("/shadow-spans", {"run": run.pk, "differs": "true"}).json()["data"]
    assert (span["shown"], span["would"], span["caused_at"]) == (5, 3, None)
    assert caller.get("/shadow-spans", {"differs": "false"}).json()["data"] == []
    assert caller.get("/shadow-spans", {"would_have_sent": "true"}).json()["data"] == []
    ShadowSpan.objects.update(would=None)
    assert caller.get("/shadow-spans", {"differs": "true"}).json()["data"] == []


def test_a_channel_in_shadow_says_so_and_is_not_resumed(caller: Api, business: Business) -> None:
    channel = business.channels[0]
    Channel.objects.filter(pk=channel.pk).update(is_paused=True, in_shadow=True)
    assert caller.get(f"/channels/{channel.pk}").json()["in_shadow"] is True
    problem_of(caller.post(f"/channels/{channel.pk}/resume"), 422, "refused")
    problem_of(caller.patch(f"/channels/{channel.pk}", {"is_paused": False}), 422, "refused")
    assert Channel.objects.get(pk=channel.pk).is_paused
