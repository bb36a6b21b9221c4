"""Whether the merchants' own systems take what they are told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.utils import timezone

from config.admin_panels import address_of, duration
from reconciliation.checks.results import Result
from reconciliation.models import Severity, WebhookSubscription

#: A system that takes nothing for so long is told of.
FAILING_AFTER: Final = timedelta(minutes=30)


def receivers() -> Iterator[Result]:
    """Looks for subscriptions that fail, and for those that were switched off for it; two kinds of alerts."""
    rows = WebhookSubscription.objects.defer("secrets").order_by("pk")
    for subscription in rows.filter(gave_up=True):
        yield _result(
            subscription,
            "webhook_disabled",
            f"was switched off: {subscription.disabled_because}",
            "Mend the receiver, send it a test, switch the subscription on, and tell it again what it missed.",
            Severity.CRITICAL,
        )
    now = timezone.now()
    for subscription in rows.filter(is_active=True, failing_since__lte=now - FAILING_AFTER):
        since = duration((now - (subscription.failing_since or now)).total_seconds())
        yield _result(
            subscription,
            "webhook_failing",
            f"has taken nothing for {since}",
            "See the errors of its messages. It is switched off when it has taken nothing for a day.",
            Severity.WARNING,
        )


def _result(
    subscription: WebhookSubscription, kind: str, says: str, remedy: str, severity: Severity
) -> Result:
    return Result(
        kind,
        f"Webhook {subscription}",
        says,
        is_ok=False,
        remedy=remedy,
        severity=severity,
        merchant_id=subscription.merchant_id,
        subject=str(subscription.pk),
        link=address_of("reconciliation.webhooksubscription", subscription.pk),
        evidence={"url": subscription.url, "failures_in_a_row": subscription.failures},
    )
