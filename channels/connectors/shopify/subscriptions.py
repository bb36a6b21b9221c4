"""Webhook subscriptions: what we need, what is there. Shopify deletes one after eight failures in a row."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from channels.connectors.base import SubscriptionProblem
from channels.connectors.shopify.graphql import Api, Document, pages
from channels.errors import Misconfigured

#: Topics we need, by Shopify's names in GraphQL.
TOPICS: Final = (
    "ORDERS_CREATE",
    "ORDERS_UPDATED",
    "ORDERS_EDITED",
    "ORDERS_CANCELLED",
    "ORDERS_FULFILLED",
    "ORDERS_PARTIALLY_FULFILLED",
    "ORDERS_DELETE",
    "REFUNDS_CREATE",
    "INVENTORY_LEVELS_UPDATE",
    "INVENTORY_LEVELS_CONNECT",
    "INVENTORY_LEVELS_DISCONNECT",
    # Not PRODUCTS_UPDATE: it comes with every sale and every push, and says nothing that these do not.
    "INVENTORY_ITEMS_CREATE",
    "INVENTORY_ITEMS_DELETE",
    "PRODUCTS_CREATE",
    "PRODUCTS_DELETE",
    "APP_UNINSTALLED",
)
_LIST: Final = Document("subscriptions")
_CREATE: Final = Document("subscribe", is_mutation=True)
_DELETE: Final = Document("unsubscribe", is_mutation=True)
_WRITE_COST: Final = 11.0
_REMEDY: Final = "Register the webhooks again."


def audit(api: Api, callback_url: str) -> list[SubscriptionProblem]:
    """Returns what is wrong with the subscriptions to this address."""
    ours = _ours(api, callback_url)
    return [
        SubscriptionProblem(topic, problem, _REMEDY)
        for topic in TOPICS
        for problem in _problems(ours.get(topic))
    ]


def register(api: Api, callback_url: str) -> None:
    """Creates what is missing and replaces what delivers only a part. Raises `Misconfigured`."""
    ours = _ours(api, callback_url)
    for topic in TOPICS:
        kept = ours.get(topic)
        if not list(_problems(kept)):
            continue
        if kept is not None:
            _write(api, _DELETE, "webhookSubscriptionDelete", {"id": kept["id"]})
        subscription = {"uri": callback_url, "format": "JSON"}
        variables = {"topic": topic, "subscription": subscription}
        _write(api, _CREATE, "webhookSubscriptionCreate", variables)


def _ours(api: Api, callback_url: str) -> dict[str, Mapping[str, Any]]:
    nodes = pages(api, _LIST, ("webhookSubscriptions",), {"first": 250}, cost=252)
    return {node["topic"]: node for node in nodes if node["uri"] == callback_url}


def _problems(subscription: Mapping[str, Any] | None) -> Iterator[str]:
    if subscription is None:
        yield "There is no subscription."
    elif subscription["format"] != "JSON":
        yield "It delivers no JSON."
    elif subscription["filter"] or subscription["includeFields"]:
        yield "It delivers only a part."


def _write(api: Api, document: Document, name: str, variables: Mapping[str, Any]) -> None:
    answer = api.run(document, variables, cost=_WRITE_COST).get(name) or {}
    errors = answer.get("userErrors") or []
    if errors:
        raise Misconfigured(f"Shopify refuses a webhook subscription: {errors[0].get('message', '')[:300]}")
