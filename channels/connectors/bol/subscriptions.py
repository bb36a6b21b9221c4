"""bol's event subscription to us: created, compared with what we need, and mended.

bol delivers ten times within ten minutes and then switches the subscription off, until it is enabled again. Ours
are those that lead to the channel's unguessable path.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from channels.connectors.base import SubscriptionProblem
from channels.connectors.bol import processes, signatures
from channels.connectors.bol.api import RetailerApi
from channels.connectors.messages import read_id, read_objects, read_text

RESOURCES: Final = ("ORDER",)
_BUCKET: Final = "account"
_PATH: Final = "/retailer/subscriptions"
_WEBHOOK: Final = "WEBHOOK"


def register(api: RetailerApi, callback_url: str) -> dict[str, str]:
    """Creates or mends our subscription; returns bol's signature keys, to be kept with the credentials.

    Raises `Rejected` when bol does not take it; orders are polled all the same.
    """
    ours = _ours(api, callback_url)
    wanted = {
        "resources": list(RESOURCES),
        "url": callback_url,
        "subscriptionType": _WEBHOOK,
        "enabled": True,
    }
    method, path = ("PUT", f"{_PATH}/{read_id(ours[0], 'id')}") if ours else ("POST", _PATH)
    processes.follow(api, api.write(method, path, wanted, bucket=_BUCKET))
    for twin in ours[1:]:
        processes.follow(api, api.write("DELETE", f"{_PATH}/{read_id(twin, 'id')}", None, bucket=_BUCKET))
    return {signatures.CREDENTIAL: json.dumps(signatures.fetch_keys(api), sort_keys=True)}


def audit(api: RetailerApi, callback_url: str, kept_keys: Mapping[str, str]) -> list[SubscriptionProblem]:
    """Compares our subscription and the keys with what we need; empty when all is well."""
    ours = _ours(api, callback_url)
    problems = _problems_of(ours[0], callback_url) if ours else [("there is no subscription", "create it")]
    if len(ours) > 1:
        problems.append((f"there are {len(ours)} subscriptions", "delete all but one"))
    if signatures.fetch_keys(api) != kept_keys:
        problems.append(("bol signs with keys that are not kept yet", "fetch them"))
    return [SubscriptionProblem(", ".join(RESOURCES), problem, remedy) for problem, remedy in problems]


def _ours(api: RetailerApi, callback_url: str) -> list[dict[str, Any]]:
    path = urlsplit(callback_url).path
    listed = read_objects(api.read(_PATH, bucket=_BUCKET).body, "subscriptions")
    return [
        each
        for each in listed
        if read_text(each, "subscriptionType") == _WEBHOOK and urlsplit(read_text(each, "url")).path == path
    ]


def _problems_of(subscription: Mapping[str, Any], callback_url: str) -> list[tuple[str, str]]:
    problems = []
    if subscription.get("enabled") is False:
        problems.append(("bol switched it off after failed deliveries", "enable it again"))
    if read_text(subscription, "url") != callback_url:
        problems.append(("it leads to another address", "correct the address"))
    resources = subscription.get("resources")
    missing = set(RESOURCES).difference(resources if isinstance(resources, list) else ())
    if missing:
        problems.append((f"it leaves out {', '.join(sorted(missing))}", "add it"))
    return problems
