"""What Prometheus reads: the apps say what there is to measure, this module knows none of them.

All figures come from the database, so that every web process answers the same and none has to be asked for itself.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

Measure = Callable[[], Iterable[Metric]]

_measures: Final[list[Measure]] = []


def add_measure(measure: Measure) -> None:
    """Has the metrics of an app shown; called once, when the app is loaded."""
    if measure not in _measures:
        _measures.append(measure)


class _Measures(Collector):
    """Collects what all apps measure, at the moment of asking."""

    def collect(self) -> Iterator[Metric]:
        """Yields every metric."""
        for measure in _measures:
            yield from measure()


def rendered() -> bytes:
    """Returns all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Measures())
    return generate_latest(registry)


def metrics(request: HttpRequest) -> HttpResponse:
    """Answers the metrics: 401 without the token, 403 from elsewhere where there is none, 503 without the database."""
    refusal = _refusal(request)
    if refusal is not None:
        return refusal
    try:
        return HttpResponse(rendered(), content_type=CONTENT_TYPE_LATEST)
    except (DatabaseError, InterfaceError):
        return HttpResponse("The database cannot be reached.\n", status=503, content_type="text/plain")


def _refusal(request: HttpRequest) -> HttpResponse | None:
    token: str = settings.METRICS_TOKEN
    if token:
        shown = request.headers.get("Authorization", "").encode()
        if hmac.compare_digest(shown, f"Bearer {token}".encode()):
            return None
        return _refused(401, "Show ONECOUNT_METRICS_TOKEN as a bearer token.")
    if _comes_from_this_machine(request):
        return None
    return _refused(403, "Set ONECOUNT_METRICS_TOKEN to ask from another machine.")


def _refused(status: int, text: str) -> HttpResponse:
    response = HttpResponse(f"{text}\n", status=status, content_type="text/plain")
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _comes_from_this_machine(request: HttpRequest) -> bool:
    """Tells whether nobody stands between: a proxy on this machine says for whom it asks."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
