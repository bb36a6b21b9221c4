"""Where platforms deliver: verified on the raw bytes, stored, committed, and only then answered with 200."""

from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from channels import error_log
from channels.accounts import addressed_channel, forget_channel, webhook_url
from channels.connectors.base import InboundRequest
from channels.deliveries import accept
from channels.errors import BadMessage, BadSignature, ConnectorError
from channels.health import note_webhook
from channels.models import Channel

#: Larger than an order of a thousand lines.
LARGEST_BODY: Final = 5 * 1024 * 1024
#: Pings are forms; some platforms send versioned media types ending in `+json`.
_CONTENT_TYPES: Final = ("application/json", "application/x-www-form-urlencoded")

log = structlog.get_logger(__name__)


@csrf_exempt
def webhook(request: HttpRequest, public_id: str) -> HttpResponse:
    """Takes one message of the channel whose unguessable id stands in the address.

    200 stored (or known before, or a ping), 400 unreadable, 401 not authentic, 404 no such channel, 405 not a
    POST, 413 too large, 415 not JSON, 503 could not be checked or stored: send again.
    """
    if request.method != "POST":
        return _answer(405, "Only POST is accepted here.", Allow="POST")
    try:
        return _receive(request, public_id)
    except BadSignature as error:
        return _answer(401, str(error))
    except (BadMessage, UnreadablePostError) as error:
        return _answer(400, str(error) or "The body ended too early.")
    except (DatabaseError, InterfaceError, ConnectorError) as error:
        log.error("webhook_not_taken", error=str(error))
        return _answer(503, "The message cannot be stored now; send it again.", **{"Retry-After": "5"})


def _receive(request: HttpRequest, public_id: str) -> HttpResponse:
    channel = addressed_channel(public_id)
    if channel is None:
        return _answer(404, "There is no such channel.")
    if not _is_readable_type(request.content_type or ""):
        return _answer(415, "Only JSON is accepted here.")
    body = _body(request)
    if body is None:
        return _answer(413, f"At most {LARGEST_BODY} bytes are accepted.")
    try:
        _accept(channel, _inbound(channel, request, body))
    except (BadSignature, BadMessage) as error:
        error_log.note_refused_webhook(channel.pk, error)
        raise
    note_webhook(channel.pk)
    return _answer(200, "OK")


def _accept(channel: Channel, request: InboundRequest) -> None:
    """Takes a message; one whose signature does not fit is checked once more by the secrets as they are now."""
    try:
        accept(channel, request)
    except BadSignature:
        forget_channel(channel.public_id)
        anew = addressed_channel(channel.public_id)
        if anew is None or anew.credentials == channel.credentials:
            raise
        accept(anew, request)


def _is_readable_type(content_type: str) -> bool:
    return content_type in _CONTENT_TYPES or content_type.endswith("+json")


def _body(request: HttpRequest) -> bytes | None:
    """Returns the raw body; None where it is too large, which is seen before it is read."""
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > LARGEST_BODY:
        return None
    body = request.read(LARGEST_BODY + 1)
    return None if len(body) > LARGEST_BODY else body


def _inbound(channel: Channel, request: HttpRequest, body: bytes) -> InboundRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return InboundRequest(headers=headers, body=body, received_at=timezone.now(), url=webhook_url(channel))


def _answer(status: int, text: str, **headers: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)
