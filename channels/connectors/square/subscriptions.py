"""Square's webhook subscription to us: created, compared with what we need, and mended.

Ours are those that lead to the channel's unguessable path. Square chooses the key that it signs with and shows it in the
subscription. It repeats what it could not deliver for a day or more, and switches a subscription off after weeks of failures.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from channels.connectors.base import SubscriptionProblem
from channels.connectors.messages import read_id, read_part, read_text
from channels.connectors.square.api import VERSION, SquareApi
from channels.connectors.square.webhooks import TOPICS

_PATH: Final = "/v2/webhooks/subscriptions"
_NAME: Final = "OneCount"


def register(api: SquareApi, callback_url: str, kept_secret: str) -> dict[str, str]:
    """Creates or mends our subscription, deletes its twins; returns the signature key where it is another one."""
    wanted = {
        "name": _NAME,
        "enabled": True,
        "event_types": list(TOPICS),
        "notification_url": callback_url,
        "api_version": VERSION,
    }
    ours = _ours(api, callback_url)
    if ours:
        path = f"{_PATH}/{quote(read_id(ours[0], 'id'), safe='')}"
        answer = api.write("PUT", path, {"subscription": wanted})
    else:
        body = {"idempotency_key": str(uuid.uuid4()), "subscription": wanted}
        answer = api.write("POST", _PATH, body)
    for twin in ours[1:]:
        api.write("DELETE", f"{_PATH}/{quote(read_id(twin, 'id'), safe='')}")
    made = read_part(answer, "subscription")
    key = read_text(made, "signature_key") or _shown_key(api, made)
    return {"webhook_secret": key} if key and key != kept_secret else {}


def _shown_key(api: SquareApi, subscription: Mapping[str, Any]) -> str:
    """Asks for the key where the answer to a write leaves it out."""
    found = api.read(f"{_PATH}/{quote(read_id(subscription, 'id'), safe='')}").body
    return read_text(read_part(found, "subscription"), "signature_key")


def audit(api: SquareApi, callback_url: str, kept_secret: str) -> list[SubscriptionProblem]:
    """Compares our subscription with what we need; empty when all is well."""
    ours = _ours(api, callback_url)
    if not ours:
        return [_problem("there is no subscription", "create it")]
    problems = [] if kept_secret else [_problem("no signature key is kept", "register the webhooks again")]
    if len(ours) > 1:
        problems.append(_problem(f"there are {len(ours)} subscriptions", "delete all but one"))
    return problems + _problems_of(ours[0], callback_url, kept_secret)


def _problems_of(
    subscription: Mapping[str, Any], callback_url: str, kept_secret: str
) -> list[SubscriptionProblem]:
    problems = []
    if subscription.get("enabled") is False:
        problems.append(_problem("it is switched off", "enable it again"))
    if read_text(subscription, "notification_url") != callback_url:
        problems.append(_problem("it leads to another address", "correct the address"))
    types = subscription.get("event_types")
    missing = set(TOPICS).difference(types if isinstance(types, list) else ())
    if missing:
        problems.append(_problem(f"it leaves out {', '.join(sorted(missing))}", "add it"))
    key = read_text(subscription, "signature_key")
    if kept_secret and key and key != kept_secret:
        problems.append(
            _problem("Square signs with another key than the one kept", "register the webhooks again")
        )
    return problems


def _ours(api: SquareApi, callback_url: str) -> list[dict[str, Any]]:
    path = urlsplit(callback_url).path
    listed = api.read_all(_PATH, "subscriptions", {"include_disabled": "true"})
    return [each for each in listed if urlsplit(read_text(each, "notification_url")).path == path]


def _problem(problem: str, remedy: str) -> SubscriptionProblem:
    return SubscriptionProblem(", ".join(TOPICS), problem, remedy)
