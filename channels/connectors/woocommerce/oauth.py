"""OAuth 1.0a, one-legged, in the query string: what WooCommerce asks for over plain http (RFC 5849)."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import quote


def signed_parameters(
    method: str,
    url: str,
    parameters: Mapping[str, str],
    credentials: tuple[str, str],
    *,
    timestamp: int | None = None,
    nonce: str = "",
) -> dict[str, str]:
    """Returns the query parameters of a call with key, time, nonce and HMAC-SHA256 signature added.

    `url` carries no query of its own. The shop refuses a nonce seen before and a time more than 15 minutes
    off, so each call is signed anew.
    """
    key, secret = credentials
    signed = {
        **parameters,
        "oauth_consumer_key": key,
        "oauth_nonce": nonce or secrets.token_hex(16),
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(int(time.time()) if timestamp is None else timestamp),
    }
    base = "&".join([method.upper(), _encode(url), _encode(_normalise(signed))])
    digest = hmac.new(f"{secret}&".encode(), base.encode(), hashlib.sha256).digest()
    return {**signed, "oauth_signature": base64.b64encode(digest).decode()}


def _normalise(parameters: Mapping[str, str]) -> str:
    pairs = sorted((_encode(name), _encode(value)) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _encode(text: str) -> str:
    return quote(text, safe="-._~")
