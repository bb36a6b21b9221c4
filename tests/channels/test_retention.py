"""What is old is forgotten; what may still be needed stays."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from channels.models import Push, ShelfObservation, WebhookDelivery
from channels.models.inbound import DeliveryState, ObservationVerdict
from channels.models.outbound import PushOutcome
from channels.retention import forget_old
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG": 9, "CUP": 4})


def delivery(shop: Shop, days: int, state: DeliveryState) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        channel=shop.channel,
        dedupe_key=str(uuid4()),
        topic="orders",
        payload={},
        state=state,
        received_at=timezone.now() - timedelta(days=days),
    )


def test_processed_deliveries_are_kept_for_a_month_and_unprocessed_ones_until_they_are(shop: Shop) -> None:
    old = delivery(shop, 31, DeliveryState.PROCESSED)
    waiting = delivery(shop, 31, DeliveryState.RECEIVED)
    dead = delivery(shop, 400, DeliveryState.DEAD)
    young = delivery(shop, 29, DeliveryState.PROCESSED)
    assert forget_old()["deliveries"] == 1
    assert set(WebhookDelivery.objects.all()) == {waiting, dead, young}
    assert not WebhookDelivery.objects.filter(pk=old.pk).exists()


def test_open_observations_stay(shop: Shop) -> None:
    level = shop.shelf(shop.list_variant("MUG"))
    for verdict in (ObservationVerdict.ECHO, ObservationVerdict.OPEN):
        ShelfObservation.objects.create(
            channel=shop.channel,
            listing_level=level,
            quantity=3,
            verdict=verdict,
            observed_at=timezone.now(),
            received_at=timezone.now() - timedelta(days=40),
        )
    assert forget_old()["observations"] == 1
    assert ShelfObservation.objects.get().verdict == ObservationVerdict.OPEN


def test_the_last_push_of_each_shelf_stays_however_old(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.retention.PIECE", 2)
    levels = [shop.shelf(shop.list_variant(sku)) for sku in ("MUG", "CUP")]
    ages = [(levels[0], 500), (levels[1], 450), (levels[0], 420), (levels[0], 401), (levels[1], 3)]
    pushes = [
        Push.objects.create(
            channel=shop.channel,
            listing_level=level,
            wanted=1,
            target=5,
            outcome=PushOutcome.CONFIRMED,
            computed_at=timezone.now() - timedelta(days=days),
            finished_at=timezone.now() - timedelta(days=days),
        )
        for level, days in ages
    ]
    assert forget_old()["pushes"] == 3
    assert set(Push.objects.all()) == {pushes[3], pushes[4]}
