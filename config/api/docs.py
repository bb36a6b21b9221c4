"""The description of the API, as OpenAPI 3.1 and as a page to read; all of it is served from here."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation

from config.api.problems import MEDIA_TYPE, NOT_FOUND, Problem


class Description(SpectacularAPIView):
    """The description, for machines."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = [OpenApiJsonRenderer]


class Page(SpectacularSwaggerSplitView):
    """The description, for people; its script comes apart, since no page runs what stands in it."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = DefaultContentNegotiation
    url_name = "api-description"


@csrf_exempt
def nothing_here(request: HttpRequest, path: str = "") -> JsonResponse:
    """Answers an address that leads nowhere."""
    problem = Problem(NOT_FOUND, "This address leads nowhere.")
    return JsonResponse(problem.body, status=problem.status_code, content_type=MEDIA_TYPE)
