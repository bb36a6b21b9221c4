"""Combinations of settings that make no sense are reported with what to do about them."""

from collections.abc import Sequence

import pytest
from cryptography.fernet import Fernet
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from pytest_django import Settings

from config import checks


def identifiers(messages: Sequence[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_the_settings_as_they_come_are_in_order() -> None:
    assert run_checks() == []


def test_missing_credential_keys_are_reported(settings: Settings) -> None:
    settings.ONECOUNT_CREDENTIAL_KEYS = []
    assert identifiers(checks.credential_keys_are_usable(None)) == ["config.E001"]


def test_a_broken_credential_key_is_named_by_its_position_and_not_shown(settings: Settings) -> None:
    settings.ONECOUNT_CREDENTIAL_KEYS = [Fernet.generate_key().decode(), "half-a-key"]
    (message,) = checks.credential_keys_are_usable(None)
    assert message.id == "config.E002"
    assert "Key 2" in message.msg
    assert "half-a-key" not in f"{message.msg}{message.hint}"


@pytest.mark.parametrize("address", ["stock.example.com", "ftp://stock.example.com", "https://"])
def test_a_public_url_that_is_no_web_address_is_reported(settings: Settings, address: str) -> None:
    settings.PUBLIC_URL = address
    assert identifiers(checks.public_url_is_a_url(None)) == ["config.E003"]


def test_a_public_host_that_is_not_allowed_is_reported(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://stock.example.com"
    settings.ALLOWED_HOSTS = ["localhost"]
    assert identifiers(checks.public_url_is_a_url(None)) == ["config.E004"]
    settings.ALLOWED_HOSTS = [".example.com"]
    assert checks.public_url_is_a_url(None) == []


def test_a_direct_url_without_a_database_url_is_reported(settings: Settings) -> None:
    settings.DATABASE_URL = ""
    settings.DATABASE_DIRECT_URL = "postgresql://db/stock"
    assert identifiers(checks.direct_url_has_a_purpose(None)) == ["config.E005"]


@pytest.mark.django_db
def test_an_old_server_is_reported_only_where_the_database_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "MINIMUM_SERVER_VERSION", 990000)
    assert identifiers(checks.server_is_recent_enough(None, databases=["default"])) == ["config.E006"]
    assert checks.server_is_recent_enough(None) == []


@pytest.mark.django_db
def test_the_server_of_the_test_run_is_recent_enough() -> None:
    connection.ensure_connection()
    assert checks.server_is_recent_enough(None, databases=["default"]) == []


def test_a_deployment_with_generated_keys_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.delenv("ONECOUNT_CREDENTIAL_KEYS")
    assert identifiers(checks.secrets_come_from_the_environment(None)) == ["config.E007", "config.E008"]


def test_a_deployment_that_may_call_itself_is_reported(settings: Settings) -> None:
    assert checks.nothing_for_trials_is_switched_on(None) == []
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    assert identifiers(checks.nothing_for_trials_is_switched_on(None)) == ["config.W003"]


def test_a_deployment_without_tls_or_behind_a_silent_proxy_is_reported(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://stock.example.com"
    assert identifiers(checks.platforms_reach_us_over_https(None)) == ["config.W001"]
    settings.PUBLIC_URL = "https://stock.example.com"
    settings.SECURE_PROXY_SSL_HEADER = None
    assert identifiers(checks.platforms_reach_us_over_https(None)) == ["config.W002"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert checks.platforms_reach_us_over_https(None) == []
