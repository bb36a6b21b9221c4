"""Headers that tell browsers what pages may do: load from here alone, be framed by nobody, use no device."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

#: Alpine, which the theme is made with, evaluates the expressions in its attributes; styles stand in attributes, too. Scripts
#: that stand in a page itself are not run.
CONTENT_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class PageHeadersMiddleware:
    """Adds the headers to pages; machines have no use for them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Returns the answer with the headers, where it is a page."""
        response = self._get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response
