"""Looks after the webhook subscriptions: platforms switch them off without a word."""

from contextlib import suppress

import structlog
from django.db import transaction
from django.utils import timezone

from channels import breaker, writing
from channels.accounts import open_connector, webhook_url
from channels.connectors.base import Connector, SubscriptionProblem
from channels.errors import ConnectorError, Unsupported
from channels.feeds import ask_for_poll
from channels.models import Channel, ChannelHealth
from channels.models.error_log import ErrorJob
from channels.signing_secrets import with_new

log = structlog.get_logger(__name__)


def audit(channel: Channel) -> list[SubscriptionProblem]:
    """Compares a channel's subscriptions with what we need, and mends them; returns what is still wrong.

    After a repair its orders are polled, because what was missed meanwhile does not come again. In shadow nothing is needed
    that nobody allowed. Raises `ConnectorError`.
    """
    if not writing.may_subscribe(channel):
        _keep(channel, [])
        return []
    connector = open_connector(channel)
    url = webhook_url(channel)
    problems = connector.audit_webhooks(url)
    if problems and connector.capabilities.manages_subscriptions:
        with suppress(Unsupported):  # a person has to set something up first: the problems say what
            register(channel, connector)
            ask_for_poll(channel.pk)
        # Anew, because the registration may have chosen a secret.
        problems = open_connector(channel).audit_webhooks(url)
    _keep(channel, problems)
    return problems


def register(channel: Channel, connector: Connector) -> None:
    """Creates the subscriptions that are missing, and keeps a new secret beside the one it replaces.

    A secret that we choose ourselves is kept before the platform learns it: its first message may come at once. Raises
    `InShadow` where the channel is in shadow and nobody allowed it.
    """
    with writing.subscribing(channel):
        _register(channel, connector)


def _register(channel: Channel, connector: Connector) -> None:
    if connector.chooses_webhook_secret and not channel.credentials.get("webhook_secret"):
        _keep_credentials(channel, {"webhook_secret": connector.new_webhook_secret()})
        connector = open_connector(channel)
    new_credentials = connector.register_webhooks(webhook_url(channel))
    if new_credentials:
        _keep_credentials(channel, new_credentials)


@transaction.atomic
def _keep_credentials(channel: Channel, new_credentials: dict[str, str]) -> None:
    locked = Channel.objects.select_for_update().get(pk=channel.pk)
    locked.credentials = with_new(locked.credentials, new_credentials, now=timezone.now())
    locked.save(update_fields=["credentials"])
    channel.credentials = locked.credentials


def audit_all() -> int:
    """Audits every active channel with order webhooks; returns the number of problems left."""
    return sum(audit_soundly(channel) for channel in Channel.objects.filter(is_active=True).order_by("id"))


def audit_soundly(channel: Channel) -> int:
    """Audits one channel; returns the number of problems left. A failure is noted and not raised."""
    try:
        return len(audit(channel))
    except Unsupported:
        log.debug("no_subscriptions_to_audit", channel=channel.pk)
    except ConnectorError as error:
        log.warning("subscription_audit_failed", channel=channel.pk, error=str(error))
        breaker.note_failure(channel.pk, error, job=ErrorJob.AUDIT)
    return 0


def _keep(channel: Channel, problems: list[SubscriptionProblem]) -> None:
    listed = [{"topic": p.topic, "problem": p.problem, "remedy": p.remedy} for p in problems]
    ChannelHealth.objects.update_or_create(
        channel=channel,
        defaults={"subscription_problems": listed, "subscriptions_audited_at": timezone.now()},
    )
