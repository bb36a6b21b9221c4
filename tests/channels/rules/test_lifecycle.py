"""A version is drawn up, approved, in force and retired; each step says who and why, and none overlaps another."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.errors import RuleRefused
from channels.exposure import targets
from channels.models import Mutation, MutationFuse, Rule, RuleSetActivation, RuleSetVersion
from channels.models.rules import VersionState
from channels.rules import lifecycle
from tests.channels.rules.drawing import approved, draft, due, in_force, sell_on, settle_marks
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def shown(shop: Shop) -> dict[int, int]:
    from channels.models import ListingLevel

    return targets(list(ListingLevel.objects.values_list("id", flat=True)))


def test_a_version_in_force_says_who_began_it_and_why() -> None:
    shop = open_shop({"MUG": 10})
    version = in_force(shop.merchant, {"maximum": 5})
    span = RuleSetActivation.objects.get()
    assert (version.state, version.approved_by, version.approved_because) == ("active", "bert", "tried out")
    assert (span.version, span.began_by, span.began_because, span.ended_at) == (
        version,
        "bert",
        "a test",
        None,
    )
    states = version.history.order_by("history_id").values_list("state", flat=True)
    assert list(dict.fromkeys(states)) == ["draft", "approved", "active"]


def test_the_next_version_retires_the_one_before() -> None:
    shop = open_shop()
    first, second = in_force(shop.merchant), in_force(shop.merchant)
    first.refresh_from_db()
    assert (first.state, second.state, second.number) == ("retired", "active", 2)
    old, new = RuleSetActivation.objects.order_by("id")
    assert old.ended_at == new.began_at


def test_a_draft_begins_as_a_copy_of_what_it_is_based_on() -> None:
    shop = open_shop()
    first = in_force(shop.merchant, {"maximum": 5}, {"buffer_units": 2, "category": "Paper"})
    second = lifecycle.draw_up(first.rule_set, actor="anna", based_on=first)
    assert [(rule.maximum, rule.buffer_units, rule.category) for rule in second.rules.all()] == [
        (5, None, ""),
        (None, 2, "Paper"),
    ]
    assert first.rules.count() == 2


def test_drawing_up_takes_as_many_statements_for_two_rules_as_for_many() -> None:
    shop = open_shop()
    taken = []
    for count in (2, 20):
        version = draft(
            shop.merchant, *[{"maximum": number} for number in range(count)], name=f"{count} rules"
        )
        with CaptureQueriesContext(connection) as captured:
            copy = lifecycle.draw_up(version.rule_set, actor="anna", based_on=version)
        taken.append(len(captured))
        assert (copy.rules.count(), Rule.history.filter(version=copy).count()) == (count, count)
    assert taken[0] == taken[1]


@pytest.mark.parametrize("state", [VersionState.APPROVED, VersionState.ACTIVE, VersionState.RETIRED])
def test_only_a_draft_is_approved(state: VersionState) -> None:
    version = draft(open_shop().merchant)
    RuleSetVersion.objects.filter(pk=version.pk).update(state=state)
    with pytest.raises(RuleRefused) as refused:
        lifecycle.approve(version.pk, actor="anna", because="why not")
    assert refused.value.field == "state"


def test_a_draft_does_not_come_into_force() -> None:
    version = draft(open_shop().merchant)
    with pytest.raises(RuleRefused, match="Approve"):
        lifecycle.activate(version.pk, actor="anna", because="why not")


def test_nothing_is_approved_or_put_in_force_without_a_reason() -> None:
    version = draft(open_shop().merchant)
    with pytest.raises(RuleRefused) as refused:
        lifecycle.approve(version.pk, actor="anna", because="  ")
    assert refused.value.field == "because"


# -- dates


def days(number: float) -> Any:
    return timezone.now() + timedelta(days=number)


@pytest.mark.parametrize(
    ("begins", "ends", "field"),
    [
        (2, 4, "effective_from"),
        (1, 9, "effective_from"),
        (0.5, 2, "effective_until"),
        (4, 3, "effective_until"),
        (None, -1, "effective_until"),
    ],
)
def test_overlapping_or_impossible_dates_are_refused_with_their_field(
    begins: float | None, ends: float, field: str
) -> None:
    shop = open_shop()
    first = approved(shop.merchant, effective_from=days(1), effective_until=days(3))
    begin = first.effective_from if begins == 1 else begins and days(begins)
    version = draft(shop.merchant)
    version.effective_from, version.effective_until = begin or None, days(ends)
    if field == "effective_until" and begins == 4:
        with pytest.raises(ValidationError) as invalid:
            version.clean()
        assert field in invalid.value.message_dict
        with pytest.raises(IntegrityError), transaction.atomic():
            version.save()
        return
    version.save()
    with pytest.raises(RuleRefused) as refused:
        lifecycle.approve(version.pk, actor="anna", because="why not")
    assert refused.value.field == field
    version.refresh_from_db()
    assert version.is_draft


def test_versions_one_after_the_other_do_not_overlap() -> None:
    shop = open_shop()
    first = approved(shop.merchant, effective_from=days(1), effective_until=days(3))
    after = approved(shop.merchant, effective_from=first.effective_until)
    before = approved(shop.merchant, effective_from=days(0.1))
    elsewhere = approved(shop.merchant, name="Season", effective_from=days(2))
    assert {each.state for each in (first, after, before, elsewhere)} == {"approved"}


def test_versions_begin_and_end_on_their_day_by_themselves() -> None:
    shop = open_shop({"MUG": 10})
    listing = shop.list_variant("MUG")
    in_force(shop.merchant, {"maximum": 8})
    sale = approved(
        shop.merchant, {"maximum": 3}, name="Sale", effective_from=days(1), effective_until=days(2)
    )
    settle_marks()
    assert lifecycle.follow_dates() == 0
    RuleSetVersion.objects.filter(pk=sale.pk).update(effective_from=days(-0.1))
    assert lifecycle.follow_dates() == 1
    assert (list(shown(shop).values()), due(listing)) == ([3], [True])
    settle_marks()
    RuleSetVersion.objects.filter(pk=sale.pk).update(effective_until=days(-0.05))
    assert lifecycle.follow_dates() == 1
    assert (list(shown(shop).values()), due(listing)) == ([8], [True])
    sale.refresh_from_db()
    assert sale.state == "retired"


def handed_over(shop: Shop) -> tuple[RuleSetVersion, RuleSetVersion, datetime]:
    """Puts a version in force that ends within the hour, with the next one approved for that instant."""
    until = timezone.now() + timedelta(hours=1)
    first = approved(shop.merchant, {"maximum": 3}, effective_from=days(-2), effective_until=until)
    lifecycle.follow_dates()
    return first, approved(shop.merchant, {"maximum": 2}, effective_from=until), until + timedelta(seconds=1)


def test_between_two_dated_versions_there_is_no_moment_without_rules() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    _, _, then = handed_over(shop)
    assert list(shown(shop).values()) == [3]
    with time_machine.travel(then):
        assert lifecycle.follow_dates() == 1
    assert list(shown(shop).values()) == [2]
    old, new = RuleSetActivation.objects.order_by("id")
    assert old.ended_at == new.began_at


def test_a_version_that_began_on_its_day_is_rolled_back_to_the_one_before_and_that_stays() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    first, _, then = handed_over(shop)
    with time_machine.travel(then):
        lifecycle.follow_dates()
        lifecycle.roll_back(first.rule_set_id, actor="anna", because="back")
        assert list(shown(shop).values()) == [3]
        assert lifecycle.follow_dates() == 0
        assert list(shown(shop).values()) == [3]


def test_a_version_stays_in_force_beyond_its_end_while_the_fuse_holds_the_next_one() -> None:
    shop = open_shop({"MUG": 10})
    listing = shop.list_variant("MUG")
    _, second, then = handed_over(shop)
    listing.levels.update(confirmed_at=timezone.now())
    MutationFuse.objects.update(floor=0, percent=0)
    with time_machine.travel(then):
        assert [lifecycle.follow_dates() for _ in range(2)] == [0, 0]
        assert list(shown(shop).values()) == [3]
        lifecycle.withdraw_approval(second.pk)
        assert lifecycle.follow_dates() == 1
        assert list(shown(shop).values()) == [10]


def test_a_version_that_somebody_put_in_force_meanwhile_is_not_ended_by_the_clock() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    first = approved(shop.merchant, {"maximum": 3}, effective_until=days(1))
    lifecycle.activate(first.pk, actor="anna", because="a test")
    in_force(shop.merchant, {"maximum": 8})
    with time_machine.travel(days(2)):
        assert not lifecycle._end(first)
    assert list(shown(shop).values()) == [8]


# -- rollback


def test_a_rollback_restores_the_same_numbers_and_marks_only_what_changes() -> None:
    shop = open_shop({"MUG": 10, "CUP": 9})
    _, others = sell_on(shop, "other", "MUG", "CUP")
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    in_force(shop.merchant, {"maximum": 6}, {"variant": shop.variants["CUP"], "maximum": 4})
    before = shown(shop)
    in_force(shop.merchant, {"maximum": 2}, {"variant": shop.variants["CUP"], "maximum": 4})
    assert shown(shop) != before
    settle_marks()
    span = lifecycle.roll_back(RuleSetVersion.objects.first().rule_set_id, actor="anna", because="oops")  # type: ignore[union-attr]
    assert shown(shop) == before
    assert due(mug, cup, *others) == [True, False, True, False]
    assert span is not None
    assert (span.began_because, span.marked, span.version.number) == ("oops", 2, 1)


def test_what_is_rolled_back_to_after_its_end_stays_in_force() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    first = approved(shop.merchant, {"maximum": 3}, effective_until=days(1))
    lifecycle.activate(first.pk, actor="anna", because="a test")
    in_force(shop.merchant, {"maximum": 8})
    with time_machine.travel(days(2)):
        lifecycle.roll_back(first.rule_set_id, actor="anna", because="back")
        assert lifecycle.follow_dates() == 0
        assert list(shown(shop).values()) == [3]
    first.refresh_from_db()
    assert first.effective_until is None


def test_rolling_back_again_goes_further_back_and_in_the_end_to_nothing() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    versions = [in_force(shop.merchant, {"maximum": number}) for number in (7, 5, 3)]
    set_id = versions[0].rule_set_id
    seen: list[int] = []
    for _ in range(3):
        lifecycle.roll_back(set_id, actor="anna", because="back")
        seen.append(*shown(shop).values())
    assert seen == [5, 7, 10]
    with pytest.raises(RuleRefused, match="in force"):
        lifecycle.roll_back(set_id, actor="anna", because="back")


def test_a_rollback_is_never_held_by_the_fuse() -> None:
    shop = open_shop({"MUG": 10})
    listing = shop.list_variant("MUG")
    listing.levels.update(confirmed_at=timezone.now())
    first = in_force(shop.merchant, {"maximum": 7})
    in_force(shop.merchant, {"maximum": 5})
    fuse = shop.merchant.mutation_fuse
    fuse.floor, fuse.percent = 0, 0
    fuse.save()
    lifecycle.roll_back(first.rule_set_id, actor="anna", because="back")
    assert list(shown(shop).values()) == [7]
    assert set(Mutation.objects.values_list("state", flat=True)) == {"applied"}


# -- what a rule may not say


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"buffer_percent": 101}, "buffer_percent"),
        ({"minimum": 6, "maximum": 5}, "minimum"),
        ({"velocity_least": 4, "velocity_most": 3}, "velocity_least"),
        ({"pool_units": 4}, "pool_units"),
    ],
)
def test_bad_input_is_refused_with_the_field_named(values: dict[str, Any], field: str) -> None:
    version = draft(open_shop().merchant)
    rule = Rule(version=version, **values)
    with pytest.raises(ValidationError) as invalid:
        rule.full_clean()
    assert list(invalid.value.message_dict) == [field] or field in invalid.value.message_dict
    with pytest.raises(IntegrityError), transaction.atomic():
        rule.save()
