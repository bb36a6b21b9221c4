"""Telling Shopify numbers, with compare-and-set: a batch is written as a whole or not at all.

So one item that cannot be written must not hold the other 249: what the answer names is taken out with its
verdict and the rest is sent again; a refusal that names nobody halves the batch. Every intent has its own
idempotency key, made from its content, so that sending the same again does not count twice.

Source: shopify.dev, changelog of 2025-12-12 (compare and swap, idempotency) and the vendor's schema.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from channels.connectors.base import ItemOutcome, PushItem, PushResult, ShelfNumber
from channels.connectors.pushing import outcome_of
from channels.connectors.shopify.graphql import Api, Document, gid
from channels.connectors.shopify.levels import read_levels
from channels.errors import OutcomeUnknown, Rejected, TransientError

BATCH: Final = 250
_SET: Final = Document("set_quantities", is_mutation=True)
_ACTIVATE: Final = Document("activate", is_mutation=True)
_WRITE_COST: Final = 12.0
#: How often what is left of a batch is sent again before the rest waits for its next turn.
_ROUNDS: Final = 6

_STALE: Final = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})
#: 2026-07 has a code for it; 2026-10 says that the location is invalid.
_NOT_STOCKED: Final = frozenset({"ITEM_NOT_STOCKED_AT_LOCATION", "INVALID_LOCATION"})
_LATER: Final = frozenset(
    {
        "IDEMPOTENCY_CONCURRENT_REQUEST",
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
        "SERVICE_UNAVAILABLE",
    }
)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One user error: what, why, and which item of the batch; None where it names none."""

    code: str
    message: str
    index: int | None


class PushRun:
    """One push of up to 250 numbers, from the first call to a result for each."""

    def __init__(self, api: Api, call_id: str) -> None:
        self._api = api
        self._call_id = call_id
        self._results: dict[int, PushResult] = {}

    def run(self, items: Sequence[PushItem]) -> list[PushResult]:
        """Sends the numbers. Raises only where nothing is known of any item."""
        waiting = [list(items)]
        for _ in range(_ROUNDS):
            if not waiting:
                break
            waiting = [part for batch in waiting for part in self._attempt(batch)]
        for item in (item for batch in waiting for item in batch):
            self._note(item, ItemOutcome.RETRY, "Other items of the batch were refused too often.")
        return [self._results[item.address.listing_level_id] for item in items]

    def _attempt(self, batch: Sequence[PushItem]) -> Iterator[list[PushItem]]:
        """Sends a batch; yields what of it is to be sent again."""
        try:
            problems = self._set(batch)
            if not problems:
                self._note_all(batch, ItemOutcome.CONFIRMED)
                return
            left = self._judge(batch, problems)
        except TransientError as error:
            if not self._results:
                raise
            left = [item for item in batch if not self._is_done(item)]
            self._note_all(left, outcome_of(error), str(error))
            return
        yield from self._parts(batch, left, problems)

    def _parts(
        self, batch: Sequence[PushItem], left: list[PushItem], problems: Sequence[_Problem]
    ) -> Iterator[list[PushItem]]:
        if len(left) < len(batch):
            if left:
                yield left
        elif len(left) == 1:
            self._note(left[0], _outcome(problems[0]), problems[0].message)
        else:
            middle = len(left) // 2
            yield left[:middle]
            yield left[middle:]

    def _judge(self, batch: Sequence[PushItem], problems: Sequence[_Problem]) -> list[PushItem]:
        """Notes the items that the answer condemns; returns those that may go again."""
        if any(problem.code in _LATER for problem in problems):
            self._note_all(batch, ItemOutcome.RETRY, problems[0].message)
            return []
        for problem in problems:
            if problem.index is not None and problem.code not in _STALE:
                self._refuse(batch[problem.index], problem)
        if any(problem.code in _STALE for problem in problems):
            self._note_stale([item for item in batch if not self._is_done(item)])
        return [item for item in batch if not self._is_done(item)]

    def _refuse(self, item: PushItem, problem: _Problem) -> None:
        if self._is_done(item):
            return
        if problem.code in _NOT_STOCKED:
            self._activate(item)
        else:
            self._note(item, ItemOutcome.REJECTED, f"{problem.message} ({problem.code or 'no code'})")

    def _note_stale(self, items: Sequence[PushItem]) -> None:
        """Reads the shelves of all items again and notes those that show another number than was compared."""
        shown = {
            _pair(number): number.quantity for number in read_levels(self._api, [i.address for i in items])
        }
        for item in items:
            if item.compare_with is None:
                continue
            quantity = shown.get((item.address.listing_external_id, item.address.location_external_id))
            if quantity != item.compare_with:
                self._note(item, ItemOutcome.STALE, f"The shop shows {quantity}, not {item.compare_with}.")

    def _activate(self, item: PushItem) -> None:
        """Stocks an item at a place where it was not stocked, with its number."""
        address = item.address
        variables = {
            "item": gid("InventoryItem", address.listing_external_id),
            "location": gid("Location", address.location_external_id),
            "available": item.quantity,
        }
        variables["key"] = self._key(variables)
        answer = self._api.run(_ACTIVATE, variables, cost=_WRITE_COST)["inventoryActivate"]
        errors = (answer or {}).get("userErrors") or []
        if errors:
            self._note(item, ItemOutcome.REJECTED, f"Not stocked there: {errors[0].get('message', '')[:300]}")
        else:
            self._note(item, ItemOutcome.CONFIRMED)

    def _set(self, batch: Sequence[PushItem]) -> list[_Problem]:
        """Writes a batch; returns why it was not written, or nothing."""
        quantities = [_entry(item) for item in batch]
        key = self._key(quantities)
        write = {
            "name": "available",
            "reason": "correction",
            # The only mark of ours that the merchant's inventory history shows.
            "referenceDocumentUri": f"gid://onecount/Push/{self._call_id}",
            "quantities": quantities,
        }
        data = self._api.run(_SET, {"input": write, "key": key}, cost=_WRITE_COST)
        answer = data.get("inventorySetQuantities")
        if answer is None:
            raise OutcomeUnknown("Shopify answered a write without saying what became of it.")
        return [_problem(error, len(batch)) for error in answer.get("userErrors") or []]

    def _key(self, content: Any) -> str:
        """Returns the idempotency key: the same push of the same numbers has the same one."""
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return str(uuid5(NAMESPACE_URL, f"onecount:{self._call_id}:{digest}"))

    def _is_done(self, item: PushItem) -> bool:
        return item.address.listing_level_id in self._results

    def _note_all(self, items: Sequence[PushItem], outcome: ItemOutcome, reason: str = "") -> None:
        for item in items:
            self._note(item, outcome, reason)

    def _note(self, item: PushItem, outcome: ItemOutcome, reason: str = "") -> None:
        level_id = item.address.listing_level_id
        self._results[level_id] = PushResult(level_id, outcome, reason[:500])


def push(api: Api, items: Sequence[PushItem], call_id: str) -> list[PushResult]:
    """Tells Shopify these numbers; one result an item, in their sequence."""
    if len(items) > BATCH:
        raise Rejected(f"At most {BATCH} numbers go into one push; these are {len(items)}.")
    return PushRun(api, call_id).run(items) if items else []


def _entry(item: PushItem) -> dict[str, Any]:
    return {
        "inventoryItemId": gid("InventoryItem", item.address.listing_external_id),
        "locationId": gid("Location", item.address.location_external_id),
        "quantity": item.quantity,
        # Null skips the comparison, and has to be said: leaving it out is an error.
        "changeFromQuantity": item.compare_with,
    }


def _pair(number: ShelfNumber) -> tuple[str, str]:
    return number.listing_external_id, number.location_external_id


def _problem(error: Mapping[str, Any], count: int) -> _Problem:
    """Reads a user error; its path is like `input, quantities, 3, locationId`."""
    path = [str(step) for step in error.get("field") or ()]
    indexes = [int(step) for step in path if re.fullmatch(r"[0-9]{1,4}", step, re.ASCII)]
    index = indexes[0] if indexes and indexes[0] < count else None
    return _Problem(str(error.get("code") or ""), str(error.get("message") or "Refused.")[:300], index)


def _outcome(problem: _Problem) -> ItemOutcome:
    """Returns what a refusal means for the single item that is left."""
    return ItemOutcome.RETRY if problem.code in _STALE else ItemOutcome.REJECTED
