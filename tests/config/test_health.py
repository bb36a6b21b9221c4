"""Whoever asks learns whether the process is up and whether it can serve."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django_q.models import Failure, OrmQ, Schedule, Success

from channels import heartbeats


def test_the_process_says_that_it_is_up_without_a_database_and_to_any_host(client: Client) -> None:
    response = client.get("/healthz", headers={"host": "10.0.0.7"})
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client: Client) -> None:
    response = client.get("/readyz")
    answer = response.json()
    assert (response.status_code, answer["database"], answer["migrations"]) == (200, True, True)


@pytest.mark.django_db
def test_processes_that_stand_still_are_named_and_the_web_stays_in_service(client: Client) -> None:
    heartbeats.forget_beats()
    heartbeats.beat(heartbeats.JOBS)
    response = client.get("/readyz")
    processes = response.json()["processes"]
    assert (response.status_code, processes["jobs"], processes["pusher"]) == (200, True, False)


@pytest.mark.django_db
def test_a_missing_migration_is_not_ready() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'config'")
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": True, "migrations": False})


@pytest.mark.django_db
def test_an_unreachable_database_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    response = Client().get("/readyz")
    monkeypatch.undo()
    assert (response.status_code, response.json()) == (503, {"database": False, "migrations": None})


def test_the_pages_of_the_job_queue_are_closed() -> None:
    assert not {Failure, OrmQ, Schedule, Success} & set(admin.site._registry)
