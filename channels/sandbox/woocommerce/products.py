"""Products and variations of a WooCommerce shop: reading, writing, batches."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.book import Item
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.woocommerce.documents import (
    FIRST_ITEM,
    FIRST_PARENT,
    item_document,
    item_id,
    parent_document,
    stock_status,
)
from channels.sandbox.woocommerce.rest import (
    RestError,
    body_of,
    changed_between,
    invalid_id,
    invalid_parameter,
    page,
)

if TYPE_CHECKING:
    from channels.sandbox.woocommerce.shop import WooCommerceSandbox

MOST_IN_A_BATCH: Final = 100
_BATCH_VERBS: Final = ("create", "update", "delete")


class Products:
    """The `/products` and `/variations` resources."""

    def __init__(self, shop: "WooCommerceSandbox") -> None:
        self._shop = shop
        self._book = shop.records

    # -- reading
    def document(self, post_id: int) -> dict[str, Any] | None:
        """What `/products/{id}` shows of any product or variation; None when there is none."""
        if post_id - FIRST_PARENT in self._book.parent_items:
            return parent_document(self._book, post_id - FIRST_PARENT, self._shop.opened_at)
        item = self._book.items_by_number.get(post_id - FIRST_ITEM)
        return None if item is None else item_document(item, self._shop.opened_at)

    def listing(self, request: Request) -> Answer:
        """Products without variations, unless asked for by SKU."""
        query = request.query
        wanted = _included(query)
        if "sku" in query:
            skus = query["sku"].split(",")
            ids = [item_id(item) for item in self._book.items.values() if item.sku in skus]
        else:
            ids = [FIRST_PARENT + number for number in self._book.parent_items]
            ids += [item_id(item) for item in self._book.items.values() if not item.parent_number]
        found = [
            post_id
            for post_id in ids
            if (wanted is None or post_id in wanted) and self._matches(post_id, query)
        ]
        return page(request, self._shop.base_url, found, int, self.document)

    def _matches(self, post_id: int, query: Mapping[str, str]) -> bool:
        items = self._items_behind(post_id)
        holds = changed_between(query)
        if not holds(
            self._shop.opened_at, max((item.updated_at for item in items), default=self._shop.opened_at)
        ):
            return False
        status = query.get("stock_status")
        return status is None or any(stock_status(item) == status for item in items)

    def _items_behind(self, post_id: int) -> list[Item]:
        if post_id >= FIRST_PARENT:
            return self._book.parent_items[post_id - FIRST_PARENT]
        return [self._book.items_by_number[post_id - FIRST_ITEM]]

    def variations(self, request: Request, parent_id: int) -> Answer:
        """The variations of one parent."""
        items = self._book.parent_items.get(parent_id - FIRST_PARENT)
        if items is None:
            raise invalid_id(404)
        return self._page_of_items(request, items)

    def all_variations(self, request: Request) -> Answer:
        """The variations of all parents (since WooCommerce 10.3)."""
        return self._page_of_items(
            request, (item for item in self._book.items.values() if item.parent_number)
        )

    def _page_of_items(self, request: Request, items: Iterable[Item]) -> Answer:
        query = request.query
        wanted, skus = _included(query), query["sku"].split(",") if "sku" in query else None
        found = [
            item
            for item in items
            if (wanted is None or item_id(item) in wanted)
            and (skus is None or item.sku in skus)
            and query.get("stock_status") in (None, stock_status(item))
        ]
        opened_at = self._shop.opened_at
        return page(request, self._shop.base_url, found, item_id, lambda item: item_document(item, opened_at))

    def read(self, post_id: int, parent_id: int | None) -> Answer:
        self._check(post_id, parent_id, 404)
        return json_answer(200, self.document(post_id))

    def _check(self, post_id: int, parent_id: int | None, status: int) -> None:
        """Refuses what is not there; a variation is only found below its parent. Raises `RestError`."""
        document = self.document(post_id)
        if document is None:
            raise invalid_id(status, "product" if parent_id is None else "product_variation")
        if document["type"] == "variation":
            if parent_id is None:
                message = "To manipulate product variations you should use the /products/<product_id>/variations/<id> endpoint."
                raise RestError(404, "woocommerce_rest_invalid_product_id", message)
            if document["parent_id"] != parent_id:
                raise invalid_id(404, "product_variation")
        elif parent_id is not None:
            raise invalid_id(404, "product_variation")

    # -- writing
    def write(self, request: Request, post_id: int, parent_id: int | None) -> Answer:
        """One `PUT`: validated, unlike a batch."""
        data = body_of(request)
        self._check(post_id, parent_id, 400)
        quantity = data.get("stock_quantity")
        is_whole = quantity is None or (isinstance(quantity, int | float) and float(quantity).is_integer())
        if isinstance(quantity, str):
            is_whole = quantity.lstrip("-").isascii() and quantity.lstrip("-").isdigit()
        if not is_whole or isinstance(quantity, bool):
            raise invalid_parameter("stock_quantity", "is not of type integer.")
        if "stock_quantity" in data and quantity is None:
            data = {**data, "stock_quantity": 0}
        self._apply(post_id, data)
        return json_answer(200, self.document(post_id))

    def batch(self, request: Request, parent_id: int | None) -> Answer:
        """Up to 100 members, not validated, each with its own outcome; the answer is 200 whatever they are."""
        data = body_of(request)
        members = [(verb, each) for verb in _BATCH_VERBS for each in data.get(verb) or []]
        if len(members) > MOST_IN_A_BATCH:
            message = f"Unable to accept more than {MOST_IN_A_BATCH} items for this request."
            raise RestError(413, "woocommerce_rest_request_entity_too_large", message)
        if self._shop.happens(self._shop.faults.half_batch_rate):
            for verb, each in members[: len(members) // 2]:
                self._member(verb, each, parent_id)
            return Answer(
                504, b"<html><title>504 Gateway Time-out</title></html>", {"Content-Type": "text/html"}
            )
        result: dict[str, list[Any]] = {}
        for verb, each in members:
            result.setdefault(verb, []).append(self._member(verb, each, parent_id))
        return json_answer(200, result)

    def _member(self, verb: str, data: Any, parent_id: int | None) -> dict[str, Any]:
        post_id = data.get("id", 0) if isinstance(data, dict) else int(data)
        try:
            if verb != "update":
                raise RestError(
                    400, "woocommerce_rest_sandbox", "The sandbox neither creates nor deletes products."
                )
            self._check(post_id, parent_id, 400)
        except RestError as error:
            return {"id": post_id, "error": error.document}
        quantity = data.get("stock_quantity")
        if "stock_quantity" in data:
            data = {name: value for name, value in data.items() if name != "stock_quantity"}
            if quantity is not None:
                data["stock_quantity"] = _loosely(quantity)
        self._apply(post_id, data)
        return self.document(post_id) or {}

    def _apply(self, post_id: int, data: Mapping[str, Any]) -> None:
        """Writes what the data says about stock, and announces the product even if nothing changed."""
        for item in self._items_to_write(post_id, data):
            source = item.source
            if isinstance(data.get("manage_stock"), bool) and not source.shares_parent_stock:
                source = replace(source, is_tracked=data["manage_stock"])
            if data.get("backorders") in ("no", "notify", "yes"):
                source = replace(source, sells_beyond_stock=data["backorders"] != "no")
            item.source = source
            level = next(iter(item.levels.values()))
            if source.is_tracked and "stock_quantity" in data:
                level.available = _loosely(data["stock_quantity"])
            elif source.is_tracked and "inventory_delta" in data:
                level.available += _loosely(data["inventory_delta"])
            self._shop.stamp(item)
        self._shop.webhooks.happened("product", "updated", post_id)

    def _items_to_write(self, post_id: int, data: Mapping[str, Any]) -> list[Item]:
        """A parent's number is its pool's; a variation on the pool has none of its own."""
        items = self._items_behind(post_id)
        if post_id >= FIRST_PARENT:
            return [item for item in items if item.source.shares_parent_stock][:1]
        return [] if items[0].source.shares_parent_stock else items


def _included(query: Mapping[str, str]) -> set[int] | None:
    if "include" not in query:
        return None
    return {int(part) for part in query["include"].split(",") if part.strip().isdigit()}


def _loosely(value: Any) -> int:
    """Reads a number as PHP does: what is none is 0, decimals are cut off."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
