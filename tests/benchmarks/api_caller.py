"""Calls the API through Django's handler with all middleware, as a web server would, without what carries requests to it."""

import io
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIHandler

from inventory.access import KeyTerms, issue
from inventory.models import Merchant
from inventory.models.access import LARGEST_RATE

#: Keys that take turns, so that their rate limits nobody.
KEYS: Final = 8


class Caller:
    """Has keys of a merchant that may do everything."""

    def __init__(self, merchant: Merchant) -> None:
        terms = KeyTerms("benchmark", ["owner"], requests_per_minute=LARGEST_RATE)
        self._keys = itertools.cycle([issue(merchant, terms, by="benchmark")[1] for _ in range(KEYS)])
        self._handler = WSGIHandler()

    def get(self, path: str, query: Any = ()) -> bytes:
        """Reads, and returns the body."""
        return self._call("GET", path, urlencode(query, doseq=True))

    def post(self, path: str, body: Any, **headers: str) -> bytes:
        """Writes, and returns the body."""
        return self._call("POST", path, body=json.dumps(body).encode(), **headers)

    def _call(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> bytes:
        """Sends one request; anything but success ends the benchmark."""
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {next(self._keys)}",
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
        }

        def start(status: str, headers: Any, info: Any = None, /) -> Callable[[bytes], object]:
            statuses.append(status)
            return len

        response = self._handler(environ, start)
        content = b"".join(response)
        response.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"{path}: {statuses[0]} {content[:300]!r}")
        return content
