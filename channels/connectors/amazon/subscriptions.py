"""Our subscriptions to Amazon's notifications: where they lead, which there are, and what is mended.

Destinations are the application's and are asked for without the seller's consent; subscriptions are the seller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon import queue
from channels.connectors.amazon.client import Call, Exists, NotThere, SellingPartnerApi
from channels.connectors.base import SubscriptionProblem
from channels.connectors.messages import read_objects, read_part, read_text
from channels.errors import TransientError

_BUCKET: Final = "notifications"
_DESTINATIONS: Final = "/notifications/v1/destinations"
_SUBSCRIPTIONS: Final = "/notifications/v1/subscriptions"
_NO_QUEUE: Final = SubscriptionProblem(
    "queue",
    "no queue is set up, so that orders are only polled",
    "enter the queue's URL and both AWS keys, then press Register webhooks",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A type of notification that we need."""

    topic: str
    version: str = "1.0"
    directive: Mapping[str, Any] | None = None


def register(api: SellingPartnerApi, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Creates what is missing and redirects what leads elsewhere; returns the subscriptions' ids by type."""
    destination = _our_destination(api) or _create_destination(api)
    return {each.topic: _subscribed(api, each, destination) for each in wanted}


def audit(
    api: SellingPartnerApi, wanted: Sequence[Wanted], kept: Mapping[str, str]
) -> list[SubscriptionProblem]:
    """Compares the subscriptions with what we need; empty when all is well."""
    if not queue.has_queue(api.account):
        return [_NO_QUEUE]
    destination = _our_destination(api)
    if not destination:
        return [
            SubscriptionProblem("queue", "Amazon does not know the queue", "register it as a destination")
        ]
    found = {each.topic: _found(api, each) for each in wanted}
    return [
        SubscriptionProblem(topic, *problem)
        for topic, subscription in found.items()
        if (problem := _problem(subscription, destination, kept.get(topic, "")))
    ]


def _problem(subscription: Mapping[str, Any] | None, destination: str, kept: str) -> tuple[str, str] | None:
    if subscription is None:
        return "there is no subscription", "create it"
    if read_text(subscription, "destinationId") != destination:
        return "it leads to another queue", "redirect it"
    if read_text(subscription, "subscriptionId") != kept:
        return "its id is not the one that is kept", "keep its id"
    return None


# -- destinations


def _our_destination(api: SellingPartnerApi) -> str:
    """Returns the id of the destination that is our queue; empty where there is none."""
    arn = queue.address_of(api.account).arn
    body = api.call_without_grant(Call("GET", _DESTINATIONS, _BUCKET))
    for each in read_objects(body, "payload"):
        if read_text(read_part(read_part(each, "resource"), "sqs"), "arn") == arn:
            return read_text(each, "destinationId")
    return ""


def _create_destination(api: SellingPartnerApi) -> str:
    arn = queue.address_of(api.account).arn
    name = f"OneCount {arn.rpartition(':')[2]}"[:256]
    body = {"name": name, "resourceSpecification": {"sqs": {"arn": arn}}}
    try:
        answer = api.call_without_grant(Call("POST", _DESTINATIONS, _BUCKET, body=body))
    except Exists:
        return _required(_our_destination(api))
    return _required(read_text(read_part(answer, "payload"), "destinationId"))


# -- subscriptions


def _found(api: SellingPartnerApi, wanted: Wanted) -> dict[str, Any] | None:
    try:
        body = api.read(_path(wanted), {"payloadVersion": wanted.version}, bucket=_BUCKET)
    except NotThere:
        return None
    found = dict(read_part(body, "payload"))
    return found or None


def _subscribed(api: SellingPartnerApi, wanted: Wanted, destination: str) -> str:
    found: Mapping[str, Any] | None = _found(api, wanted)
    if found is not None and read_text(found, "destinationId") != destination:
        identity = quote(read_text(found, "subscriptionId"), safe="")
        api.call_without_grant(Call("DELETE", f"{_path(wanted)}/{identity}", _BUCKET))
        found = None
    return _required(read_text(found or _create(api, wanted, destination), "subscriptionId"))


def _create(api: SellingPartnerApi, wanted: Wanted, destination: str) -> Mapping[str, Any]:
    body: dict[str, Any] = {"payloadVersion": wanted.version, "destinationId": destination}
    if wanted.directive:
        body["processingDirective"] = wanted.directive
    try:
        return read_part(api.call(Call("POST", _path(wanted), _BUCKET, body=body)), "payload")
    except Exists:
        return _found(api, wanted) or {}


def _path(wanted: Wanted) -> str:
    return f"{_SUBSCRIPTIONS}/{quote(wanted.topic, safe='')}"


def _required(identity: str) -> str:
    if not identity:
        raise TransientError("Amazon made a subscription or destination and named no id.")
    return identity
