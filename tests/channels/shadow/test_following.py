"""What a watched shop would be told is computed as it changes, beside what its shelves show; nothing is told."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from channels.errors import InShadow, Misconfigured
from channels.events import LevelObserved
from channels.leases import lease
from channels.models import Channel, ChannelOrder, PollFeed, ShadowRun, ShadowSpan, ShelfObservation
from channels.models.inbound import ObservationVerdict
from channels.models.shadow import ShadowOutcome
from channels.observations import observe
from channels.orders import apply_state
from channels.propagation import Propagation
from channels.shadow import following, runs
from channels.survey import survey
from channels.tuning import tell_anew, tune
from tests.channels.shadow.watching import Watch, watch
from tests.channels.shop import line, open_shop, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return watch(monkeypatch, {"MUG": 5, "CUP": 2}, {"MUG": 7, "CUP": 2})


def test_both_numbers_stand_side_by_side_and_nothing_is_told(watched: Watch) -> None:
    watched.look()
    assert watched.numbers("MUG")[-1] == (7, 5)
    assert watched.numbers("CUP")[-1] == (2, 2)
    assert not watched.shelves.calls
    assert not survey()[watched.channel.pk].pushes
    assert not watched.level("MUG").is_due
    assert watched.level("MUG").sent_quantity is None


def test_a_channel_in_shadow_is_leased_to_nobody_even_where_much_is_due(watched: Watch) -> None:
    assert watched.level("MUG").is_due
    assert lease(watched.channel.pk, size=10) is None
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.filter(pk=watched.channel.pk).update(is_paused=False)


def test_orders_are_applied_and_change_what_we_would_show(watched: Watch) -> None:
    watched.look()
    apply_state(watched.channel, order(line("MUG", 2)), arrived_at=timezone.now())
    assert watched.shop.level("MUG") == (5, 2)
    watched.look()
    assert watched.numbers("MUG")[-2:] == [(7, 5), (7, 3)]
    last = watched.span("MUG")
    assert last.caused_at is not None
    assert last.caused_at <= last.began_at


def test_spans_of_a_shelf_follow_each_other_without_a_gap(watched: Watch) -> None:
    for number in (7, 6, 6, 5):
        watched.show("MUG", number)
        watched.look()
    spans = list(ShadowSpan.objects.filter(listing_level=watched.level("MUG")).order_by("began_at", "id"))
    assert [each.shown for each in spans] == [None, 7, 6, 5]
    assert [each.ended_at for each in spans[:-1]] == [each.began_at for each in spans[1:]]
    assert spans[0].would == 5
    assert spans[0].caused_at is None


def test_what_webhooks_say_of_a_shelf_is_taken_in_and_is_nobodys_foreign_edit(watched: Watch) -> None:
    watched.look()
    at = timezone.now()
    observe(watched.channel, LevelObserved("listing-MUG", "", 4, at), received_at=at)
    following.follow_all()
    assert watched.numbers("MUG")[-1] == (4, 5)
    assert ShelfObservation.objects.get().verdict == ObservationVerdict.SHADOW
    stale = at - timedelta(minutes=1)
    observe(watched.channel, LevelObserved("listing-MUG", "", 9, stale), received_at=stale)
    following.follow_all()
    assert watched.numbers("MUG")[-1] == (4, 5)


def test_orders_of_other_channels_do_not_wait_for_one_that_is_told_nothing(watched: Watch) -> None:
    watched.look()
    other = watched.shop.add_channel("Other", kind="telling")
    watched.shop.list_variant("MUG", channel=other, external_id="other-MUG")
    apply_state(other, order(line("MUG", 1)), arrived_at=timezone.now())
    watched.look()
    Propagation().note()
    assert ChannelOrder.objects.get().propagated_at is not None


def test_shelves_are_read_that_differ_first_and_then_those_unread_for_longest(watched: Watch) -> None:
    watched.look()
    watched.look()
    read = [each.listing_external_id for each in watched.shelves.reads[-1]]
    assert read[0] == "listing-MUG"
    assert set(read) == {"listing-MUG", "listing-CUP"}


def test_what_is_mapped_later_is_watched_as_well(watched: Watch) -> None:
    watched.shop.add_variant("POT", {"main": 3})
    watched.listings["POT"] = watched.shop.list_variant("POT")
    watched.show("POT", 3)
    watched.look()
    assert watched.span("POT").shown == 3


def test_a_channel_is_resumed_by_no_other_way_than_going_live(watched: Watch) -> None:
    with pytest.raises(InShadow):
        tune(watched.channel, {"is_paused": False})


def test_shadow_ends_with_the_channel_paused_and_every_span_closed(watched: Watch) -> None:
    watched.look()
    runs.end(watched.channel, ShadowOutcome.STOPPED, by="test")
    channel = Channel.objects.get(pk=watched.channel.pk)
    assert (channel.in_shadow, channel.is_paused) == (False, True)
    assert not ShadowSpan.objects.filter(ended_at__isnull=True).exists()
    assert not PollFeed.objects.filter(name="shelves").exists()
    assert runs.end(channel, ShadowOutcome.STOPPED, by="test") is None
    following.compute(watched.run.pk)
    assert not ShadowSpan.objects.filter(ended_at__isnull=True).exists()


def test_beginning_again_goes_on_with_the_same_run(watched: Watch) -> None:
    assert runs.begin(watched.channel, by="test").pk == watched.run.pk
    assert ShadowRun.objects.count() == 1


def test_what_cannot_be_watched_is_refused_with_the_reason() -> None:
    shop = open_shop({"MUG": 1}, kind="rest")
    with pytest.raises(Misconfigured, match="no connector"):
        runs.begin(shop.channel, by="test")
    bare = Channel.objects.create(merchant=shop.merchant, name="Bare", kind="woocommerce")
    with pytest.raises(Misconfigured, match="map one first"):
        runs.begin(bare, by="test")


def test_the_work_does_not_grow_with_the_shelves(
    watched: Watch, django_assert_max_num_queries: pytest.FixtureRequest
) -> None:
    for number in range(60):
        watched.shop.add_variant(f"S-{number}")
        watched.shop.list_variant(f"S-{number}")
    tell_anew(watched.channel)
    with django_assert_max_num_queries(40):  # type: ignore[operator]
        following.compute(watched.run.pk)
    assert ShadowSpan.objects.count() == 62
