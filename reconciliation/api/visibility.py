"""Which models of reconciliation the API shows, and what test keys see of them."""

from typing import Any

from django.db.models import QuerySet

from channels.simulated import has_live_channel
from inventory.api.visibility import enter
from reconciliation.models import WebhookMessage, WebhookSubscription


def _without_live_channels(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.none() if has_live_channel(merchant_id) else rows


enter(WebhookSubscription, "merchant", for_tests=_without_live_channels)
enter(WebhookMessage, "merchant", for_tests=_without_live_channels)
