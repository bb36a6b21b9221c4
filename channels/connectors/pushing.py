"""Pushes that take several calls: what was confirmed is kept when a later call fails."""

from collections.abc import Callable, Sequence

from channels.connectors.base import ItemOutcome, PushItem, PushResult
from channels.errors import OutcomeUnknown, Throttled, TransientError


def result_of(item: PushItem, outcome: ItemOutcome, reason: str = "") -> PushResult:
    """Returns the outcome of one item."""
    return PushResult(item.address.listing_level_id, outcome, reason)


def push_in_calls(
    calls: Sequence[Sequence[PushItem]], send: Callable[[Sequence[PushItem]], list[PushResult]]
) -> list[PushResult]:
    """Makes one call after the other, until one fails; returns a result for every item.

    Raises the `TransientError` when nothing was done yet. Later, the items of the failed call are unknown or to
    be retried as the error says, and those not sent stay due as they were.
    """
    results: list[PushResult] = []
    for position, items in enumerate(calls):
        try:
            results += send(items)
        except TransientError as error:
            if position == 0:
                raise
            return results + _failed(items, error) + _not_sent(calls[position + 1 :])
    return results


def outcome_of(error: TransientError) -> ItemOutcome:
    """Returns what a failed call means for its items."""
    if isinstance(error, OutcomeUnknown):
        return ItemOutcome.UNKNOWN
    return ItemOutcome.NOT_SENT if isinstance(error, Throttled) else ItemOutcome.RETRY


def _failed(items: Sequence[PushItem], error: TransientError) -> list[PushResult]:
    return [result_of(item, outcome_of(error), str(error)) for item in items]


def _not_sent(calls: Sequence[Sequence[PushItem]]) -> list[PushResult]:
    reason = "Not sent: an earlier call of the same push failed."
    return [result_of(item, ItemOutcome.NOT_SENT, reason) for items in calls for item in items]
