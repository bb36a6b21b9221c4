"""Signs what we post to others, and checks what others post, by the rules of Standard Webhooks (specification 1.0.0).

A secret is `whsec_` and the base64 of its bytes. What is signed is id, time stamp and body, joined by dots, with
HMAC-SHA256; several secrets give several signatures, so that a receiver may change over in peace.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from channels.errors import BadSignature

_PREFIX: Final = "whsec_"
#: Bytes of a secret of ours; the rules want 24 to 64.
_SECRET_BYTES: Final = 32
#: How far the time of an attempt may lie from ours.
TOLERANCE: Final = timedelta(minutes=5)
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


def new_secret() -> str:
    """Returns a secret to sign with."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(
    signing_secrets: Sequence[str], message_id: str, sent_at: datetime, body: bytes
) -> dict[str, str]:
    """Returns the headers that prove a message: its id, when this attempt was made, and a signature for each secret."""
    timestamp = str(int(sent_at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [_signature(_key(secret), signed) for secret in signing_secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def check_signature(
    signing_secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: datetime
) -> str:
    """Returns the id of a message that one of these secrets signed within the last minutes. Raises `BadSignature`.

    `headers` have lower-case names. Signatures of versions that are not known are passed over.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise BadSignature("The message is older or newer than the tolerance allows; check the clocks.")
    signed = f"{message_id}.{timestamp}.".encode() + body
    given = [text.encode() for text in headers.get("webhook-signature", "").split() if text.startswith("v1,")]
    keys = [key for secret in signing_secrets if (key := _known_key(secret)) is not None]
    matches = [hmac.compare_digest(_signature(key, signed).encode(), each) for key in keys for each in given]
    if not any(matches):
        raise BadSignature
    return message_id


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _known_key(secret: str) -> bytes | None:
    """Returns the bytes of a secret; None for a text that is none, with which nothing was signed."""
    try:
        return _key(secret)
    except ValueError:
        return None


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("A webhook secret is whsec_ followed by base64.") from None
