"""Signing in: too many attempts keep out for a while, whoever tries and however fast."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings

from config import logins
from config.logins import LoginForm
from config.models import LoginAttempts

pytestmark = pytest.mark.django_db

RIGHT, WRONG = "a long right password", "a long wrong password"
ALLOWED = logins.MOST_FROM_ADDRESS_UNDER_NAME


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_superuser("anna", password=RIGHT)


@pytest.fixture
def sign_in(client: Client) -> Callable[..., str]:
    """Tries to sign in; returns what came of it: `in`, `wrong` or `refused`."""

    def sign_in(password: str, *, name: str = "anna", address: str = "192.0.2.1", **headers: str) -> str:
        entered = {"username": name, "password": password}
        answer = client.post(reverse("admin:login"), entered, REMOTE_ADDR=address, headers=headers)
        if answer.status_code == 302:
            return "in"
        return "refused" if "Too many attempts" in answer.content.decode() else "wrong"

    return sign_in


def test_after_too_many_attempts_the_right_password_is_refused_too(sign_in: Callable[..., str]) -> None:
    assert [sign_in(WRONG) for _ in range(ALLOWED)] == ["wrong"] * ALLOWED
    assert sign_in(RIGHT) == "refused"
    assert sign_in(RIGHT, name="ANNA") == "refused"
    assert sign_in(RIGHT, address="192.0.2.2") == "in"


def test_signing_in_forgets_what_went_wrong_before(sign_in: Callable[..., str]) -> None:
    for _ in range(3):
        assert [sign_in(WRONG) for _ in range(ALLOWED - 1)] == ["wrong"] * (ALLOWED - 1)
        assert sign_in(RIGHT) == "in"


def test_it_is_over_after_a_while_and_forgotten(sign_in: Callable[..., str]) -> None:
    for _ in range(ALLOWED + 1):
        sign_in(WRONG)
    for row in LoginAttempts.objects.all():
        LoginAttempts.objects.filter(pk=row.pk).update(since=row.since - logins.WINDOW)
    assert sign_in(RIGHT) == "in"
    assert not LoginAttempts.objects.filter(attempts__gt=1).exists()


def test_many_names_from_one_address_and_many_addresses_for_one_name_are_bounded(
    sign_in: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "MOST_FROM_ADDRESS", 3)
    assert [sign_in(WRONG, name=f"name-{n}") for n in range(4)] == [*["wrong"] * 3, "refused"]
    monkeypatch.setattr(logins, "MOST_UNDER_NAME", 3)
    addresses = [f"198.51.100.{n}" for n in range(4)]
    assert [sign_in(WRONG, address=each) for each in addresses] == [*["wrong"] * 3, "refused"]


def test_what_people_type_is_not_kept(sign_in: Callable[..., str]) -> None:
    sign_in(WRONG, name="a-password-in-the-wrong-field")
    assert "password" not in str(list(LoginAttempts.objects.values()))


def test_behind_our_proxy_its_word_counts_and_that_of_callers_does_not(
    sign_in: Callable[..., str], settings: Settings
) -> None:
    def forwarded(number: int) -> dict[str, str]:
        return {"X-Forwarded-For": f"made-up-{number}, 203.0.113.7"}

    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert [sign_in(WRONG, **forwarded(n)) for n in range(ALLOWED + 1)] == [*["wrong"] * ALLOWED, "refused"]
    assert sign_in(RIGHT, **{"X-Forwarded-For": "203.0.113.8"}) == "in"
    settings.SECURE_PROXY_SSL_HEADER = None
    direct = [sign_in(WRONG, **{"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(ALLOWED + 1)]
    assert direct[-1] == "refused"


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_are_not_one_more_chance() -> None:
    start = threading.Barrier(ALLOWED + 4)
    came: list[str] = []

    def attempt() -> None:
        try:
            request = RequestFactory().post("/admin/login/", REMOTE_ADDR="192.0.2.9")
            form = LoginForm(request, {"username": "anna", "password": WRONG})
            start.wait()
            form.is_valid()
            errors: Any = form.errors
            came.append("refused" if "Too many attempts" in str(errors) else "wrong")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=attempt) for _ in range(ALLOWED + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == [*["refused"] * 4, *["wrong"] * ALLOWED]
