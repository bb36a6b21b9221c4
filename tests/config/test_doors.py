"""What every door of the web refuses before it reads, and what every page tells the browser."""

import io
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.back_office import person
from tests.config.api.endpoints import endpoints

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def read(self, *args: Any) -> bytes:
        raise AssertionError("The body was read.")

    readline = readlines = read  # type: ignore[assignment]


def post(client: Client, path: str, length: int, content_type: str = "application/json") -> Any:
    stated: Any = {"wsgi.input": Unread(), "CONTENT_LENGTH": str(length), "CONTENT_TYPE": content_type}
    return client.generic("POST", path, **stated)


def doors() -> list[str]:
    """Returns every address that takes a body: pages of the back office, the API, webhooks, the login."""
    forms = [reverse(f"admin:{m._meta.app_label}_{m._meta.model_name}_add") for m in admin.site._registry]
    writes = [each.path.replace("{id}", "1") for each in endpoints() if each.method in {"POST", "PATCH"}]
    files = [reverse("admin:channels_import_ranks"), reverse("admin:analytics_import_tickets")]
    return [*forms, *writes, *files, reverse("admin:login"), "/webhooks/somebody/", "/nowhere/"]


def test_a_body_that_is_too_large_is_refused_unread_at_every_door(client: Client, settings: Settings) -> None:
    client.force_login(person("superuser"))
    for path in doors():
        for content_type in ("application/json", "multipart/form-data; boundary=x"):
            answer = post(client, path, settings.LARGEST_UPLOAD + 1, content_type)
            assert answer.status_code == 413, path
            kind = "application/problem+json" if path.startswith("/api/") else "text/plain"
            assert answer["Content-Type"] == kind


def test_a_form_without_files_takes_less(client: Client, settings: Settings) -> None:
    client.force_login(person("superuser"))
    form = {"username": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}
    assert client.post(reverse("admin:login"), form).status_code == 400


@pytest.mark.parametrize(
    "path", ["/admin/channels/channel/%00/change/", "/webhooks/%00/", "/admin/unmapped/?q=%00"]
)
def test_an_address_with_a_nul_is_refused(client: Client, path: str) -> None:
    assert client.get(path).status_code == 400


def test_pages_may_load_from_here_alone_and_be_framed_by_nobody(client: Client) -> None:
    client.force_login(person("superuser"))
    for path in (reverse("admin:index"), reverse("admin:channels_channel_changelist"), "/api/v1/docs"):
        answer = client.get(path)
        policy = dict(each.split(" ", 1) for each in answer["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe-inline" not in policy["script-src"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in answer["Permissions-Policy"]
    assert client.get(reverse("admin:index"))["X-Frame-Options"] == "DENY"
    assert "no-store" in client.get(reverse("admin:index"))["Cache-Control"]
    assert "Content-Security-Policy" not in client.get("/api/v1/openapi.json")


def test_no_page_holds_a_script_of_its_own(client: Client) -> None:
    """It would not run."""
    client.force_login(person("superuser"))
    for path in (reverse("admin:index"), reverse("admin:channels_channel_changelist"), "/api/v1/docs"):
        text = client.get(path).content.decode()
        opened = [piece.split(">", 1)[0] for piece in text.split("<script")[1:]]
        assert opened, path
        assert [each for each in opened if "src=" not in each and "application/json" not in each] == []


def test_the_cookies_are_kept_from_scripts_and_other_sites(client: Client, settings: Settings) -> None:
    client.get(reverse("admin:login"))
    client.force_login(person("superuser"))
    assert client.cookies["csrftoken"]["httponly"]
    assert client.cookies["csrftoken"]["samesite"] == "Lax"
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == "Lax"
    assert settings.SESSION_COOKIE_AGE == 12 * 3600
