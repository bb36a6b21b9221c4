"""Swaps the keys that a platform gave out: the new ones are tried first, then take the place of the old.

Only credentials and the access token change: listings, places, cursors, orders and what was told stay. Messages signed with a
secret that was replaced are accepted for an overlap, in which the old one is revoked at the platform.
"""

import secrets
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from channels import accounts, breaker, last_call, signing_secrets, subscriptions, tokens
from channels.accounts import account_of, open_connector
from channels.connectors import connector_class
from channels.connectors.base import Connector, IssuedToken
from channels.errors import ChannelError, ConnectorError, KeysRefused, Misconfigured, Unsupported
from channels.models import Channel
from channels.signing_secrets import LONGEST_OVERLAP, OVERLAP
from channels.transport import HttpClient

log = structlog.get_logger(__name__)

#: Seconds for one question to the platform while somebody waits.
PATIENCE: Final = 10.0
_LONGEST_KEY: Final = 4000


@dataclass(frozen=True, slots=True)
class NewKeys:
    """What is to take the place of a channel's keys."""

    #: Values by the name that the connector declares; what is not named stays.
    entered: Mapping[str, str] = field(repr=False)
    #: How long messages signed with a replaced secret are still accepted.
    overlap: timedelta = OVERLAP
    #: When the first of the entered ones ends; None: not known to end.
    expire_on: date | None = None
    #: Makes a new secret for the webhooks, where it is ours to choose.
    makes_webhook_secret: bool = False


@dataclass(frozen=True, slots=True)
class Swap:
    """What became of it."""

    #: What the platform calls the account that the new keys belong to.
    account: str
    #: Labels of the keys that were replaced.
    replaced: tuple[str, ...]
    #: Until when messages signed with a replaced secret are accepted; None: none is.
    both_until: datetime | None
    #: What is wrong with the webhooks, which the old secret may still sign; empty: nothing.
    webhook_problem: str = ""


class _TrialClient(HttpClient):
    """Asks for a token of its own, so that no token of the old keys answers for the new ones."""

    issued: IssuedToken | None = None

    def token(self, issue: Callable[[], IssuedToken], *, rejected: str = "") -> str:
        if self.issued is None or rejected:
            self.issued = issue()
        return self.issued.value


@sensitive_variables()
def try_keys(channel: Channel, new: NewKeys) -> tuple[str, IssuedToken | None]:
    """Asks the platform, with the new keys, whose they are; returns the account's name and the token issued for it.

    Changes nothing. Raises `KeysRefused` where they are the old ones, do not work, or belong to another account.
    """
    kind = connector_class(channel.kind)
    _check(kind, channel.credentials, new)
    try:
        connector, client = _trial_of(channel, {**channel.credentials, **new.entered})
        account = connector.check()
    except ConnectorError as error:
        raise KeysRefused("", f"Nothing was changed, since the new keys do not work: {error}") from error
    _check_account(channel, account)
    return account, client.issued


@sensitive_variables()
def swap(channel_id: int, new: NewKeys, *, by: str) -> Swap:
    """Tries new keys and puts them in the place of the old; returns what became of it. Raises `KeysRefused`."""
    channel = _channel(channel_id)
    account, issued = try_keys(channel, new)
    kind = connector_class(channel.kind)
    entered = dict(new.entered)
    if new.makes_webhook_secret:
        entered[kind.signed_with] = secrets.token_urlsafe(32)
    _store(channel, kind, entered, new, issued=issued, by=by)
    problem = _register(channel) if kind.chooses_webhook_secret and kind.signed_with in entered else ""
    # The platform has just answered: whatever the old keys were refused for is over.
    breaker.forget_success(channel_id)
    breaker.note_success(channel_id)
    log.info("keys_swapped", channel=channel_id, by=by, names=sorted(entered))
    return Swap(
        account,
        _labels(kind, entered),
        signing_secrets.overlap_ends_at(channel.credentials, timezone.now()),
        problem,
    )


def end_overlap(channel_id: int) -> bool:
    """Has messages signed with replaced secrets refused from now on; False where none were accepted."""
    with transaction.atomic():
        channel = Channel.objects.select_for_update().get(pk=channel_id)
        if signing_secrets.overlap_ends_at(channel.credentials, timezone.now()) is None:
            return False
        channel.credentials = signing_secrets.without_replaced(channel.credentials)
        channel._change_reason = "Replaced secrets are refused"  # type: ignore[attr-defined]
        channel.save(update_fields=["credentials"])
    accounts.forget_channels()
    return True


def _channel(channel_id: int) -> Channel:
    try:
        return Channel.objects.get(pk=channel_id)
    except Misconfigured as error:
        text = f"{error} Or enter all keys anew on the channel's own page."
        raise KeysRefused("", text) from error


@sensitive_variables()
def _check(kind: type[Connector], stored: Mapping[str, Any], new: NewKeys) -> None:
    """Refuses names that the platform has no key for, and what would change nothing."""
    known = {each.name for each in kind.credential_fields}
    for name, value in new.entered.items():
        if name not in known:
            raise KeysRefused(name, f"{kind.label} has no key {name}; it has {', '.join(sorted(known))}.")
        if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_KEY:
            raise KeysRefused(
                name, f"Enter 1 to {_LONGEST_KEY} characters, or leave it out to keep what is stored."
            )
    if not timedelta(0) <= new.overlap <= LONGEST_OVERLAP:
        raise KeysRefused("overlap_hours", f"At most {LONGEST_OVERLAP.days} days, and not below 0.")
    if new.makes_webhook_secret and not kind.chooses_webhook_secret:
        raise KeysRefused(
            "makes_webhook_secret", f"{kind.label} signs with a secret that is not ours to choose."
        )
    if new.makes_webhook_secret and kind.signed_with in new.entered:
        raise KeysRefused("makes_webhook_secret", "Enter a webhook secret or have one made, not both.")
    changes = {name for name, value in new.entered.items() if stored.get(name) != value}
    if not changes and not new.makes_webhook_secret:
        raise KeysRefused("", "These are the keys that are stored already. Enter at least one new one.")


@sensitive_variables()
def _trial_of(channel: Channel, credentials: Mapping[str, Any]) -> tuple[Connector, _TrialClient]:
    """Returns a connector that speaks with other credentials than those that are stored."""
    last_call.forget()
    kind = connector_class(channel.kind)
    trial = copy(channel)
    trial.credentials = credentials
    client = _TrialClient(
        channel.pk, limits=kind.rate_limits, read_limits=kind.read_limits, deadline=PATIENCE, priority=True
    )
    return kind(account_of(trial), client), client


def _check_account(channel: Channel, account: str) -> None:
    """Refuses keys of another account: its listings and orders would be taken for those of this one.

    Keys that are revoked already cannot be asked, and then nothing is compared.
    """
    try:
        known = open_connector(channel, deadline=PATIENCE).check()
    except ChannelError:
        return
    if known != account:
        text = f"The new keys belong to {account}, and this channel is {known}. Connect {account} as a channel of its own."
        raise KeysRefused("", text)


@sensitive_variables()
def _store(
    channel: Channel,
    kind: type[Connector],
    entered: Mapping[str, str],
    new: NewKeys,
    *,
    issued: IssuedToken | None,
    by: str,
) -> None:
    """Puts the new keys, and the token that they were tried with, in the place of the old in one transaction."""
    names = ", ".join(_labels(kind, entered))
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(pk=channel.pk)
        if locked.credentials != channel.credentials:
            raise KeysRefused(
                "", "Somebody entered other keys meanwhile; nothing was changed. Look, then try again."
            )
        locked.credentials = signing_secrets.with_new(
            locked.credentials,
            entered,
            now=timezone.now(),
            signed_with=kind.signed_with,
            overlap=new.overlap,
        )
        if new.entered:
            locked.credentials_expire_on = new.expire_on
        locked._change_reason = f"Keys swapped by {by}: {names}"[:100]  # type: ignore[attr-defined]
        locked.save(update_fields=["credentials", "credentials_expire_on"])
        if issued is not None:
            tokens.keep(channel.pk, issued, accounts.fingerprint(kind, locked.credentials))
    channel.credentials = locked.credentials
    accounts.forget_channels()


def _labels(kind: type[Connector], entered: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(each.label for each in kind.credential_fields if each.name in entered)


def _register(channel: Channel) -> str:
    """Tells the platform the new webhook secret; returns what went wrong. Both secrets are accepted meanwhile."""
    try:
        subscriptions.register(channel, open_connector(channel, deadline=PATIENCE))
    except Unsupported:
        return ""
    except ConnectorError as error:
        return f"The platform was not told the new webhook secret: {error} Press Register webhooks before the overlap ends."
    return ""
