"""A watched channel goes live once nothing blocks it and a person has seen its first push; and back, at once."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from channels.connecting import go_live as plainly
from channels.errors import InShadow, Misconfigured, NotReady, TransientError
from channels.models import Channel, Listing, ListingLevel, Mutation, MutationFuse, ShadowRun, ShadowSpan
from channels.models.shadow import ShadowOutcome
from channels.orders import apply_state
from channels.shadow import going_live, runs
from channels.shadow.going_live import Key
from tests.channels.shadow.watching import Watch, watch
from tests.channels.shop import line, order
from tests.channels.telling import tell_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = watch(monkeypatch, {"MUG": 5, "CUP": 0, "POT": 4}, {"MUG": 7, "CUP": 1, "POT": 4})
    found.look()
    return found


def see(watched: Watch) -> None:
    watched.run.refresh_from_db()
    going_live.note_seen(watched.run, going_live.first_push(watched.run), by="test")


def keys(watched: Watch) -> set[str]:
    return {each.key for each in going_live.questions(watched.run)}


def test_the_first_push_is_shown_before_it_is_sent_those_to_zero_first(watched: Watch) -> None:
    push = going_live.first_push(watched.run)
    assert (push.shelves, push.changes, push.to_zero, push.increases, push.decreases) == (3, 2, 1, 0, 2)
    assert (push.units_up, push.units_down, push.unread, push.uncomputed) == (0, 3, 0, 0)
    numbers = going_live.first_numbers(watched.run, limit=10)
    assert [(each.sku, each.shown, each.would) for each in numbers] == [("CUP", 1, 0), ("MUG", 7, 5)]
    assert not watched.shelves.calls


def test_it_goes_live_when_what_is_open_is_answered_and_tells_what_is_wrong_alone(watched: Watch) -> None:
    see(watched)
    assert keys(watched) == {Key.DIFFERENCES}
    assert going_live.go_live(watched.run, by="test", answered=[Key.DIFFERENCES]) == 1
    channel = Channel.objects.get(pk=watched.channel.pk)
    assert (channel.in_shadow, channel.is_paused) == (False, False)
    tell_all(watched.shop)
    assert sorted(watched.shelves.told) == [("listing-CUP", 0, None), ("listing-MUG", 5, None)]
    assert ShadowRun.objects.get().outcome == "live"
    assert not ShadowSpan.objects.filter(ended_at__isnull=True).exists()


def test_what_is_open_is_named_and_refused(watched: Watch) -> None:
    with pytest.raises(NotReady, match="Nobody has looked"):
        going_live.go_live(watched.run, by="test", answered=[Key.DIFFERENCES])
    see(watched)
    with pytest.raises(NotReady, match="2 shelves show another number"):
        going_live.go_live(watched.run, by="test")
    assert Channel.objects.get(pk=watched.channel.pk).in_shadow
    assert not watched.shelves.calls


def test_an_answer_to_what_blocks_is_none(watched: Watch) -> None:
    with pytest.raises(NotReady):
        going_live.go_live(watched.run, by="test", answered=[*Key])


def test_numbers_that_were_seen_long_ago_are_looked_at_again(watched: Watch) -> None:
    see(watched)
    ShadowRun.objects.update(seen_at=timezone.now() - timedelta(hours=2))
    watched.run.refresh_from_db()
    assert Key.FIRST_PUSH in keys(watched)


def test_every_kind_of_open_question_is_asked(watched: Watch) -> None:
    see(watched)
    Listing.objects.create(channel=watched.channel, external_id="x", sku="STRANGE")
    apply_state(watched.channel, order(line("MUG", 9)), arrived_at=timezone.now())
    Mutation.objects.create(
        merchant=watched.shop.merchant, kind="mapping", state="waiting", summary="Many", listing_ids=[], listings=0,
        changed_before=0, allowed=50, at=timezone.now(),
    )  # fmt: skip
    watched.shop.add_variant("PAN", {"main": 1})
    watched.listings["PAN"] = watched.shop.list_variant("PAN")
    MutationFuse.objects.update_or_create(merchant=watched.shop.merchant, defaults={"floor": 1, "percent": 0})
    assert keys(watched) >= {Key.UNMATCHED, Key.CONFLICTS, Key.HELD, Key.UNREAD, Key.DIFFERENCES, Key.FUSE}
    watched.shop.channel.locations.get().sources.all().delete()
    assert Key.PLACES in keys(watched)


def test_many_changes_take_the_number_of_them_as_a_sign_that_it_was_read(watched: Watch) -> None:
    MutationFuse.objects.update_or_create(merchant=watched.shop.merchant, defaults={"floor": 1, "percent": 0})
    see(watched)
    answered = [Key.DIFFERENCES, Key.FUSE]
    for confirmed in (None, 1, 3):
        with pytest.raises(NotReady, match="confirm how many"):
            going_live.go_live(watched.run, by="test", answered=answered, confirmed=confirmed)
    going_live.go_live(watched.run, by="test", answered=answered, confirmed=2)
    assert not Channel.objects.get(pk=watched.channel.pk).is_paused


def test_a_platform_that_fails_meanwhile_leaves_the_channel_in_shadow(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise TransientError("The platform is not available (503).")

    see(watched)
    monkeypatch.setattr("channels.connecting.read_shelves", fail)
    with pytest.raises(TransientError):
        going_live.go_live(watched.run, by="test", answered=[Key.DIFFERENCES])
    channel = Channel.objects.get(pk=watched.channel.pk)
    assert (channel.in_shadow, channel.is_paused) == (True, True)
    run = runs.open_run_of(channel)
    assert run is not None
    assert run.pk == watched.run.pk
    assert watched.span("MUG").shown == 7


def test_going_live_by_the_plain_way_is_refused(watched: Watch) -> None:
    with pytest.raises(InShadow, match="shadow go-live"):
        plainly(watched.channel)


def test_back_in_shadow_nothing_is_told_and_what_others_write_is_no_drop(watched: Watch) -> None:
    see(watched)
    going_live.go_live(watched.run, by="test", answered=[Key.DIFFERENCES])
    tell_all(watched.shop)
    calls = len(watched.shelves.calls)
    watched.run = going_live.go_back(watched.channel, by="test")
    assert Channel.objects.get(pk=watched.channel.pk).in_shadow
    apply_state(watched.channel, order(line("MUG", 2)), arrived_at=timezone.now())
    watched.show("MUG", 2)
    watched.look()
    tell_all(watched.shop)
    assert len(watched.shelves.calls) == calls
    see(watched)
    going_live.go_live(watched.run, by="test", answered=[Key.DIFFERENCES])
    assert ListingLevel.objects.get(listing=watched.listings["MUG"]).expected is None
    tell_all(watched.shop)
    assert watched.shelves.number(watched.listings["MUG"]) == 3


def test_ended_runs_do_not_go_live(watched: Watch) -> None:
    see(watched)
    run = watched.run
    going_live.go_live(run, by="test", answered=[Key.DIFFERENCES])
    with pytest.raises((Misconfigured, NotReady)):
        going_live.go_live(run, by="test", answered=[*Key])


def test_all_of_it_goes_by_the_command(watched: Watch) -> None:
    pk = str(watched.channel.pk)
    runs.end(watched.channel, ShadowOutcome.STOPPED, by="test")
    with pytest.raises(CommandError, match="shadow begin"):
        said("first-push", pk)
    said("begin", pk)
    watched.run = ShadowRun.objects.get(ended_at__isnull=True)
    watched.look()
    found = json.loads(said("first-push", pk, "--json"))
    assert (found["changes"], found["numbers"][0]["sku"]) == (2, "CUP")
    assert [each["key"] for each in found["questions"]] == ["differences"]
    with pytest.raises(CommandError, match="another number"):
        said("go-live", pk)
    assert "is live" in said("go-live", pk, "--answer", "differences")
    assert "in shadow mode again" in said("back", pk)
    assert "stays paused" in said("stop", pk)
    with pytest.raises(CommandError, match="not in shadow"):
        said("stop", pk)


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("shadow", *arguments, stdout=out)
    return out.getvalue()
