"""The paths of the program, and a view that does nothing."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as usual


def bare(request: HttpRequest) -> HttpResponse:
    """Answers with nothing."""
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [path("bare", bare), *usual]
