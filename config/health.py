"""Answers whether the process is up and whether it can serve, to whoever asks.

Load balancers ask by address rather than by name, without TLS, and often. The answers therefore come before
the checks of host and scheme, and say nothing but yes or no. The web can serve while other processes stand still, so that
what they do is told and refuses nobody. Prometheus is answered here too, but not just anybody
(`config.metrics`).
"""

from collections.abc import Callable, Mapping
from typing import Final

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from config.metrics import metrics

#: Says of each process beside the web whether it works.
Signs = Callable[[], Mapping[str, bool]]

_signs: Final[list[Signs]] = []


def add_signs(signs: Signs) -> None:
    """Has `/readyz` tell of processes; called once, when an app is loaded."""
    if signs not in _signs:
        _signs.append(signs)


class HealthMiddleware:
    """Answers `/healthz`, `/readyz` and `/metrics`, and passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._answers: dict[str, Callable[[HttpRequest], HttpResponse]] = {
            "/healthz": healthz,
            "/readyz": Readiness(),
            "/metrics": metrics,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Returns the answer for this path."""
        answer = self._answers.get(request.path_info, self._get_response)
        return answer(request)


def healthz(_request: HttpRequest) -> HttpResponse:
    """Answers 200: this process takes requests."""
    return HttpResponse("ok\n", content_type="text/plain")


class Readiness:
    """Answers 200 when the database is reached and migrated, else 503; names which of the two fails, and what stands still."""

    def __init__(self) -> None:
        # Reading the migration files is slow, and once applied they stay so while this code runs.
        self._was_migrated = False

    def __call__(self, _request: HttpRequest) -> HttpResponse:
        """Returns the answer as JSON."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self._was_migrated = self._was_migrated or is_migrated()
            if not self._was_migrated:
                return JsonResponse({"database": True, "migrations": False}, status=503)
            processes = {name: works for signs in _signs for name, works in signs().items()}
        except DatabaseError:
            return JsonResponse({"database": False, "migrations": None}, status=503)
        return JsonResponse({"database": True, "migrations": True, "processes": processes})


def is_migrated() -> bool:
    """Returns whether every migration of this code is applied."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
