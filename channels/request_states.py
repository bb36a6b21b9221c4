"""Which way a fulfilment request may go: the one table of its states."""

from collections.abc import Mapping
from typing import Final

from channels.errors import ImpossibleMove
from channels.models.fulfilment import RequestState

NEW, SENT, ACCEPTED, PICKED = RequestState.NEW, RequestState.SENT, RequestState.ACCEPTED, RequestState.PICKED
SHIPPED, REFUSED, CANCELLED = RequestState.SHIPPED, RequestState.REFUSED, RequestState.CANCELLED

#: State → the states that may follow. A word of a warehouse may be missed, so that steps may be left out; none is taken
#: back. A cancellation may come too late: what has left has left.
MOVES: Final[Mapping[RequestState, frozenset[RequestState]]] = {
    NEW: frozenset({SENT, ACCEPTED, PICKED, SHIPPED, REFUSED, CANCELLED}),
    SENT: frozenset({ACCEPTED, PICKED, SHIPPED, REFUSED, CANCELLED}),
    ACCEPTED: frozenset({PICKED, SHIPPED, REFUSED, CANCELLED}),
    PICKED: frozenset({SHIPPED, REFUSED, CANCELLED}),
    CANCELLED: frozenset({SHIPPED}),
    SHIPPED: frozenset(),
    REFUSED: frozenset(),
}


def may_move(was: RequestState, to: RequestState) -> bool:
    """Tells whether a request may go from one state to another."""
    return to in MOVES[was]


def check_move(was: RequestState, to: RequestState) -> None:
    """Raises `ImpossibleMove` for a step that no request takes."""
    if not may_move(was, to):
        raise ImpossibleMove(was.label.lower(), to.label.lower())
