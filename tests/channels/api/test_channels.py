"""Channels and listings: what is offered, why, and to whom."""

import pytest

from channels.models import Channel, ChannelLocation, Listing, ListingLevel
from tests.api import Api, make_key, problem_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def test_a_channel_never_shows_its_secrets(api: Api, shop: Shop) -> None:
    shop.channel.credentials = {"consumer_secret": "s3cret"}
    shop.channel.save()
    for path in ("/channels", f"/channels/{shop.channel.pk}"):
        answer = api.get(path).content.decode()
        assert shop.channel.name in answer
        assert "s3cret" not in answer
        assert shop.channel.public_id not in answer


def test_what_a_channel_is_offered_is_changed_and_told(api: Api, shop: Shop) -> None:
    listing = shop.list_variant("MUG")
    path = f"/channels/{shop.channel.pk}"
    tag = api.get(path)["ETag"]
    changed = api.patch(path, {"buffer_units": 3}, If_Match=tag)
    assert changed.json()["buffer_units"] == 3
    assert shop.shelf(listing).is_due
    problem_of(api.patch(path, {"buffer_units": 4}, If_Match=tag), 412, "changed-meanwhile")
    assert shop.channel.history.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {"buffer_percent": 101},
        {"minimum_exposure": 5, "maximum_exposure": 4},
        {"name": "x"},
        {"buffer_units": 2**40},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(body: dict[str, int], api: Api, shop: Shop) -> None:
    assert api.patch(f"/channels/{shop.channel.pk}", body).status_code in {400, 409}
    shop.channel.refresh_from_db()
    assert shop.channel.buffer_percent == 0


def test_when_goods_arrive_is_told_with_why_and_with_what_can_be_had(api: Api, shop: Shop) -> None:
    listing, path = shop.list_variant("MUG"), f"/channels/{shop.channel.pk}"
    asked = {"sku": ["MUG"], "channel": shop.channel.pk}
    assert api.get(f"/listings/{listing.pk}/why").json()["arrives"] is None
    assert api.patch(path, {"delivery_days_from": 2, "delivery_days_to": 4}).json()["delivery_days_to"] == 4
    assert api.get(f"/listings/{listing.pk}/why").json()["arrives"] == "within 2 to 4 days"
    assert api.get("/availability", asked).json()["data"][0]["arrives"] == "within 2 to 4 days"
    refused = api.patch(path, {"delivery_days_from": 5})
    assert refused.status_code == 400
    assert "delivery_days_to" in refused.content.decode()


def test_a_channel_is_paused_and_resumed(api: Api, shop: Shop) -> None:
    path = f"/channels/{shop.channel.pk}"
    assert api.patch(path, {"is_paused": True}).json()["is_paused"] is True
    assert api.patch(path, {"is_paused": False}).json()["is_paused"] is False


def test_why_walks_from_what_is_on_hand_to_the_number(api: Api, shop: Shop) -> None:
    listing = shop.list_variant("MUG")
    shop.channel.buffer_units = 3
    shop.channel.save()
    level = api.get(f"/listings/{listing.pk}/why").json()["levels"][0]
    assert level["quantity"] == 7
    steps = {step["name"]: (step["before"], step["after"]) for step in level["steps"]}
    assert steps["Buffer"] == (10, 7)
    assert all(step["why"] for step in level["steps"])


def test_why_may_be_asked_of_the_past(api: Api, shop: Shop) -> None:
    from django.utils import timezone

    listing = shop.list_variant("MUG")
    at = timezone.now().isoformat()
    shop.add_variant("OTHER", {"main": 3})
    level = api.get(f"/listings/{listing.pk}/why", {"as_of": at}).json()["levels"][0]
    assert level["quantity"] == 10
    assert isinstance(level["as_now"], list)


def test_a_listing_is_mapped_by_sku(api: Api, shop: Shop) -> None:
    listing = Listing.objects.create(channel=shop.channel, external_id="x", sku="mug-blue")
    mapped = api.post(f"/listings/{listing.pk}/map", {"sku": "MUG"}).json()
    assert (mapped["variant_sku"], len(mapped["levels"])) == ("MUG", 1)
    assert mapped["levels"][0]["is_due"]


def test_a_listing_is_pushed_again(api: Api, shop: Shop) -> None:
    listing = shop.list_variant("MUG")
    assert api.post(f"/listings/{listing.pk}/push").json()["levels"][0]["is_due"]


# Test keys.


def test_a_test_key_sees_simulated_shops_alone(shop: Shop) -> None:
    _, text = make_key(shop.merchant, is_test=True)
    tester = Api(shop.merchant, text)
    listing = shop.list_variant("MUG")
    assert tester.get("/channels").json()["data"] == []
    problem_of(tester.get(f"/channels/{shop.channel.pk}"), 404, "not-found")
    problem_of(tester.get(f"/listings/{listing.pk}/why"), 404, "not-found")
    shop.channel.settings = {"base_url": "http://127.0.0.1:9001"}
    shop.channel.save()
    assert [each["id"] for each in tester.get("/channels").json()["data"]] == [shop.channel.pk]
    assert tester.get(f"/listings/{listing.pk}/why").status_code == 200


def test_a_test_key_writes_only_where_no_live_channel_would_be_reached(shop: Shop) -> None:
    _, text = make_key(shop.merchant, is_test=True)
    tester = Api(shop.merchant, text)
    body = {"lines": [{"sku": "MUG", "location": "main", "quantity": 1}]}
    problem_of(tester.post("/stock/receive", body), 403, "test-key")
    assert shop.level("MUG") == (10, 0)
    Channel.objects.filter(pk=shop.channel.pk).update(settings={"base_url": "http://localhost:9001"})
    assert tester.post("/stock/receive", body).status_code == 200


def test_a_shop_elsewhere_is_none_that_only_plays() -> None:
    from channels.simulated import is_simulated

    channel = open_shop().channel
    for address in (
        "https://shop.example",
        "https://localhost.example",
        "http://127.0.0.1.example",
        "http://10.0.0.1",
    ):
        channel.settings = {"base_url": address}
        assert not is_simulated(channel)


def test_a_list_shows_the_first_places_of_a_listing_and_the_listing_all(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.api.nesting.IN_LISTS", 1)
    listing = shop.list_variant("MUG")
    second = ChannelLocation.objects.create(channel=shop.channel, external_id="second", name="Second")
    ListingLevel.objects.create(channel=shop.channel, listing=listing, channel_location=second)
    (listed,) = api.get("/listings").json()["data"]
    shown = api.get(f"/listings/{listing.pk}").json()
    assert (listed["level_count"], shown["level_count"], len(shown["levels"])) == (2, 2, 2)
    assert listed["levels"] == shown["levels"][:1]
