"""Which path leads to which of reconciliation's endpoints, below `/api/v1/`."""

from typing import Final

from rest_framework.routers import SimpleRouter

from reconciliation.api.alerts import Alerts
from reconciliation.api.conflicts import Conflicts, Resolutions
from reconciliation.api.discrepancies import Discrepancies, Runs
from reconciliation.api.webhooks import WebhookDeliveries, WebhookSubscriptions

VIEWS: Final = {
    "conflicts": Conflicts,
    "resolutions": Resolutions,
    "discrepancies": Discrepancies,
    "reconciliation-runs": Runs,
    "alerts": Alerts,
    "webhook-subscriptions": WebhookSubscriptions,
    "webhook-deliveries": WebhookDeliveries,
}

router = SimpleRouter(trailing_slash=False)
for _path, _view in VIEWS.items():
    router.register(_path, _view, basename=_view.name_of_rows)

urlpatterns = router.urls
