"""Prometheus is answered; strangers are not."""

import pytest
from django.test import Client
from pytest_django import Settings

pytestmark = pytest.mark.django_db


def test_this_machine_may_ask_where_no_token_is_set(client: Client) -> None:
    response = client.get("/metrics", headers={"host": "10.0.0.7"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    assert b"# TYPE onecount_jobs_waiting gauge" in response.content


@pytest.mark.parametrize(
    "told", [{"REMOTE_ADDR": "203.0.113.9"}, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, {"REMOTE_ADDR": ""}]
)
def test_others_may_not_nor_those_behind_a_proxy(client: Client, told: dict[str, str]) -> None:
    response = client.get("/metrics", **told)  # type: ignore[arg-type]
    assert response.status_code == 403
    assert b"ONECOUNT_METRICS_TOKEN" in response.content


def test_with_a_token_whoever_shows_it_is_answered(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "between us"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
    shown = {"authorization": "Bearer between us"}
    assert client.get("/metrics", headers=shown, REMOTE_ADDR="203.0.113.9").status_code == 200


def test_without_the_database_it_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def unreachable() -> bytes:
        raise OperationalError

    monkeypatch.setattr("config.metrics.rendered", unreachable)
    assert client.get("/metrics").status_code == 503
