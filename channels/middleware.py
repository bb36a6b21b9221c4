"""The short way in for platforms, which need nothing of what pages for people need."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

#: Where webhooks are delivered, as `channels.urls` has it.
_PREFIX: Final = "/webhooks/"


class WebhookMiddleware:
    """Answers webhooks before sessions, messages, cookies and compression are prepared.

    Checks of host and scheme come before it, and the view checks the rest itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Returns the webhook's answer, or that of the pages."""
        if not request.path_info.startswith(_PREFIX):
            return self._get_response(request)
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return self._get_response(request)
        answer: HttpResponse = match.func(request, *match.args, **match.kwargs)
        return answer
