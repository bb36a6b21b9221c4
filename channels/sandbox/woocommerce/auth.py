"""Who may call a WooCommerce shop: Basic behind TLS, OAuth 1.0a one-legged over plain http.

Source: WooCommerce REST API authentication (docs and `class-wc-rest-authentication.php`).
"""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from channels.sandbox.httpd import Request

WINDOW_SECONDS: Final = 15 * 60
_DIGESTS: Final = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}
_REQUIRED: Final = (
    "oauth_consumer_key",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
)


class Door:
    """Checks callers against the shop's one key pair; remembers nonces for the length of the window."""

    def __init__(self, consumer_key: str, consumer_secret: str) -> None:
        self._key = consumer_key
        self._secret = consumer_secret
        self._nonces: dict[str, float] = {}
        self._lock = threading.Lock()

    def refusal(self, request: Request, base_url: str) -> tuple[str, str] | None:
        """Returns the error code and message for a caller who may not come in; None for one who may."""
        is_tls = request.headers.get("x-forwarded-proto") == "https"
        if is_tls and self._is_basic(request):
            return None
        parameters = _oauth_parameters(request)
        if not parameters:
            return "woocommerce_rest_cannot_view", "Sorry, you cannot list resources."
        missing = [name for name in _REQUIRED if name not in parameters]
        if missing:
            return (
                "woocommerce_rest_authentication_missing_parameter",
                f"Missing OAuth parameter {missing[0]}",
            )
        scheme = base_url.replace("http://", "https://", 1) if is_tls else base_url
        return self._oauth_refusal(request, parameters, scheme + request.path)

    def _is_basic(self, request: Request) -> bool:
        query = request.query
        if query.get("consumer_key") == self._key and query.get("consumer_secret") == self._secret:
            return True
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            return False
        return kind.lower() == "basic" and hmac.compare_digest(pair, f"{self._key}:{self._secret}")

    def _oauth_refusal(
        self, request: Request, parameters: Mapping[str, str], url: str
    ) -> tuple[str, str] | None:
        if parameters["oauth_consumer_key"] != self._key:
            return "woocommerce_rest_authentication_error", "Consumer key is invalid."
        if parameters["oauth_signature_method"] not in _DIGESTS:
            return "woocommerce_rest_authentication_error", "Invalid signature - signature method is invalid."
        expected = signature(request.method, url, parameters, self._secret)
        if not hmac.compare_digest(expected, parameters["oauth_signature"]):
            message = "Invalid signature - provided signature does not match."
            return "woocommerce_rest_authentication_error", message
        return self._replay(parameters)

    def _replay(self, parameters: Mapping[str, str]) -> tuple[str, str] | None:
        now = time.time()
        stamp, nonce = parameters["oauth_timestamp"], parameters["oauth_nonce"]
        if not stamp.isdigit() or abs(now - int(stamp)) > WINDOW_SECONDS:
            return "woocommerce_rest_authentication_error", "Invalid timestamp."
        with self._lock:
            if nonce in self._nonces:
                return "woocommerce_rest_authentication_error", "Invalid nonce - nonce has already been used."
            self._nonces[nonce] = now
            while self._nonces and next(iter(self._nonces.values())) < now - 2 * WINDOW_SECONDS:
                del self._nonces[next(iter(self._nonces))]
        return None


def _oauth_parameters(request: Request) -> dict[str, str]:
    """The parameters of a signed call, from the query or the header; empty when it is not signed."""
    query = request.query
    if "oauth_signature" in query or "oauth_consumer_key" in query:
        return query
    return {}


def signature(method: str, url: str, parameters: Mapping[str, str], secret: str) -> str:
    """Returns the OAuth 1.0a signature of a call (RFC 5849, 3.4), keyed with the consumer secret alone."""
    pairs = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in parameters.items()
        if name != "oauth_signature"
    )
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    text = "&".join((method.upper(), quote(url, safe="~"), quote(joined, safe="~")))
    digest = _DIGESTS[parameters["oauth_signature_method"]]
    return base64.b64encode(hmac.new(f"{secret}&".encode(), text.encode(), digest).digest()).decode()
