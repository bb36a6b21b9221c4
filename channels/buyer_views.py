"""Where wholesale buyers' systems ask for stock and order: a few addresses of one channel, with one key.

Refusals are problem+json as everywhere in the API. Orders are told in the form that their webhooks have.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import structlog
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from channels import buyer_holds, limits
from channels.buyers import NotOffered, Offer, channel_of_buyer, find_order, offers, place_order
from channels.connectors.base import RateLimit
from channels.connectors.messages import parse_json, read_text, reduce_fields
from channels.connectors.wholesale.orders import FIELDS, order_state
from channels.errors import BadMessage, ChannelError
from channels.models import Channel, ChannelOrder
from channels.views import LARGEST_BODY
from config.api.problems import (
    BUSY,
    INVALID,
    MEDIA_TYPE,
    NO_KEY,
    NO_METHOD,
    NOT_FOUND,
    REFUSED,
    TOO_LARGE,
    TOO_MANY,
    Kind,
    Problem,
    problem_of,
)
from inventory.errors import StockError

log = structlog.get_logger(__name__)

MOST_SKUS: Final = 200
#: Requests at once, and a second; counted by all processes together.
_RATE: Final = RateLimit(capacity=60, refill_per_second=10)
_BUCKET: Final = "buyers"
#: Fields of an order that only a request has.
_TAKES_LESS: Final = "takes_less"

View = Callable[..., HttpResponse]
Handler = Callable[..., dict[str, Any]]


def _for_buyers(*methods: str) -> Callable[[Handler], View]:
    """Makes a function of channel and request an address: key, rate and refusals are taken care of."""

    def decorate(handler: Handler) -> View:
        @csrf_exempt
        @wraps(handler)
        def view(request: HttpRequest, public_id: str, **named: str) -> HttpResponse:
            try:
                channel = _admitted(request, public_id, methods)
                return JsonResponse(handler(channel, request, **named))
            except NotOffered as error:
                return _refused(Problem(REFUSED, str(error), offered=error.offered))
            except (BadMessage, UnreadablePostError) as error:
                return _refused(Problem(INVALID, str(error)))
            except (Problem, ChannelError, StockError, DatabaseError) as error:
                return _refused(_problem(error))

        return view

    return decorate


def _admitted(request: HttpRequest, public_id: str, methods: tuple[str, ...]) -> Channel:
    """Returns the channel that the key opens. Raises `Problem`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    channel = channel_of_buyer(public_id, key.strip()) if scheme.lower() == "bearer" else None
    if channel is None:
        raise Problem(NO_KEY)
    if request.method not in methods:
        raise Problem(NO_METHOD)
    wait = limits.spend(channel.pk, _BUCKET, 1, declared=_RATE, priority=True).wait
    if wait:
        raise Problem(TOO_MANY, retry_after=int(wait) + 1)
    return channel


def _problem(error: Exception) -> Problem:
    problem = problem_of(error)
    if problem.kind.status >= 500 and problem.kind is not BUSY:
        log.error("buyers_request_failed", exc_info=error)
    return problem


def _refused(problem: Problem) -> HttpResponse:
    kind: Kind = problem.kind
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
    if kind is NO_KEY:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonResponse(problem.body, status=kind.status, content_type=MEDIA_TYPE, headers=headers)


@_for_buyers("GET", "HEAD")
def stock(channel: Channel, request: HttpRequest) -> dict[str, Any]:
    """Answers `?sku=A&sku=B` with what can be had of each."""
    skus = request.GET.getlist("sku")
    if not 1 <= len(skus) <= MOST_SKUS or any("\x00" in sku for sku in skus):
        raise Problem(INVALID, f"Name 1 to {MOST_SKUS} SKUs.", field="sku")
    found = offers(channel, skus)
    listed = {offer.sku for offer in found}
    return {"stock": list(map(_offer, found)), "unknown": [sku for sku in skus if sku not in listed]}


@_for_buyers("POST")
def orders(channel: Channel, request: HttpRequest) -> dict[str, Any]:
    """Takes an order as it is now; sent again it changes nothing. What was held for it goes into it."""
    sent = _sent(request)
    state = order_state(reduce_fields(sent, FIELDS))
    reference = read_text(sent, "reservation")
    with transaction.atomic(), buyer_holds.handed_over(channel, reference):
        order = place_order(channel, state, takes_less=sent.get(_TAKES_LESS) is True)
    return {"order": _order(order)}


@_for_buyers("GET", "HEAD")
def one_order(channel: Channel, request: HttpRequest, external_id: str) -> dict[str, Any]:
    """Answers how far an order is."""
    order = find_order(channel, external_id)
    if order is None:
        raise Problem(NOT_FOUND)
    return {"order": _order(order)}


@_for_buyers("POST")
def reservations(channel: Channel, request: HttpRequest) -> dict[str, Any]:
    """Holds units for a while, all of them or none."""
    sent = _sent(request)
    units = buyer_holds.hold(channel, sent)
    return {"reservation": {"reference": read_text(sent, "reference"), "held": units}}


@_for_buyers("POST")
def release(channel: Channel, request: HttpRequest, reference: str) -> dict[str, Any]:
    """Gives back what is held under a reference."""
    buyer_holds.release(channel, reference)
    return {"reservation": {"reference": reference, "held": buyer_holds.held(channel, reference)}}


def _sent(request: HttpRequest) -> dict[str, Any]:
    """Returns the object in the body. Raises `BadMessage`, `Problem`."""
    body = request.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise Problem(TOO_LARGE)
    sent = parse_json(body)
    if not isinstance(sent, dict):
        raise BadMessage("The body is not a JSON object.")
    return sent


def _offer(offer: Offer) -> dict[str, Any]:
    number = {} if offer.available is None else {"available": offer.available}
    return {"sku": offer.sku, **number, "span": offer.span, "arrives": offer.arrives}


def _order(order: ChannelOrder) -> dict[str, Any]:
    return {
        "external_id": order.external_id,
        "number": order.number,
        "updated_at": order.updated_at.isoformat() if order.updated_at else None,
        "is_deleted": order.is_deleted,
        "lines": [
            {
                "external_id": line.external_id,
                "sku": line.sku,
                "quantity": line.quantity,
                "cancelled": line.cancelled,
                "fulfilled": max(line.fulfilled, line.applied_fulfilled),
                "is_known": line.variant_id is not None,
            }
            for line in order.lines.order_by("external_id")
        ],
    }
