"""Square's inventory: a history for each variation and location, reckoned by when things happened."""

import time
from bisect import insort
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.square.rest import SquareError, body_of, instant, limit_of, moment, not_found, page

if TYPE_CHECKING:
    from channels.sandbox.square.shop import SquareSandbox

IN_STOCK: Final = "IN_STOCK"
LARGEST_BATCH: Final = 100
_LARGEST_PAGE: Final = 1000
_DAY: Final = 86_400.0
#: Clocks differ by this much without anybody minding.
_LEEWAY: Final = 1.0


class History:
    """What happened to one shelf: counts and changes, in the sequence in which they happened."""

    def __init__(self, opening: int) -> None:
        #: (when, sequence, units, whether it is a count).
        self._entries: list[tuple[float, int, int, bool]] = [(0.0, 0, opening, True)]

    def add(self, at: float, units: int, *, is_count: bool) -> int:
        """Notes a count or a change of that instant; returns what is in stock by all that is known now."""
        insort(self._entries, (at, len(self._entries), units, is_count))
        total = 0
        for _, _, each, is_start in reversed(self._entries):
            total += each
            if is_start:
                break
        return total


class Inventory:
    """The `/v2/inventory` resource."""

    def __init__(self, shop: "SquareSandbox") -> None:
        self._shop = shop
        self._book = shop.records
        self._histories: dict[tuple[int, str], History] = {}
        self._answers: dict[str, tuple[bytes, dict[str, Any]]] = {}

    # -- what happens
    def open(self, item: Item) -> None:
        """Begins the histories of an item with its opening stock."""
        for code, level in item.levels.items():
            self._histories[item.number, code] = History(level.available)

    def change(self, item: Item, code: str, units: int, *, at: float) -> None:
        """Notes units that came or went at an instant, which may be past."""
        self._add(item, code, at, units, is_count=False)

    def count(self, item: Item, code: str, units: int, *, at: float) -> None:
        """Notes that so many were counted at an instant."""
        self._add(item, code, at, units, is_count=True)

    def _add(self, item: Item, code: str, at: float, units: int, *, is_count: bool) -> None:
        level = item.levels[code]
        level.available = self._histories[item.number, code].add(at, units, is_count=is_count)
        level.updated_at = item.updated_at = time.time()

    def document(self, item: Item, code: str) -> dict[str, Any]:
        level = item.levels[code]
        return {
            "catalog_object_id": self._shop.variation_id(item),
            "catalog_object_type": "ITEM_VARIATION",
            "state": IN_STOCK,
            "location_id": self._shop.location_id(code),
            "quantity": str(level.available),
            "calculated_at": moment(level.updated_at),
        }

    # -- the resource
    def counts(self, request: Request) -> Answer:
        """Counts, the newest first."""
        data = body_of(request)
        if IN_STOCK not in (data.get("states") or [IN_STOCK]):
            return json_answer(200, {})
        wanted, places = data.get("catalog_object_ids"), data.get("location_ids")
        since = instant(data["updated_after"], "updated_after") if data.get("updated_after") else 0.0
        found = [
            (level.updated_at, item, code)
            for item in self._items(wanted)
            for code, level in item.levels.items()
            if item.source.is_tracked
            and level.updated_at > since
            and (not places or self._shop.location_id(code) in places)
        ]
        found.sort(key=itemgetter(0), reverse=True)
        limit = limit_of(data, 100, _LARGEST_PAGE)
        show: Callable[[Any], Any] = lambda each: self.document(each[1], each[2])  # noqa: E731
        return json_answer(200, page(found, data.get("cursor"), limit, "counts", show))

    def _items(self, wanted: Any) -> Iterable[Item]:
        if not wanted:
            return self._book.items.values()
        return filter(None, (self._shop.item_by_id(each) for each in wanted))

    def batch_create(self, request: Request) -> Answer:
        """Takes a batch in whole or refuses it in whole; the same key is done once."""
        data = body_of(request)
        key = data.get("idempotency_key")
        if not isinstance(key, str) or not 1 <= len(key) <= 128:
            raise SquareError(400, "VALUE_TOO_LONG", "The key has 1 to 128 characters.", "idempotency_key")
        if key in self._answers:
            body, answer = self._answers[key]
            if body != request.body:
                raise SquareError(400, "IDEMPOTENCY_KEY_REUSED", "The key was used for another request.")
            return json_answer(200, answer)
        answer = self._do(data)
        self._answers[key] = request.body, answer
        if self._shop.happens(self._shop.faults.half_batch_rate):
            return self._shop.error_answer(504)
        return json_answer(200, answer)

    def _do(self, data: dict[str, Any]) -> dict[str, Any]:
        changes = data.get("changes")
        if not isinstance(changes, list) or not changes:
            raise SquareError(400, "ARRAY_EMPTY", "At least one change is needed.", "changes")
        if len(changes) > LARGEST_BATCH:
            raise SquareError(400, "ARRAY_LENGTH_TOO_LONG", f"At most {LARGEST_BATCH} changes.", "changes")
        counts = [self._read(each, f"changes[{number}]") for number, each in enumerate(changes)]
        for item, code, units, at in counts:
            self.count(item, code, units, at=at)
        touched = [(item, code) for item, code, _, _ in counts]
        self._shop.announce_counts(touched)
        return {"counts": [self.document(item, code) for item, code in touched], "changes": changes}

    def _read(self, change: dict[str, Any], where: str) -> tuple[Item, str, int, float]:
        count = change.get("physical_count")
        if change.get("type") != "PHYSICAL_COUNT" or not isinstance(count, dict):
            raise SquareError(400, "INVALID_VALUE", "Only counts are simulated.", f"{where}.type")
        where = f"{where}.physical_count"
        item = self._shop.item_by_id(count.get("catalog_object_id"))
        code = self._shop.code_of(count.get("location_id"))
        if item is None:
            raise SquareError(404, "NOT_FOUND", "No such variation.", f"{where}.catalog_object_id")
        if code is None or code not in item.levels:
            raise SquareError(404, "NOT_FOUND", "No such location.", f"{where}.location_id")
        if count.get("state") != IN_STOCK or not str(count.get("quantity", "")).isdigit():
            raise SquareError(400, "INVALID_VALUE", "The quantity is not valid.", f"{where}.quantity")
        at, now = instant(count.get("occurred_at"), f"{where}.occurred_at"), time.time()
        if not now - _DAY <= at <= now + _LEEWAY:
            raise SquareError(400, "INVALID_TIME", "Not within the last 24 hours.", f"{where}.occurred_at")
        if not item.source.is_tracked:
            raise not_found(f"{where}: a tracked variation")
        return item, code, int(count["quantity"]), at
