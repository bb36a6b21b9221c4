"""System checks for combinations of settings that make no sense, each with what to do about it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection
from django.http.request import validate_host

from config import environment
from config.database import MINIMUM_SERVER_VERSION

_KEY_HINT = (
    "Make one with: python -c 'from cryptography.fernet import Fernet; "
    "print(Fernet.generate_key().decode())'. "
    "Several are separated by commas; the first encrypts, all decrypt."
)


@register(Tags.security)
def credential_keys_are_usable(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every credential key is a Fernet key, and there is one."""
    keys: list[str] = settings.ONECOUNT_CREDENTIAL_KEYS
    if not keys:
        return [Error("ONECOUNT_CREDENTIAL_KEYS is empty.", hint=_KEY_HINT, id="config.E001")]
    broken = [position for position, key in enumerate(keys, start=1) if not _is_fernet_key(key)]
    return [
        Error(
            f"Key {position} of ONECOUNT_CREDENTIAL_KEYS is not a Fernet key.",
            hint=_KEY_HINT,
            id="config.E002",
        )
        for position in broken
    ]


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


@register(Tags.security)
def public_url_is_a_url(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """`PUBLIC_URL` is an absolute web address, and Django answers under its host."""
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [
            Error(
                f"PUBLIC_URL is not an http or https address: {settings.PUBLIC_URL!r}.",
                hint="Give the address under which platforms reach this server, such as https://stock.example.com.",
                id="config.E003",
            )
        ]
    if not settings.DEBUG and not validate_host(parts.hostname, settings.ALLOWED_HOSTS):
        return [
            Error(
                f"ALLOWED_HOSTS does not hold {parts.hostname}, the host of PUBLIC_URL.",
                hint=f"Add {parts.hostname} to ALLOWED_HOSTS; requests to it are refused otherwise.",
                id="config.E004",
            )
        ]
    return []


@register(Tags.database)
def direct_url_has_a_purpose(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """`DATABASE_DIRECT_URL` only makes sense beside `DATABASE_URL`."""
    if settings.DATABASE_DIRECT_URL and not settings.DATABASE_URL:
        return [
            Error(
                "DATABASE_DIRECT_URL is set, but DATABASE_URL is not.",
                hint="Set both for a server of your own, or neither for the embedded one.",
                id="config.E005",
            )
        ]
    return []


@register(Tags.database)
def server_is_recent_enough(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """The database server is at least PostgreSQL 15; asked only where a command checks the database."""
    if not databases or "default" not in databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        (version,) = cursor.fetchone()
    if version >= MINIMUM_SERVER_VERSION:
        return []
    return [
        Error(
            f"The server is PostgreSQL {version // 10000}; OneCount needs {MINIMUM_SERVER_VERSION // 10000}.",
            hint="Upgrade the server, or unset DATABASE_URL to use the embedded one.",
            id="config.E006",
        )
    ]


@register(Tags.security, deploy=True)
def secrets_come_from_the_environment(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """A deployment names its keys itself, rather than having them made up on one machine's disk."""
    return [
        Error(
            f"{name} is not set, so that a key generated in the data directory is used.",
            hint=f"Set {name} or {name}_FILE, the same on every machine, and keep a copy elsewhere.",
            id=identifier,
        )
        for name, identifier in (("SECRET_KEY", "config.E007"), ("ONECOUNT_CREDENTIAL_KEYS", "config.E008"))
        if not environment.text(name)
    ]


@register(Tags.security, deploy=True)
def nothing_for_trials_is_switched_on(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """Addresses on this machine are for simulated shops, not for a server that others enter addresses into."""
    if not settings.ALLOW_LOOPBACK_PLATFORMS:
        return []
    return [
        Warning(
            "ONECOUNT_ALLOW_LOOPBACK_PLATFORMS lets channels and webhooks call this machine itself.",
            hint="Unset it where anybody but you may enter addresses.",
            id="config.W003",
        )
    ]


@register(Tags.security, deploy=True)
def platforms_reach_us_over_https(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Webhooks and logins travel encrypted, and the proxy that decrypts them says so."""
    if not settings.PUBLIC_URL.startswith("https://"):
        return [
            Warning(
                "PUBLIC_URL is not an https address.",
                hint="Platforms deliver webhooks over TLS only. Put a proxy with a certificate in front.",
                id="config.W001",
            )
        ]
    if settings.SECURE_PROXY_SSL_HEADER is None:
        return [
            Warning(
                "PUBLIC_URL is https, but X-Forwarded-Proto is not trusted: every request is redirected.",
                hint="Set TRUST_PROXY=true where a proxy decrypts TLS and sets (not passes on) this header.",
                id="config.W002",
            )
        ]
    return []
