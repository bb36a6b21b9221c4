"""Sends what recipients are to be told of alerts: by e-mail, or posted and signed. Until it arrives or is given up."""

import json
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from channels.errors import ChannelError
from reconciliation import signed_posts
from reconciliation.models import AlertDelivery, AlertRecipient
from reconciliation.models.alerts import RecipientKind
from reconciliation.signed_posts import Letter, NotSent, post, renewed

log = structlog.get_logger(__name__)

#: A message whose sender died is due again after this.
LEASE: Final = timedelta(seconds=60)
#: Pauses between attempts; after the last of them a message is given up.
PAUSES: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 18_000, 36_000, 36_000)
)


def send_due(*, seconds: float = 45.0) -> int:
    """Sends what is due, oldest first, for so many seconds at most; returns how many arrived."""
    until, sent = time.monotonic() + seconds, 0
    while time.monotonic() < until and (delivery := _lease()) is not None:
        sent += _deliver(delivery)
    return sent


def _lease() -> AlertDelivery | None:
    with transaction.atomic():
        due = AlertDelivery.objects.filter(next_attempt_at__lte=timezone.now()).order_by(
            "next_attempt_at", "pk"
        )
        delivery = due.select_for_update(skip_locked=True, of=("self",)).first()
        if delivery is not None:
            delivery.attempts += 1
            delivery.next_attempt_at = timezone.now() + LEASE
            delivery.save(update_fields=["attempts", "next_attempt_at"])
        return delivery


def _deliver(delivery: AlertDelivery) -> bool:
    try:
        recipient = AlertRecipient.objects.get(pk=delivery.recipient_id)
        if not recipient.is_active:
            raise NotSent("The recipient is switched off.", is_gone=True)
        _SENDERS[recipient.kind](delivery, recipient)
    except (NotSent, ChannelError) as error:
        log.warning("alert_not_sent", delivery=delivery.pk, attempt=delivery.attempts, reason=str(error))
        _note_failure(delivery, error)
        return False
    fields = {"sent_at": timezone.now(), "next_attempt_at": None, "error": "", "dead_at": None}
    AlertDelivery.objects.filter(pk=delivery.pk).update(**fields)
    return True


def _note_failure(delivery: AlertDelivery, error: Exception) -> None:
    now = timezone.now()
    fields: dict[str, Any] = {"error": str(error)[:2000]}
    if (isinstance(error, NotSent) and error.is_gone) or delivery.attempts > len(PAUSES):
        fields |= {"dead_at": now, "next_attempt_at": None}
    else:
        pause = PAUSES[delivery.attempts - 1] * random.uniform(0.9, 1.1)  # noqa: S311
        fields["next_attempt_at"] = now + pause
    AlertDelivery.objects.filter(pk=delivery.pk, sent_at__isnull=True).update(**fields)


def send_again(ids: Sequence[int]) -> int:
    """Has messages sent again that were given up; returns how many."""
    dead = AlertDelivery.objects.filter(pk__in=ids, dead_at__isnull=False)
    return dead.update(dead_at=None, attempts=0, next_attempt_at=timezone.now())


def _send_mail(delivery: AlertDelivery, recipient: AlertRecipient) -> None:
    if not settings.EMAIL_HOST:
        raise NotSent("No mail server is known: set EMAIL_HOST.", is_gone=True)
    subject, text = mail_of(delivery)
    try:
        send_mail(subject, text, settings.DEFAULT_FROM_EMAIL, [recipient.address])
    except (SMTPException, OSError) as error:
        raise NotSent(f"The mail server did not take it: {error}") from error


def mail_of(delivery: AlertDelivery) -> tuple[str, str]:
    """Returns subject and text of a message as mail."""
    told: dict[str, Any] = delivery.payload["data"]
    word = delivery.get_event_display()
    severity = f"{told['severity'].capitalize()}, " if told.get("severity") else ""
    subject = f"[OneCount] {severity}{word.lower()}: {told['title']}"
    parts = (told["title"], told.get("detail"), told.get("remedy"), told.get("url"))
    return " ".join(subject.split())[:200], "\n\n".join(part for part in parts if part) + "\n"


def _post(delivery: AlertDelivery, recipient: AlertRecipient) -> None:
    body = json.dumps(delivery.payload, separators=(",", ":")).encode()
    secrets = live_secrets(recipient, timezone.now())
    try:
        post(Letter(recipient.address, f"msg_{delivery.message_id.hex}", body, secrets))
    except NotSent as error:
        if error.is_gone:
            AlertRecipient.objects.filter(pk=recipient.pk).update(is_active=False)
        raise


_SENDERS: Final = {RecipientKind.EMAIL.value: _send_mail, RecipientKind.WEBHOOK.value: _post}


def live_secrets(recipient: AlertRecipient, now: datetime) -> list[str]:
    """Returns the secrets that messages are signed with, the newest first."""
    return signed_posts.live_secrets(recipient.secrets, now)


def renew_secret(recipient_id: int) -> str:
    """Gives a recipient a new secret and returns it; the one before signs along for a day."""
    with transaction.atomic():
        recipient = AlertRecipient.objects.select_for_update().get(pk=recipient_id)
        secret, recipient.secrets = renewed(recipient.secrets)
        recipient.save(update_fields=["secrets"])
    return secret
