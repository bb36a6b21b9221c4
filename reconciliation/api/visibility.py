"""Which models of reconciliation the API shows, and what test keys see of them."""

from typing import Any

from django.db.models import Q, QuerySet

from channels.api.visibility import of_simulated
from channels.models.orders import LINE_REFERENCE
from channels.simulated import has_live_channel, simulated_ids
from inventory.api.visibility import enter
from inventory.models import Conflict
from reconciliation.models import (
    Alert,
    Discrepancy,
    ReconciliationRun,
    Resolution,
    WebhookMessage,
    WebhookSubscription,
)


def _conflicts(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    of_nobody = ~Q(reference__startswith=LINE_REFERENCE)
    return rows.filter(of_nobody | Q(case__channel_id__in=simulated_ids(merchant_id)))


def _of_none_or_simulated(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(Q(channel__isnull=True) | Q(channel_id__in=simulated_ids(merchant_id)))


def _without_live_channels(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.none() if has_live_channel(merchant_id) else rows


enter(Conflict, "merchant", for_tests=_conflicts)
enter(Resolution, "merchant", for_tests=_of_none_or_simulated)
enter(Discrepancy, "merchant", for_tests=_of_none_or_simulated)
enter(ReconciliationRun, "channel__merchant", for_tests=of_simulated)
enter(Alert, "merchant", for_tests=_of_none_or_simulated)
enter(WebhookSubscription, "merchant", for_tests=_without_live_channels)
enter(WebhookMessage, "merchant", for_tests=_without_live_channels)
