"""Pushes of several calls, of which one fails."""

from collections.abc import Callable, Sequence

import pytest

from channels.connectors.base import ItemOutcome, PushItem, PushResult
from channels.connectors.pushing import push_in_calls, result_of
from channels.errors import OutcomeUnknown, Throttled, TransientError
from tests.channels.connectors.shops import item

CALLS = [[item("a", 1, level=1)], [item("b", 1, level=2)], [item("c", 1, level=3)]]


def failing_at(
    listing_id: str, error: TransientError, sent: list[str]
) -> Callable[[Sequence[PushItem]], list[PushResult]]:
    def send(items: Sequence[PushItem]) -> list[PushResult]:
        sent.extend(each.address.listing_external_id for each in items)
        if sent[-1] == listing_id:
            raise error
        return [result_of(each, ItemOutcome.CONFIRMED) for each in items]

    return send


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(OutcomeUnknown("late"), ItemOutcome.UNKNOWN), (Throttled("slow"), ItemOutcome.NOT_SENT)],
)
def test_what_was_confirmed_is_kept_when_a_later_call_fails(
    error: TransientError, outcome: ItemOutcome
) -> None:
    sent: list[str] = []
    results = push_in_calls(CALLS, failing_at("b", error, sent))
    assert [result.outcome for result in results] == [ItemOutcome.CONFIRMED, outcome, ItemOutcome.NOT_SENT]
    assert sent == ["a", "b"]


def test_a_failure_of_the_first_call_is_a_failure_of_the_channel() -> None:
    with pytest.raises(Throttled):
        push_in_calls(CALLS, failing_at("a", Throttled("slow"), []))
