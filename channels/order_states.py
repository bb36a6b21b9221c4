"""The total order of an order's states: which of two snapshots is kept, whatever sequence they arrive in.

States are ordered by (time stamp, returned, fulfilled, cancelled, ordered, detail, digest), and the maximum
is kept. Two different snapshots can carry the same time stamp (WooCommerce's has whole seconds): the one in
which more has happened then wins, then the one that says more, then the larger digest, so that every sequence
of messages ends with the same one.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from channels.events import OrderLineState, OrderState

#: As stored in `ChannelOrder.state_key`; lists of this shape compare as the states do.
StateKey = list[Any]


def state_key(state: OrderState) -> StateKey:
    """Returns what the state is ordered by; JSON, and comparable with `<`."""
    lines = state.lines
    return [
        state.updated_at.astimezone(UTC).isoformat(timespec="microseconds"),
        sum(line.returned for line in lines),
        sum(line.fulfilled for line in lines),
        sum(line.cancelled for line in lines),
        sum(line.quantity for line in lines),
        _detail(lines) + bool(state.country),
        state_digest(state),
    ]


def state_digest(state: OrderState) -> str:
    """Returns the SHA-256 of what the state says about stock; titles and prices do not count.

    The country does: it decides from where the goods are taken.
    """
    lines = sorted([_substance(line) for line in state.lines])
    text = json.dumps([state.external_id, state.is_test, state.country, lines], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_newer(key: StateKey, kept: StateKey) -> bool:
    """Tells whether a state replaces the one kept; an empty key stands for no state yet."""
    return not kept or key > kept


def contradicts(key: StateKey, kept: StateKey) -> bool:
    """Tells whether two states claim the same instant with different content.

    One that counts the same and only says more or less of it (a webhook's body, a poll's answer) does not.
    """
    if not kept or key[0] != kept[0] or key[-1] == kept[-1]:
        return False
    return key[1:5] != kept[1:5] or key[5] == kept[5]


def _substance(line: OrderLineState) -> list[Any]:
    return [
        line.external_id,
        line.listing_external_id,
        line.sku,
        line.location_external_id,
        line.quantity,
        line.cancelled,
        line.fulfilled,
        line.returned,
        line.restocked,
        # Left out where nothing is said, so that states without it keep the digest that they had.
        *([line.returned_to_external_id] if line.returned_to_external_id else []),
    ]


def _detail(lines: Iterable[OrderLineState]) -> int:
    """Counts how much the lines say of what was sold, where it is taken from, and where it is sent back to."""
    return sum(
        bool(line.listing_external_id)
        + bool(line.sku)
        + bool(line.location_external_id)
        + bool(line.returned_to_external_id)
        for line in lines
    )
