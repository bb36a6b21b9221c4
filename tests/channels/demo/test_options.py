"""What demo and replay share: the login that is kept, the address the shops deliver to, the live line."""

import os
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import authenticate, get_user_model
from pytest_django import Settings

from channels.demo.options import allow_simulated_shops, ensure_login, reporter


@pytest.fixture
def data_directory(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


@pytest.mark.django_db
def test_the_login_works_and_is_the_same_at_the_next_start(data_directory: Path) -> None:
    name, password = ensure_login()

    assert ensure_login() == (name, password)
    user = get_user_model().objects.get(username=name)
    assert user.is_superuser
    assert user.check_password(password)
    assert authenticate(username=name, password=password) == user


@pytest.mark.django_db
def test_a_password_that_was_changed_meanwhile_is_the_printed_one_again(data_directory: Path) -> None:
    name, password = ensure_login()
    user = get_user_model().objects.get(username=name)
    user.set_password("something else")
    user.save()

    ensure_login()

    user.refresh_from_db()
    assert user.check_password(password)


@pytest.mark.django_db
def test_nobody_else_on_the_machine_can_read_the_password(data_directory: Path) -> None:
    _, password = ensure_login()

    file = data_directory / "demo-password"
    assert file.read_text() == password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(password) >= 12


def test_shops_on_the_loopback_are_allowed_here_and_in_the_processes_started_from_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = False
    settings.PUBLIC_URL = ""
    monkeypatch.setenv("PUBLIC_URL", "")
    monkeypatch.setenv("ONECOUNT_ALLOW_LOOPBACK_PLATFORMS", "")

    allow_simulated_shops("127.0.0.1", 8765)

    assert django_settings.ALLOW_LOOPBACK_PLATFORMS
    assert django_settings.PUBLIC_URL == "http://127.0.0.1:8765" == os.environ["PUBLIC_URL"]
    assert os.environ["ONECOUNT_ALLOW_LOOPBACK_PLATFORMS"] == "true"


class Screen(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_the_live_line_is_written_over_itself_on_a_terminal_and_not_at_all_elsewhere() -> None:
    file, screen = StringIO(), Screen()

    for stream in (file, screen):
        reporter(stream)("2.0 orders/s")

    assert file.getvalue() == ""
    assert screen.getvalue() == "\r\x1b[2K2.0 orders/s"
