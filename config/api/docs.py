"""The description of the API, as OpenAPI 3.1 and as a page to read; all of it is served from here."""

import hashlib
from functools import cache
from typing import Final, cast

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import bad_request
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from config.api.problems import INVALID, MEDIA_TYPE, NOT_FOUND, Problem

_API: Final = "/api/"


class Description(APIView):
    """The description, for machines. It is the same for everybody, and made once by each process."""

    authentication_classes = ()
    permission_classes = ()
    schema = None
    http_method_names = ["get", "head"]

    def get(self, request: Request) -> HttpResponse:
        """Returns it, or 304 to whoever has it already."""
        text, tag = _described()
        answer = HttpResponse(text, content_type=OpenApiJsonRenderer.media_type, headers={"ETag": tag})
        return cast(HttpResponse, get_conditional_response(request._request, etag=tag, response=answer))


@cache
def _described() -> tuple[bytes, str]:
    """Returns the description and its tag. Making it takes a second or more, which nobody without a key may cost us twice."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    text: bytes = JSONRenderer().render(schema)
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


class Page(SpectacularSwaggerSplitView):
    """The description, for people; its script comes apart, since no page runs what stands in it."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = DefaultContentNegotiation
    url_name = "api-description"


@csrf_exempt
def nothing_here(request: HttpRequest, path: str = "") -> JsonResponse:
    """Answers an address that leads nowhere."""
    return _refusal(Problem(NOT_FOUND, "This address leads nowhere."))


def refused_early(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answers a request that is refused before it reaches an endpoint, such as one to a host that is not ours."""
    if not request.path_info.startswith(_API):
        return bad_request(request, exception)
    if isinstance(exception, DisallowedHost):
        return _refusal(Problem(INVALID, "No host of this server is named so.", field="Host"))
    return _refusal(Problem(INVALID))


def _refusal(problem: Problem) -> JsonResponse:
    return JsonResponse(problem.body, status=problem.status_code, content_type=MEDIA_TYPE)
