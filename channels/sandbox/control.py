"""The shop's surface over HTTP, under `/_sandbox/`, so that another process can drive it. No faults, no waiting."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.book import CatalogueItem, Refused
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.shop import SandboxShop


def answer(shop: "SandboxShop", request: Request) -> Answer:
    """Answers a call of the control surface."""
    call = _ROUTES.get((request.method, request.path.removeprefix("/_sandbox/").strip("/")))
    if call is None:
        return json_answer(404, {"error": "The sandbox has no such control."})
    try:
        return json_answer(200, call(shop, request))
    except Refused as refused:
        return json_answer(409, {"refused": refused.sku})
    except KeyError as error:
        return json_answer(404, {"error": f"Unknown: {error.args[0]}"})
    except (TypeError, ValueError) as error:
        return json_answer(400, {"error": str(error)})


def _health(shop: "SandboxShop", request: Request) -> Any:
    return {
        "kind": shop.kind,
        "name": shop.name,
        "base_url": shop.base_url,
        "credentials": shop.credentials(),
        "settings": shop.settings(),
        "is_idle": shop.is_idle(),
        "time": time.time(),
    }


def _place_order(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    lines = [(str(sku), int(quantity)) for sku, quantity in data["lines"]]
    return asdict(
        shop.place_order(
            lines,
            country=data.get("country", "NL"),
            currency=data.get("currency", "EUR"),
            force=bool(data.get("force", False)),
        )
    )


def _cancel(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    return {"units": shop.cancel(data["order_id"], data["sku"], data["quantity"])}


def _fulfil(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    return {"units": shop.fulfil(data["order_id"], data["sku"], data["quantity"])}


def _ship(shop: "SandboxShop", request: Request) -> Any:
    return {"units": shop.ship(request.json()["order_id"])}


def _refund(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    return {"units": shop.refund(data["order_id"], data["sku"], data["quantity"], bool(data["restock"]))}


def _edit_stock(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    shop.edit_stock(data["sku"], int(data["quantity"]), data.get("location_code"))
    return {}


def _stock(shop: "SandboxShop", request: Request) -> Any:
    sku = request.query["sku"]
    return {"number": shop.number(sku), "stored_number": shop.stored_number(sku)}


def _add_location(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    return {"id": shop.add_location(data["code"], data["name"])}


def _load_catalogue(shop: "SandboxShop", request: Request) -> Any:
    items = [CatalogueItem.from_json(data) for data in request.json()["items"]]
    shop.load_catalogue(items)
    return {"loaded": len(items)}


def _book(shop: "SandboxShop", request: Request) -> Any:
    return shop.book(since=float(request.query.get("since", "0")))


def _shelves(shop: "SandboxShop", request: Request) -> Any:
    return shop.shelves()


def _set_faults(shop: "SandboxShop", request: Request) -> Any:
    shop.set_faults(**request.json())
    return asdict(shop.faults)


def _clear_faults(shop: "SandboxShop", request: Request) -> Any:
    shop.clear_faults()
    return asdict(shop.faults)


def _start_shoppers(shop: "SandboxShop", request: Request) -> Any:
    data = request.json()
    shop.start_shoppers(
        float(data["rate"]),
        mean_lines=float(data.get("mean_lines", 1.5)),
        until=data.get("until"),
        seed=int(data.get("seed", 0)),
    )
    return {}


def _stop_shoppers(shop: "SandboxShop", request: Request) -> Any:
    shop.stop_shoppers()
    return {}


def _requests(shop: "SandboxShop", request: Request) -> Any:
    return list(shop.requests_log)


_ROUTES: Final[dict[tuple[str, str], Callable[["SandboxShop", Request], Any]]] = {
    ("GET", "health"): _health,
    ("POST", "orders"): _place_order,
    ("POST", "cancellations"): _cancel,
    ("POST", "fulfilments"): _fulfil,
    ("POST", "shipments"): _ship,
    ("POST", "refunds"): _refund,
    ("GET", "stock"): _stock,
    ("PUT", "stock"): _edit_stock,
    ("POST", "locations"): _add_location,
    ("POST", "catalogue"): _load_catalogue,
    ("GET", "book"): _book,
    ("GET", "shelves"): _shelves,
    ("PUT", "faults"): _set_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "shoppers"): _start_shoppers,
    ("DELETE", "shoppers"): _stop_shoppers,
    ("GET", "requests"): _requests,
}
