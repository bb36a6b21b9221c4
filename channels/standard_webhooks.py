"""Signs what we post to others by the rules of Standard Webhooks (standardwebhooks.com, specification 1.0.0).

A secret is `whsec_` and the base64 of its bytes. What is signed is id, time stamp and body, joined by dots, with
HMAC-SHA256; several secrets give several signatures, so that a receiver may change over in peace.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

_PREFIX: Final = "whsec_"
#: Bytes of a secret of ours; the rules want 24 to 64.
_SECRET_BYTES: Final = 32


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


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("A webhook secret is whsec_ followed by base64.") from None
