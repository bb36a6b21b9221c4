"""The short way to the API, whose callers need nothing of what pages for people need."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.urls import ResolverMatch, resolve

from config.api.parsing import plain_query

_PREFIX: Final = "/api/"


class ApiMiddleware:
    """Answers the API before sessions, cookies, messages and forms are prepared.

    Checks of the scheme come before it, compression lies around it. An address is looked up once: there are so many
    patterns that it takes as long as recognising the key.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._match: Callable[[str], ResolverMatch] = lru_cache(maxsize=2_000)(resolve)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Returns the API's answer, or that of the pages."""
        if not request.path_info.startswith(_PREFIX):
            return self._get_response(request)
        # Refuses hosts that are not ours.
        request.get_host()
        query = plain_query(request.META.get("QUERY_STRING", ""))
        if query is not None:
            request.GET = query  # type: ignore[assignment]  # immutable, as the one that Django makes
        match = request.resolver_match = self._match(request.path_info)
        answer: Any = match.func(request, *match.args, **match.kwargs)
        if hasattr(answer, "render"):
            answer = answer.render()
        if not answer.streaming and "Content-Length" not in answer:
            answer["Content-Length"] = str(len(answer.content))
        found: HttpResponseBase = answer
        return found
