"""One seed decides what happens and what goes wrong, and nothing that was asked for is left out."""

from itertools import pairwise

import pytest

from tests.torture import faults
from tests.torture.faults.blows import timetable
from tests.torture.goods import assortment
from tests.torture.plan import Event, Kind, Plan, buyers_of, rushes_in


def plan(seed: int, names: tuple[str, ...] = faults.NAMES) -> list[Event]:
    goods = assortment(600, rushes_in(600))
    return list(Plan(seed, events=600, seconds=60.0, channels=5, faults=names, goods=goods))


def test_the_same_seed_makes_the_same_events_and_blows() -> None:
    assert plan(3) == plan(3)
    assert plan(3) != plan(4)
    acts = [timetable(seed, faults.BLOWS, faults.NAMES, seconds=300.0, channels=5) for seed in (3, 3, 4)]
    assert acts[0] == acts[1] != acts[2]


def test_a_last_unit_is_wanted_on_every_channel_at_once() -> None:
    buyers = [event for event in plan(1) if event.lines and event.lines[0][0] == "LAST-1"]
    assert len(buyers) == buyers_of(600) == 100
    assert {event.channel for event in buyers} == set(range(5))
    assert len({event.at for event in buyers}) == 1


def test_every_shape_is_there_when_it_is_asked_for() -> None:
    events = plan(1)
    orders = [[sku for sku, _ in event.lines] for event in events if event.kind is Kind.ORDER]
    assert any(len(skus) > len(set(skus)) for skus in orders)
    assert any({"KIT-A", "KIT-B"} <= set(skus) for skus in orders)
    assert any(skus[::-1] in orders for skus in orders if len(set(skus)) == 4)
    assert any(event.copies > 1 for event in events)
    assert not any(event.copies > 1 for event in plan(1, ()))


def test_heavy_blows_fall_one_after_another_and_all_of_them_in_a_long_run() -> None:
    acts = timetable(5, faults.BLOWS, faults.NAMES, seconds=200.0, channels=5)
    assert {act.blow for act in acts} == set(faults.BLOWS)
    heavy = [act for act in acts if faults.BLOWS[act.blow].is_heavy]
    gaps = [after.at - before.at - faults.BLOWS[before.blow].takes for before, after in pairwise(heavy)]
    assert min(gaps) > -0.001


def test_an_unknown_fault_is_named_with_what_there_is() -> None:
    assert faults.chosen("all") == faults.NAMES
    assert faults.chosen("lost, kill-web") == ("lost", "kill-web")
    with pytest.raises(ValueError, match=r"no fault gravity; there are .*kill-worker"):
        faults.chosen("lost,gravity")
