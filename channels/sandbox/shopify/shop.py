"""A simulated Shopify shop: Admin GraphQL API with its cost bucket, client credentials, several locations, webhooks."""

import secrets
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from channels.sandbox.book import (
    CatalogueItem,
    Fulfilment,
    Item,
    Line,
    Order,
    Place,
    Refund,
    RefundLine,
    Refused,
)
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.limits import Bucket
from channels.sandbox.shop import Picks, SandboxShop
from channels.sandbox.shopify.bulk import PATH as BULK_PATH
from channels.sandbox.shopify.bulk import BulkOperations
from channels.sandbox.shopify.definitions import GraphQLFault, fault
from channels.sandbox.shopify.execution import Execution
from channels.sandbox.shopify.goods import product_of_item
from channels.sandbox.shopify.idempotency import IdempotencyKeys
from channels.sandbox.shopify.ids import number_of, parse_gid, parse_id
from channels.sandbox.shopify.language import SyntaxFault, parse
from channels.sandbox.shopify.order_writes import Edit
from channels.sandbox.shopify.payloads import level_payload, order_payload, product_payload, refund_payload
from channels.sandbox.shopify.queries import SCOPES
from channels.sandbox.shopify.schema import SCHEMA
from channels.sandbox.shopify.stock import Shelf, stamp
from channels.sandbox.shopify.subscriptions import Webhooks

VERSIONS: Final = ("2026-04", "2026-07", "2026-10")
TOKEN_SECONDS: Final = 86399
#: Bucket size and points a second: the Standard plan's, and more than any plan's.
_TRUE_LIMITS: Final = (2_000.0, 100.0)
_GENEROUS_LIMITS: Final = (40_000.0, 4_000.0)
_DEAREST: Final = 1_000
_TOKEN_PATH: Final = "/admin/oauth/access_token"  # noqa: S105 - a path
_NO_RESTOCK: Final = "NO_RESTOCK"


class ShopifySandbox(SandboxShop):
    """Shopify: the shop takes sold units out of `available` itself, per location."""

    kind = "shopify"
    currency = "EUR"
    supported_versions = VERSIONS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client_id = self.secret("")
        self.client_secret = self.secret("shpss_")
        slug = "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())
        self.shop_domain = f"{slug}.myshopify.com"
        self.api_version = VERSIONS[-1]
        #: The version of the call that runs; written under the lock of the records.
        self.serving_version = self.api_version
        self.opened_at = time.time()
        self.webhooks = Webhooks(self)
        self.idempotency = IdempotencyKeys()
        self.edits: dict[int, Edit] = {}
        self.bulk = BulkOperations(self, SCHEMA)
        self.bucket = Bucket(*(_TRUE_LIMITS if self.limits == "true" else _GENEROUS_LIMITS))
        self._tokens: dict[str, float] = {}
        self._token_lock = threading.Lock()

    def credentials(self) -> dict[str, str]:
        return {"client_id": self.client_id, "client_secret": self.client_secret}

    def settings(self) -> dict[str, object]:
        return {"shop_domain": self.shop_domain, "base_url": self.base_url, "api_version": self.api_version}

    # -- catalogue and places
    def add_location(self, code: str, name: str) -> str:
        return str(number_of("Location", self.records.add_place(code, name).number))

    def location_id(self, code: str) -> str:
        """The platform's number of a location; raises `KeyError`."""
        return str(number_of("Location", self.records.places[code].number))

    def opening_levels(self, item: CatalogueItem) -> dict[str, int]:
        for code in item.quantities or ("MAIN",):
            self.records.add_place(code, code)
        return dict(item.quantities) or {"MAIN": 0}

    def place_by_number(self, number: int) -> Place | None:
        """Returns an active location."""
        places = self.records.places.values()
        return next((place for place in places if place.number == number and place.is_active), None)

    def shelf_by_gid(self, text: str) -> Shelf | None:
        """Returns the level behind a gid."""
        kind, number, item_number = parse_gid(text)
        item, place = self.records.items_by_number.get(item_number), self.place_by_number(number)
        if kind != "InventoryLevel" or item is None or place is None or place.code not in item.levels:
            return None
        return Shelf(item, place, item.levels[place.code])

    @staticmethod
    def parse(type_name: str, text: object) -> int:
        """Returns the book's number for an id of this type; 0 when it is none."""
        return parse_id(type_name, str(text))

    # -- selling
    def route(self, wanted: Sequence[tuple[Item, int]], *, force: bool) -> list[str]:
        """Chooses one place for all lines if there is one, else a place a line; a line is never split."""
        codes = [place.code for place in self.records.places.values() if place.is_active]
        for code in codes:
            left: dict[str, int] = {}
            if all(_fits(item, code, quantity, left) for item, quantity in wanted):
                return [code] * len(wanted)
        left = {}
        return [self._place_of(item, quantity, codes, left, force=force) for item, quantity in wanted]

    def _place_of(
        self, item: Item, quantity: int, codes: list[str], left: dict[str, int], *, force: bool
    ) -> str:
        for code in codes:
            if _fits(item, code, quantity, left):
                return code
        stocked = [code for code in codes if code in item.levels and item.levels[code].is_active]
        if stocked and (force or item.source.sells_beyond_stock or not item.source.is_tracked):
            return stocked[0]
        raise Refused(item.sku)

    def order_id(self, order: Order) -> str:
        return str(number_of("Order", order.number))

    def order_number(self, order_id: str) -> int:
        return parse_id("Order", order_id)

    def take(self, order: Order) -> None:
        for line in order.lines:
            if line.item is not None:
                level = line.item.levels[line.location]
                level.available -= line.quantity
                level.committed += line.quantity
                stamp(line.item, level)

    # -- changing orders
    def cancel_units(self, order: Order, picks: Picks) -> None:
        self.remove_units(order, picks, restock=True, reason="CUSTOMER")

    def remove_units(self, order: Order, picks: Picks, *, restock: bool, reason: str) -> None:
        """Takes open units off an order; when none is left and none was shipped, the order is cancelled."""
        kind = "CANCEL" if restock else _NO_RESTOCK
        refund = self._take_back(order, [(line, units, kind) for line, units in picks], note="")
        if not order.is_open and not any(line.fulfilled for line in order.lines):
            order.cancelled_at, order.cancel_reason = refund.created_at, reason
        self.records.touch(order)
        topics = ["ORDERS_UPDATED", *(["ORDERS_CANCELLED"] if order.cancelled_at else [])]
        self._announce_refund(order, refund, topics)

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        kind = "RETURN" if restock else _NO_RESTOCK
        self._refund_shipped(order, [(line, units, kind) for line, units in picks])

    def _refund_shipped(self, order: Order, picks: list[tuple[Line, int, str]]) -> None:
        for line, units, _ in picks:
            line.returned += units
        refund = self._note_refund(order, picks, "")
        self._restock_returns(picks)
        self.records.touch(order)
        self._announce_refund(order, refund, ["ORDERS_UPDATED"])

    def refund_units(self, order: Order, picks: list[tuple[Line, int, str]], *, note: str) -> Refund:
        """Refunds through the API: CANCEL takes open units, RETURN shipped ones, NO_RESTOCK open before shipped."""
        refund = self._take_back(order, picks, note=note)
        self.records.touch(order)
        self._announce_refund(order, refund, ["ORDERS_UPDATED"])
        return refund

    def edit_units(self, order: Order, quantities: dict[int, tuple[int, bool]]) -> None:
        """Lowers lines to the quantities of a committed edit."""
        picks = []
        for line in order.lines:
            quantity, restock = quantities.get(line.number, (line.quantity - line.cancelled, False))
            units = line.quantity - line.cancelled - quantity
            if units > 0:
                picks.append((line, units, "CANCEL" if restock else _NO_RESTOCK))
        if not picks:
            return
        self._take_back(order, picks, note="")
        self.records.touch(order)
        event_id = str(uuid.uuid4())
        removals = [{"id": number_of("LineItem", line.number), "delta": units} for line, units, _ in picks]
        order_id = number_of("Order", order.number)
        edit = {"order_id": order_id, "line_items": {"additions": [], "removals": removals}}
        self.webhooks.send("ORDERS_EDITED", {"order_edit": edit}, event_id=event_id)
        self._send("ORDERS_UPDATED", lambda: order_payload(self.records, order), event_id)
        self._announce_lines([line for line, *_ in picks])

    def _take_back(self, order: Order, picks: list[tuple[Line, int, str]], *, note: str) -> Refund:
        for line, units, kind in picks:
            opened = 0 if kind == "RETURN" else min(units, line.open_units)
            line.cancelled += opened
            line.returned += units - opened
            if line.item is not None:
                level = line.item.levels[line.location]
                level.committed -= opened
                level.available += opened if kind == "CANCEL" else 0
                stamp(line.item, level)
        self._restock_returns(picks)
        return self._note_refund(order, picks, note)

    @staticmethod
    def _restock_returns(picks: list[tuple[Line, int, str]]) -> None:
        for line, units, kind in picks:
            if kind == "RETURN" and line.item is not None:
                level = line.item.levels[line.location]
                level.available += units
                stamp(line.item, level)

    def _note_refund(self, order: Order, picks: list[tuple[Line, int, str]], note: str) -> Refund:
        number = self.records.next_number
        parts = tuple(RefundLine(number(), line, units, kind) for line, units, kind in picks)
        refund = Refund(number(), time.time(), parts, note)
        order.refunds.append(refund)
        return refund

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        by_place: dict[str, Picks] = {}
        for line, units in picks:
            line.fulfilled += units
            by_place.setdefault(line.location, []).append((line, units))
            if line.item is not None:
                level = line.item.levels[line.location]
                level.committed -= units
                stamp(line.item, level)
        for code, part in by_place.items():
            number = self.records.next_number()
            order.fulfilments.append(Fulfilment(number, time.time(), tuple(part), code))
        self.records.touch(order)
        self.announce_order(order, "partially fulfilled" if order.is_open else "fulfilled")

    # -- webhooks
    def announce_order(self, order: Order, what: str) -> None:
        topic = {
            "created": "ORDERS_CREATE",
            "fulfilled": "ORDERS_FULFILLED",
            "partially fulfilled": "ORDERS_PARTIALLY_FULFILLED",
        }[what]
        event_id = str(uuid.uuid4())
        self._send(topic, lambda: order_payload(self.records, order), event_id)
        if what == "created":
            self._announce_lines(order.lines)
        else:
            self._send("ORDERS_UPDATED", lambda: order_payload(self.records, order), event_id)

    def _announce_refund(self, order: Order, refund: Refund, topics: list[str]) -> None:
        event_id = str(uuid.uuid4())
        self._send("REFUNDS_CREATE", lambda: refund_payload(self.records, order, refund), event_id)
        for topic in topics:
            self._send(topic, lambda: order_payload(self.records, order), event_id)
        self._announce_lines([part.line for part in refund.lines if part.restock_type != _NO_RESTOCK])

    def _announce_lines(self, lines: list[Line]) -> None:
        for item, code in {(line.item, line.location) for line in lines}:
            if item is not None:
                self.announce_stock(item, code)

    def announce_stock(self, item: Item, code: str) -> None:
        self.announce_level(item, code, "INVENTORY_LEVELS_UPDATE")
        self._send(
            "PRODUCTS_UPDATE", lambda: product_payload(product_of_item(self.records, item)), str(uuid.uuid4())
        )

    def announce_level(self, item: Item, code: str, topic: str) -> None:
        """Sends what the platform says about a level: little, and of a disconnected one only whose it was."""
        payload = level_payload(Shelf(item, self.records.places[code], item.levels[code]))
        if topic == "INVENTORY_LEVELS_DISCONNECT":
            payload = {name: payload[name] for name in ("inventory_item_id", "location_id")}
        self._send(topic, lambda: payload, str(uuid.uuid4()))

    def _send(self, topic: str, payload: Callable[[], dict[str, Any]], event_id: str) -> None:
        if self.webhooks.wants(topic):
            self.webhooks.send(topic, payload(), event_id=event_id)

    def uninstall(self) -> None:
        """Removes the app: tokens die, `app/uninstalled` is sent, subscriptions are gone."""
        self._send("APP_UNINSTALLED", lambda: {"myshopify_domain": self.shop_domain}, str(uuid.uuid4()))
        self.expire_tokens()

    # -- the API
    def written_items(self, request: Request) -> list[Item]:
        if self.endpoint_of(request) != "graphql inventorySetQuantities":
            return []
        quantities = request.json()["variables"]["input"]["quantities"]
        numbers = [self.parse("InventoryItem", each["inventoryItemId"]) for each in quantities]
        known = self.records.items_by_number
        return [known[number] for number in numbers if number in known]

    def endpoint_of(self, request: Request) -> str:
        if request.path == _TOKEN_PATH:
            return "POST access_token"
        if request.path.startswith(BULK_PATH):
            return "GET bulk file"
        try:
            query = request.json()["query"]
            roots = parse(query).operations[0].selections
        except (ValueError, KeyError, TypeError, SyntaxFault):
            return f"{request.method} graphql"
        return f"graphql {getattr(roots[0], 'name', '')}"

    def answer(self, request: Request) -> Answer:
        if request.path == _TOKEN_PATH and request.method == "POST":
            return self._token(request)
        if request.path.startswith(BULK_PATH):
            return self.bulk.answer(request)
        parts = request.path.strip("/").split("/")
        if len(parts) != 4 or parts[:2] != ["admin", "api"] or parts[3] != "graphql.json":
            return json_answer(404, {"errors": "Not Found"})
        if not self._is_authorised(request):
            message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return json_answer(401, {"errors": message})
        version = parts[2] if parts[2] in VERSIONS else VERSIONS[0]
        headers = {"X-Shopify-API-Version": version, "X-Request-Id": str(uuid.uuid4())}
        return json_answer(200, self._graphql(request, version), headers)

    def _token(self, request: Request) -> Answer:
        form = request.form()
        if "json" in request.headers.get("content-type", ""):
            form = request.json()
        if form.get("grant_type") != "client_credentials":
            return json_answer(400, {"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return json_answer(401, {"error": "invalid_client"})
        token = f"shpat_{secrets.token_hex(16)}"
        with self._token_lock:
            self._tokens[token] = time.time() + TOKEN_SECONDS
        return json_answer(
            200, {"access_token": token, "scope": ",".join(SCOPES), "expires_in": TOKEN_SECONDS}
        )

    def expire_tokens(self) -> None:
        """Makes every access token invalid."""
        with self._token_lock:
            self._tokens.clear()

    def _is_authorised(self, request: Request) -> bool:
        token = request.headers.get("x-shopify-access-token", "")
        return self._tokens.get(token, 0) > time.time()

    def _graphql(self, request: Request, version: str) -> dict[str, Any]:
        try:
            data = request.json()
            execution = Execution(
                SCHEMA, parse(data["query"]), data.get("operationName") or "", data.get("variables") or {}
            )
            cost = execution.requested_cost()
            if cost > _DEAREST:
                message = f"Query cost is {cost}, which exceeds the single query max cost limit ({_DEAREST})."
                raise GraphQLFault(fault(message, "MAX_COST_EXCEEDED", cost=cost, maxCost=_DEAREST))
        except SyntaxFault as error:
            return {"errors": [{"message": str(error)}]}
        except GraphQLFault as error:
            return {"errors": error.errors}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"errors": {"query": "Required parameter missing or invalid"}}
        return self._spend(execution, cost, version)

    def _spend(self, execution: Execution, cost: int, version: str) -> dict[str, Any]:
        """Reserves the requested cost, runs, gives the difference back."""
        if not self.bucket.take(cost):
            self.count_throttled()
            return self._throttled(cost)
        try:
            with self.records.lock:
                self.serving_version = version
                data: dict[str, Any] = {"data": execution.run(self)}
        except GraphQLFault as error:
            data = {"errors": error.errors}
        self.bucket.give_back(max(cost - execution.actual_cost, 0))
        return {**data, "extensions": {"cost": self._cost(cost, execution.actual_cost)}}

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        status = {
            "maximumAvailable": self.bucket.capacity,
            "currentlyAvailable": int(self.bucket.available),
            "restoreRate": self.bucket.restore_rate,
        }
        return {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status}

    def _throttled(self, cost: int) -> dict[str, Any]:
        errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
        return {"errors": errors, "extensions": {"cost": self._cost(cost, None)}}

    def error_answer(self, status: int) -> Answer:
        return json_answer(status, {"errors": "Internal Server Error" if status == 500 else "Bad Gateway"})

    def throttled_answer(self) -> Answer:
        return json_answer(200, self._throttled(1))

    def error_in_200(self) -> Answer:
        message = "Internal error. Looks like something went wrong on our end."
        return json_answer(
            200, {"errors": [fault(message, "INTERNAL_SERVER_ERROR", requestId=str(uuid.uuid4()))]}
        )


def _fits(item: Item, code: str, quantity: int, left: dict[str, int]) -> bool:
    """Tells whether a place has so many left, and notes them as taken."""
    level = item.levels.get(code)
    if level is None or not level.is_active:
        return False
    key = f"{code}\0{item.sku}"
    units = left.get(key, level.available)
    if units < quantity:
        return False
    left[key] = units - quantity
    return True
