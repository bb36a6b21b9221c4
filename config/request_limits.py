"""Refuses what no door takes, before a byte of it is read: bodies that are too large, addresses that no database can look up.

Doors have smaller limits of their own: webhooks 5 MiB, the API and forms without files `DATA_UPLOAD_MAX_MEMORY_SIZE`. A body
without a length is read as an empty one.
"""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from config.api.problems import MEDIA_TYPE, TOO_LARGE, Problem

_API: Final = "/api/"
#: Doors that say in their own form what is wrong with a question.
_SPEAK_FOR_THEMSELVES: Final = (_API, "/wholesale/")


class RequestLimitsMiddleware:
    """Stands before everything that reads a request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Returns the refusal, or the answer of what comes behind."""
        if _length(request) > settings.LARGEST_UPLOAD:
            return _too_large(request)
        if _holds_nul(request):
            return HttpResponse("The address holds a NUL character.\n", status=400, content_type="text/plain")
        return self._get_response(request)


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text[:20]) if text.isascii() and text.isdecimal() else 0


def _holds_nul(request: HttpRequest) -> bool:
    """Tells whether path or query hold a NUL, where nobody else says so."""
    is_held = "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")
    return is_held and not request.path_info.startswith(_SPEAK_FOR_THEMSELVES)


def _too_large(request: HttpRequest) -> HttpResponse:
    if request.path_info.startswith(_API):
        problem = Problem(TOO_LARGE)
        return JsonResponse(problem.body, status=problem.status_code, content_type=MEDIA_TYPE)
    text = f"At most {settings.LARGEST_UPLOAD // 1024 // 1024} MiB are accepted. Send it in several parts.\n"
    return HttpResponse(text, status=413, content_type="text/plain")
