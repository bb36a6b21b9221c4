"""From a channel's row to a connector that speaks for it."""

import hashlib
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from channels.connectors import connector_class
from channels.connectors.base import Account, Connector
from channels.errors import Misconfigured
from channels.last_call import forget as forget_last_call
from channels.models import Channel
from channels.signing_secrets import live_secrets
from channels.transport import HttpClient, check_url
from config.logs import register_secret

#: Seconds after which a call is given up, waiting for its turn included.
DEADLINE: Final = 20.0
#: How long a process may go by a channel as it was: rotated secrets and what else people change take effect after this.
CHANNEL_MEMORY_SECONDS: Final = 1.0

_remembered: dict[int | str, tuple[float, Channel]] = {}


def channel_of(channel_id: int) -> Channel | None:
    """Returns the active channel of this id, remembered for a moment; None where there is none.

    Whether it is paused or off is asked again where it counts: in the lease of what is to be told.
    """
    return _recall(channel_id, pk=channel_id)


def addressed_channel(public_id: str) -> Channel | None:
    """Returns the active channel of the unguessable id in a webhook's address, remembered for a moment."""
    channel = _recall(public_id, public_id=public_id)
    if channel is not None:
        register_secret(public_id)
    return channel


def forget_channel(public_id: str) -> None:
    """Has this process read the channel of this webhook address anew."""
    _remembered.pop(public_id, None)


def forget_channels() -> None:
    """Has this process read every channel anew."""
    _remembered.clear()


def _recall(key: int | str, **identity: int | str) -> Channel | None:
    """Returns the active channel of this identity. Only those that exist are remembered, so strangers fill nothing."""
    remembered_at, channel = _remembered.get(key, (0.0, None))
    now = time.monotonic()
    if channel is not None and now - remembered_at < CHANNEL_MEMORY_SECONDS:
        return channel
    channel = Channel.objects.filter(**identity, is_active=True).first()
    if channel is None:
        _remembered.pop(key, None)
    else:
        _remembered[key] = (now, channel)
    return channel


def open_connector(
    channel: Channel, *, deadline: float = DEADLINE, priority: bool = False, is_background: bool = False
) -> Connector:
    """Returns a connector for the channel, with HTTP of its own.

    `priority` lets its calls also spend what ordinary calls leave of each limit; in the background they leave half of it.
    Raises `Misconfigured`.
    """
    forget_last_call()
    kind = connector_class(channel.kind)
    account = account_of(channel)
    client = HttpClient(
        channel.pk,
        limits=kind.rate_limits,
        read_limits=kind.read_limits,
        deadline=deadline,
        priority=priority,
        is_background=is_background,
        # Most work needs no token.
        issued_to=partial(fingerprint, kind, account.credentials),
    )
    return kind(account, client)


def fingerprint(kind: type[Connector], credentials: Mapping[str, Any]) -> str:
    """Returns what tells tokens apart that were issued to other credentials of the same channel."""
    named = {field.name: credentials.get(field.name) for field in kind.credential_fields}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def account_of(channel: Channel) -> Account:
    """Returns the channel's account: settings completed and checked, live webhook secrets collected.

    Raises `Misconfigured`, naming what is missing.
    """
    kind = connector_class(channel.kind)
    credentials = channel.credentials or {}
    _check_credentials(kind, credentials)
    for secret in _texts(credentials):
        register_secret(secret)
    return Account(
        channel_id=channel.pk,
        settings=checked_settings(kind, channel.settings or {}),
        credentials=credentials,
        webhook_secrets=live_secrets(credentials, kind.signed_with, timezone.now()),
    )


def webhook_url(channel: Channel) -> str:
    """Returns the address at which the platform delivers this channel's messages."""
    return f"{settings.PUBLIC_URL}{reverse('channels:webhook', args=[channel.public_id])}"


def checked_settings(kind: type[Connector], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings with the connector's defaults filled in. Raises `Misconfigured`.

    Required ones are there, texts are texts, and `*_url` settings are addresses that may be called.
    """
    unknown = sorted(set(given) - set(kind.settings_schema))
    if unknown:
        raise Misconfigured(f"{kind.label} has no setting named {', '.join(unknown)}.")
    checked = {name: given.get(name, default) for name, default in kind.settings_schema.items()}
    for name, value in checked.items():
        _check_setting(kind, name, value)
    return checked


def _check_setting(kind: type[Connector], name: str, value: Any) -> None:
    default = kind.settings_schema[name]
    if value is ... or (default is ... and value in ("", None)):
        raise Misconfigured(f"{kind.label} needs the setting {name}.")
    if default is not ... and default is not None and not isinstance(value, type(default)):
        raise Misconfigured(f"The setting {name} of {kind.label} has the wrong type.")
    if name.endswith("_url") and value:
        check_url(str(value))
        if urlsplit(str(value)).query or urlsplit(str(value)).fragment:
            raise Misconfigured(f"The setting {name} must not hold a query or a fragment.")


def _check_credentials(kind: type[Connector], credentials: Mapping[str, Any]) -> None:
    missing = [
        field.label
        for field in kind.credential_fields
        if field.is_required and not credentials.get(field.name)
    ]
    if missing:
        raise Misconfigured(f"Missing under Channels: {', '.join(missing)}.")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for name, each in value.items() if name != "valid_until" for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, list) else []
