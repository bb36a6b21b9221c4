"""What a listing says of when goods arrive."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.eta import UNKNOWN, LeadTime, eta_text

TODAY = date(2026, 3, 2)


def text(available: int, days: int | None, shortest: int, longest: int) -> str:
    arrives_on = None if days is None else TODAY + timedelta(days=days)
    return eta_text(available, arrives_on, lead_time=LeadTime(shortest, longest), today=TODAY)


@pytest.mark.parametrize(
    ("available", "days", "shortest", "longest", "expected"),
    [
        (3, None, 2, 4, "within 2 to 4 days"),
        (3, 10, 2, 4, "within 2 to 4 days"),
        (3, None, 1, 1, "within 1 day"),
        (3, None, 0, 2, "within 2 days"),
        (3, None, 0, 0, "today"),
        (0, 7, 2, 4, "within 9 to 11 days"),
        (0, 0, 2, 4, "within 2 to 4 days"),
        (0, 0, 0, 0, "today"),
        (0, 17, 2, 4, "within 19 to 21 days"),
        (0, 18, 2, 4, "within 3 to 4 weeks"),
        (0, 28, 0, 0, "within 4 weeks"),
        (0, 29, 0, 0, "within 5 weeks"),
        (0, None, 2, 4, UNKNOWN),
        (0, -1, 2, 4, UNKNOWN),
    ],
)
def test_a_listing_says_when_goods_arrive(
    available: int, days: int | None, shortest: int, longest: int, expected: str
) -> None:
    assert text(available, days, shortest, longest) == expected


@pytest.mark.parametrize(("shortest", "longest"), [(-1, 3), (4, 3)])
def test_a_lead_time_that_makes_no_sense_is_refused(shortest: int, longest: int) -> None:
    with pytest.raises(ValueError, match="A lead time"):
        LeadTime(shortest, longest)


@given(days=st.integers(0, 400), shortest=st.integers(0, 30), more=st.integers(0, 30))
def test_goods_are_never_said_to_come_before_they_can(days: int, shortest: int, more: int) -> None:
    said = text(0, days, shortest, shortest + more)
    if said == "today":
        assert days + shortest + more == 0
        return
    number = int(said.split()[-2])
    assert number * (7 if "week" in said else 1) >= days + shortest + more
