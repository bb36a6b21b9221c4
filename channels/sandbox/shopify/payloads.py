"""Bodies of Shopify's webhooks: REST-shaped, full, customer included."""

from typing import Any

from channels.sandbox.book import Book, Fulfilment, Item, Line, Order, Refund, RefundLine
from channels.sandbox.shopify.goods import Product
from channels.sandbox.shopify.ids import gid, level_gid, number_of
from channels.sandbox.shopify.orders import financial_status
from channels.sandbox.shopify.paging import iso
from channels.sandbox.shopify.stock import Shelf


def order_payload(book: Book, order: Order) -> dict[str, Any]:
    """An order as the REST resource shows it."""
    customer = order.customer
    is_fulfilled = any(line.fulfilled for line in order.lines)
    return {
        "id": number_of("Order", order.number),
        "admin_graphql_api_id": gid("Order", order.number),
        "name": f"#{1000 + order.number}",
        "order_number": 1000 + order.number,
        "created_at": iso(order.committed_at),
        "processed_at": iso(order.committed_at),
        "updated_at": iso(order.updated_at),
        "cancelled_at": iso(order.cancelled_at),
        "cancel_reason": order.cancel_reason.lower() or None,
        "closed_at": None,
        "test": False,
        "source_name": "web",
        "location_id": None,
        "currency": order.currency,
        "presentment_currency": order.currency,
        "total_price": f"{order.total:.2f}",
        "financial_status": financial_status(order).lower(),
        "fulfillment_status": ("partial" if order.is_open else "fulfilled") if is_fulfilled else None,
        "email": customer.email,
        "contact_email": customer.email,
        "phone": customer.phone,
        "browser_ip": "192.0.2.1",
        "note": None,
        "customer": {
            "id": customer.number,
            "email": customer.email,
            "first_name": customer.first_name,
            "last_name": customer.last_name,
            "phone": customer.phone,
        },
        "shipping_address": _address(order),
        "billing_address": _address(order),
        "line_items": [line_payload(line) for line in order.lines],
        "fulfillments": [_fulfilment_payload(order, each) for each in order.fulfilments],
        "refunds": [refund_payload(book, order, each) for each in order.refunds],
    }


def _address(order: Order) -> dict[str, Any]:
    customer = order.customer
    return {
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "name": f"{customer.first_name} {customer.last_name}",
        "address1": f"{customer.street} {customer.house_number}",
        "zip": customer.postcode,
        "city": customer.city,
        "country_code": order.country,
        "phone": customer.phone,
    }


def line_payload(line: Line) -> dict[str, Any]:
    """A line as the REST resource shows it."""
    item = line.item
    return {
        "id": number_of("LineItem", line.number),
        "admin_graphql_api_id": gid("LineItem", line.number),
        "variant_id": number_of("ProductVariant", item.number) if item else None,
        "product_id": number_of("Product", product_number(item)) if item else None,
        "sku": line.sku,
        "title": item.source.title if item else "",
        "quantity": line.quantity,
        "current_quantity": line.quantity - line.cancelled - line.returned,
        "fulfillable_quantity": line.open_units,
        "fulfillment_status": ("partial" if line.open_units else "fulfilled") if line.fulfilled else None,
        "requires_shipping": True,
        "variant_inventory_management": "shopify" if item and item.source.is_tracked else None,
        "price": f"{line.price:.2f}",
    }


def product_number(item: Item) -> int:
    """The number of the product an item belongs to."""
    return item.parent_number or 1_000_000 + item.number


def refund_payload(book: Book, order: Order, refund: Refund) -> dict[str, Any]:
    """A refund as the REST resource shows it."""
    return {
        "id": number_of("Refund", refund.number),
        "admin_graphql_api_id": gid("Refund", refund.number),
        "order_id": number_of("Order", order.number),
        "created_at": iso(refund.created_at),
        "processed_at": iso(refund.created_at),
        "note": refund.reason or None,
        "refund_line_items": [
            {
                "id": number_of("RefundLineItem", part.number),
                "line_item_id": number_of("LineItem", part.line.number),
                "quantity": part.quantity,
                "location_id": _location_id(book, part),
                "restock_type": part.restock_type.lower(),
                "line_item": line_payload(part.line),
            }
            for part in refund.lines
        ],
    }


def _location_id(book: Book, part: RefundLine) -> int | None:
    if part.restock_type == "NO_RESTOCK":
        return None
    return number_of("Location", book.places[part.line.location].number)


def _fulfilment_payload(order: Order, fulfilment: Fulfilment) -> dict[str, Any]:
    return {
        "id": number_of("Fulfillment", fulfilment.number),
        "order_id": number_of("Order", order.number),
        "status": "success",
        "created_at": iso(fulfilment.created_at),
        "line_items": [{**line_payload(line), "quantity": units} for line, units in fulfilment.lines],
    }


def level_payload(shelf: Shelf) -> dict[str, Any]:
    """A level: no cause, no delta, no reference."""
    return {
        "inventory_item_id": number_of("InventoryItem", shelf.item.number),
        "location_id": number_of("Location", shelf.place.number),
        "available": shelf.level.available,
        "updated_at": iso(shelf.level.updated_at),
        "admin_graphql_api_id": level_gid(shelf.place.number, shelf.item.number),
    }


def product_payload(product: Product) -> dict[str, Any]:
    """A product with its variants."""
    return {
        "id": number_of("Product", product.number),
        "admin_graphql_api_id": gid("Product", product.number),
        "title": product.title,
        "status": "active",
        "updated_at": iso(max(item.updated_at for item in product.items)),
        "variants": [
            {
                "id": number_of("ProductVariant", item.number),
                "inventory_item_id": number_of("InventoryItem", item.number),
                "sku": item.sku,
                "barcode": item.source.gtin,
                "price": f"{item.source.price:.2f}",
                "inventory_quantity": item.available,
            }
            for item in product.items
        ],
    }
