"""Who has the say over which location: given, looked up and taken away by a system."""

import pytest

from channels.models import Authority, Channel, ChannelLocation
from tests.api import Api, problem_of
from tests.channels.shop import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def warehouse(shop: Shop) -> Channel:
    channel = Channel.objects.create(merchant=shop.merchant, name="Picqer", kind="picqer")
    ChannelLocation.objects.create(channel=channel, external_id="18", name="Hall", is_active=False)
    return channel


def test_the_say_is_given_read_again_and_taken_away(api: Api, shop: Shop, warehouse: Channel) -> None:
    body = {"location": "main", "channel_id": warehouse.pk, "place": "18"}
    given = api.post("/authorities", body)
    assert given.status_code == 201
    shown = given.json()
    assert (shown["location"], shown["channel_id"], shown["place"]) == ("main", warehouse.pk, "18")
    assert api.get("/authorities", {"location": "main"}).json()["data"] == [shown]
    path = f"/authorities/{shown['id']}"
    assert api.post(f"{path}/read").json() == {"marked": 0}
    assert api.post(f"{path}/end").json() == shown
    assert not Authority.objects.exists()
    assert Authority.history.filter(history_type="-").get().history_change_reason


def test_what_cannot_be_is_refused(api: Api, shop: Shop, warehouse: Channel) -> None:
    body = {"location": "main", "channel_id": warehouse.pk, "place": "18"}
    problem_of(api.post("/authorities", {**body, "place": "19"}), 422, "refused")
    ChannelLocation.objects.create(channel=shop.channel, external_id="A")
    problem_of(
        api.post("/authorities", {**body, "channel_id": shop.channel.pk, "place": "A"}), 422, "refused"
    )
    problem_of(api.post("/authorities", {**body, "channel_id": 10**9}), 404, "not-found")
    problem_of(api.post("/authorities", {**body, "location": "nowhere"}), 404, "not-found")
    assert not Authority.objects.exists()
