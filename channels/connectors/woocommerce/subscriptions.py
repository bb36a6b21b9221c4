"""The shop's webhooks to us: created, compared with what we need, and mended.

Ours are those that lead to the channel's unguessable path, whatever host stands before it. The shop never shows
a webhook's secret, so mending writes it anew; it never repeats what it could not deliver either, and switches a
webhook off after the seventh failure in a row.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from channels.connectors.base import SubscriptionProblem
from channels.connectors.messages import read_text
from channels.connectors.woocommerce.api import Shop
from channels.connectors.woocommerce.webhooks import TOPICS

#: From so many failures in a row on a person is told; the seventh switches the webhook off.
_MANY_FAILURES: Final = 3


def register(shop: Shop, callback_url: str, secret: str) -> dict[str, str]:
    """Creates missing webhooks, mends ours, deletes surplus ones; returns the secret when it is a new one."""
    # The shop decodes HTML entities in a secret, so that it may only hold letters, digits, - and _.
    used = secret or secrets.token_urlsafe(32)
    ours = _ours(shop, callback_url)
    for topic in TOPICS:
        wanted = {
            "name": f"OneCount {topic}",
            "topic": topic,
            "delivery_url": callback_url,
            "secret": used,
            "status": "active",
        }
        _put(shop, ours.get(topic, []), wanted)
    return {} if secret else {"webhook_secret": used}


def _put(shop: Shop, ours: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> None:
    if not ours:
        shop.write("POST", "webhooks", wanted)
        return
    shop.write("PUT", f"webhooks/{ours[0]['id']}", wanted)
    for twin in ours[1:]:
        shop.write("DELETE", f"webhooks/{twin['id']}")


def audit(shop: Shop, callback_url: str, *, has_secret: bool) -> list[SubscriptionProblem]:
    """Compares the shop's webhooks with what we need; empty when all is well."""
    missing = _problem("", "no secret is kept for the webhooks", "register them again")
    problems = [] if has_secret else [missing]
    ours = _ours(shop, callback_url)
    for topic in TOPICS:
        problems += _problems_of(topic, ours.get(topic, []), callback_url)
    return problems


def _ours(shop: Shop, callback_url: str) -> dict[str, list[dict[str, Any]]]:
    path = urlsplit(callback_url).path
    found: dict[str, list[dict[str, Any]]] = {}
    for webhook in shop.read_all("webhooks"):
        if urlsplit(read_text(webhook, "delivery_url")).path == path:
            found.setdefault(read_text(webhook, "topic"), []).append(webhook)
    return found


def _problems_of(
    topic: str, webhooks: Sequence[Mapping[str, Any]], callback_url: str
) -> list[SubscriptionProblem]:
    if not webhooks:
        return [_problem(topic, "there is no webhook", "create it")]
    problems = []
    if len(webhooks) > 1:
        problems.append(_problem(topic, f"there are {len(webhooks)} webhooks", "delete all but one"))
    webhook = webhooks[0]
    status = read_text(webhook, "status")
    if status != "active":
        problems.append(_problem(topic, f"the webhook is {status or 'without status'}", "set it to active"))
    if read_text(webhook, "delivery_url") != callback_url:
        problems.append(_problem(topic, "the webhook leads to another address", "correct the address"))
    failures = webhook.get("failure_count")
    if isinstance(failures, int) and failures >= _MANY_FAILURES:
        remedy = "check that the shop can reach this address; the seventh failure in a row switches it off"
        problems.append(_problem(topic, f"the last {failures} deliveries failed", remedy))
    return problems


def _problem(topic: str, problem: str, remedy: str) -> SubscriptionProblem:
    return SubscriptionProblem(topic, problem, remedy)
