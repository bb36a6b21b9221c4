"""How the framework of the API is set: one kind of body, one kind of key, one kind of refusal."""

from typing import Any, Final

REST_FRAMEWORK: Final[dict[str, Any]] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["inventory.api.authentication.KeyAuthentication"],
    # Rights are checked by `inventory.api.views.MerchantView`, which every endpoint is.
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.api.parsing.AlwaysJSON",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "config.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "config.api.problems.answer",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}

_ABOUT: Final = """
One true stock count, for your own systems.

**Keys.** Send `Authorization: Bearer <key>`. Keys are made in the back office (*API keys*) or by a key with the scope
`owner`. Each has scopes such as `stock:write`, and a rate; `RateLimit-*` says what is left of it.

**Writes.** Send an `Idempotency-Key` with each, and repeat it with the same key when you got no answer: it is done once, and
answered as the first time, for at least 24 hours. A refused request leaves no key behind.

**Lists** come in pages: read on with `next_cursor` as `cursor`. What is written meanwhile repeats no row, and skips none of
those that were there when you began.

**Edits.** `ETag` names the version that you read; `If-Match` has your change refused with 412 where somebody was faster.

**Refusals** are problem+json (RFC 9457): a stable `type`, the `field`, and the `remedy`.

**Versions.** Within `/v1` endpoints, members, kinds and filters are added, never taken away or given another meaning: pass
over what you do not know.

Quantities are whole numbers of the variant's base unit. Instants carry their time zone.
"""

SPECTACULAR_SETTINGS: Final[dict[str, Any]] = {
    "TITLE": "OneCount",
    "DESCRIPTION": _ABOUT,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "ENUM_NAME_OVERRIDES": {
        "LocationKind": "inventory.models.catalogue.LocationKind",
        "ChosenLocationKind": "inventory.api.catalogue.CHOSEN_KINDS",
        "MovementKind": "inventory.models.stock.MovementKind",
        "BundleKind": "inventory.models.bundles.BundleKind",
        "ChangeKind": "inventory.models.changes.ChangeKind",
        "MovementReason": "inventory.models.stock.Reason",
        "TransferState": "inventory.models.transfers.TransferState",
        "ReturnState": "inventory.models.returns.ReturnState",
        "PurchaseOrderState": "inventory.models.purchasing.PurchaseOrderState",
        "VersionState": "channels.models.rules.VersionState",
        "JobState": "channels.models.rehearsals.RehearsalState",
        "CountSheetState": "inventory.models.counts.CountSheetState",
        "ConflictCause": "inventory.models.conflicts.ConflictCause",
        "PushOutcome": "channels.models.outbound.PushOutcome",
        "ErrorJob": "channels.models.error_log.ErrorJob",
        "MessageState": "channels.models.inbound.DeliveryState",
        "RetryKind": "channels.models.retry_queue.RetryKind",
        "RetryState": "channels.models.retry_queue.RetryState",
        "ConflictOrigin": "reconciliation.models.conflicts.CauseClass",
        "RemedyKind": "reconciliation.models.conflicts.RemedyKind",
        "ResolutionState": "reconciliation.models.conflicts.ResolutionState",
        "DiscrepancyCause": "reconciliation.models.discrepancies.Cause",
        "DiscrepancyState": "reconciliation.models.discrepancies.DiscrepancyState",
        "RunKind": "reconciliation.models.discrepancies.RunKind",
        "RunState": "reconciliation.models.discrepancies.RunState",
        "AlertSeverity": "reconciliation.api.alerts.SEVERITIES",
        "KpiName": "analytics.models.kpis.Kpi",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.schema.widen",
        "inventory.api.description.describe_resources",
        "reconciliation.outgoing.description.describe_webhooks",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Without an address of a validator: the page would show its badge, from elsewhere.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
    "LICENSE": {"name": "Apache-2.0"},
}
