"""The look of the back office and the way through it."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

#: Where a login without another destination leads.
LOGIN_REDIRECT_URL: Final = "admin:index"
#: Dates and times with seconds, in an order that sorts.
FORMAT_MODULE_PATH: Final = "config.formats"


def may(*permissions: str) -> Callable[[HttpRequest], bool]:
    """Returns a test of whether whoever asks has all of these permissions."""

    def is_allowed(request: HttpRequest) -> bool:
        return request.user.has_perms(permissions)

    return is_allowed


def _asset(path: str) -> Callable[[HttpRequest], str]:
    return lambda request: static(path)


def _link(title: str, icon: str, page: str, permission: str, query: str = "") -> dict[str, Any]:
    """Returns one entry of the sidebar, shown to whoever has the permission."""
    address = reverse_lazy(f"admin:{page}")
    return {
        "title": title,
        "icon": icon,
        "link": (lambda request: f"{address}?{query}") if query else address,
        "permission": may(permission),
    }


def _models(app: str, *entries: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Returns entries for model pages: title, icon, model."""
    return [
        _link(title, icon, f"{app}_{model}_changelist", f"{app}.view_{model}")
        for title, icon, model in entries
    ]


_OVERVIEW: Final = [
    {"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")},
    _link("Stock grid", "grid_on", "channels_stock_grid", "channels.view_listinglevel"),
    _link("Key figures", "target", "analytics_kpis", "analytics.view_kpiday"),
    _link("Performance", "trending_up", "analytics_performance", "analytics.view_salesfact"),
]

_STOCK: Final = _models(
    "inventory",
    ("Variants", "barcode", "variant"),
    ("Products", "category", "product"),
    ("Tags", "label", "tag"),
    ("Bundles", "deployed_code", "bundle"),
    ("Stock levels", "inventory_2", "stocklevel"),
    ("Reservations", "lock_clock", "reservation"),
    ("Conflicts", "priority_high", "conflict"),
    ("Transfers", "local_shipping", "transfer"),
    ("Returns", "assignment_return", "customerreturn"),
    ("Count sheets", "fact_check", "countsheet"),
    ("Movements", "swap_vert", "stockmovement"),
    ("Operations", "receipt_long", "stockoperation"),
    ("Locations", "warehouse", "location"),
)

_PURCHASING: Final = _models(
    "inventory",
    ("Purchase orders", "local_shipping", "purchaseorder"),
    ("Inbound", "input", "purchaseorderline"),
    ("Backorders", "pending_actions", "backorder"),
    ("Kits promised", "redeem", "kitbackorder"),
    ("Suppliers", "factory", "supplier"),
    ("Inbound history", "history", "inboundevent"),
)

_CHANNELS: Final = _models(
    "channels",
    ("Channels", "storefront", "channel"),
    ("Orders", "shopping_cart", "channelorder"),
    ("Order lines", "list_alt", "channelorderline"),
    ("Fulfilment requests", "local_shipping", "fulfilmentrequest"),
    ("Acknowledgements", "handshake", "orderacknowledgement"),
    ("Warehouse orders", "forklift", "warehouseorder"),
    ("Warehouse stock", "warehouse", "statedlevel"),
    ("Warehouse arrivals", "input", "warehousearrival"),
    ("Authorities", "gavel", "authority"),
    ("Listings", "sell", "listing"),
    ("Listing levels", "shelves", "listinglevel"),
    ("Pushes", "upload", "push"),
    ("Rehearsals", "theater_comedy", "rehearsal"),
    ("Shadow mode", "visibility", "shadowrun"),
    ("Webhook deliveries", "webhook", "webhookdelivery"),
    ("Shelf observations", "visibility", "shelfobservation"),
    ("Places", "pin_drop", "channellocation"),
)

_RECONCILIATION: Final = _models(
    "reconciliation",
    ("Discrepancies", "difference", "discrepancy"),
    ("Comparisons", "compare_arrows", "reconciliationrun"),
    ("Schedules", "schedule", "reconciliationschedule"),
    ("Policies", "policy", "reconciliationpolicy"),
    ("Stock authorities", "account_balance", "stockauthority"),
)

_RULES: Final = [
    *_models(
        "channels",
        ("Rule sets", "rule", "ruleset"),
        ("Rule versions", "history", "rulesetversion"),
        ("Groups and pools", "join_inner", "channelgroup"),
        ("Pins", "keep", "pin"),
        ("Ranks", "format_list_numbered", "listingrank"),
        ("Mass changes", "electric_bolt", "mutation"),
    ),
    _link("Starter set", "auto_awesome", "channels_starter_set", "channels.add_ruleset"),
    _link("Import ranks", "upload_file", "channels_import_ranks", "channels.add_listingrank"),
]

_FIGURES: Final = [
    *_models(
        "analytics",
        ("Targets", "target", "kpitarget"),
        ("Daily reports", "outgoing_mail", "reportplan"),
        ("Sent reports", "mark_email_read", "reportrun"),
        ("Support tickets", "support_agent", "supportticket"),
    ),
    _link("Import tickets", "upload_file", "analytics_import_tickets", "analytics.import_supportticket"),
    *_models(
        "analytics",
        ("Days of figures", "calendar_month", "kpiday"),
        ("Sales facts", "point_of_sale", "salesfact"),
        ("Stock facts", "inventory", "stockfact"),
        ("Stock days", "event_available", "stockday"),
    ),
]

_TO_DO: Final = [
    _link(
        "Open alerts",
        "notifications",
        "reconciliation_alert_changelist",
        "reconciliation.view_alert",
        "state=open",
    ),
    _link(
        "Held mass changes",
        "electric_bolt",
        "channels_mutation_changelist",
        "channels.view_mutation",
        "state=waiting",
    ),
    _link(
        "Conflicts to decide",
        "priority_high",
        "inventory_conflict_changelist",
        "inventory.view_conflict",
        "state=undecided",
    ),
    _link(
        "To do at platforms",
        "checklist",
        "reconciliation_resolution_changelist",
        "reconciliation.view_resolution",
        "state=person",
    ),
    _link(
        "Discrepancies",
        "difference",
        "reconciliation_discrepancy_changelist",
        "reconciliation.view_discrepancy",
        "state=open",
    ),
    _link(
        "On the way",
        "local_shipping",
        "inventory_transfer_changelist",
        "inventory.view_transfer",
        "state__exact=sent",
    ),
    _link(
        "Returns to inspect",
        "assignment_return",
        "inventory_customerreturn_changelist",
        "inventory.view_customerreturn",
        "state__exact=received",
    ),
    _link(
        "Orders to acknowledge",
        "handshake",
        "channels_orderacknowledgement_changelist",
        "channels.view_orderacknowledgement",
        "state=open",
    ),
    _link("Unmapped SKUs", "link_off", "channels_unmapped", "channels.view_listing"),
    _link(
        "Suggested matches", "join_inner", "channels_listingmatch_changelist", "channels.view_listingmatch"
    ),
    _link(
        "Dead pushes",
        "mail_off",
        "channels_listinglevel_changelist",
        "channels.view_listinglevel",
        "state=dead",
    ),
    _link(
        "Dead deliveries",
        "unsubscribe",
        "channels_webhookdelivery_changelist",
        "channels.view_webhookdelivery",
        "state__exact=dead",
    ),
    _link(
        "Retries given up",
        "sync_problem",
        "channels_retry_changelist",
        "channels.view_retry",
        "state__exact=exhausted",
    ),
    _link("Dead tasks", "sync_problem", "config_deadtask_changelist", "config.view_deadtask"),
]

_CONFLICTS: Final = _models(
    "reconciliation",
    ("Resolutions", "handyman", "resolution"),
    ("Conflict policies", "policy", "conflictpolicy"),
    ("Causes of conflicts", "troubleshoot", "conflictcase"),
)

_ENGINE_ROOM: Final = [
    *_models(
        "reconciliation",
        ("Ledger proofs", "verified", "proofrun"),
        ("Proven checkpoints", "flag_check", "provencheckpoint"),
        ("Alerts", "notifications", "alert"),
        ("Who is told", "contact_mail", "alertrecipient"),
        ("Alert messages", "outgoing_mail", "alertdelivery"),
        ("Webhooks", "webhook", "webhooksubscription"),
        ("Webhook messages", "outbox", "webhookmessage"),
        ("Webhook events", "event_note", "webhookevent"),
        ("Webhook cursors", "bookmark", "webhookcursor"),
        ("Times without a watch", "visibility_off", "watchgap"),
    ),
    *_models(
        "inventory",
        ("API keys", "vpn_key", "apikey"),
        ("API key use", "speed", "apikeyuse"),
        ("API answers", "replay", "apianswer"),
        ("Changes", "dynamic_feed", "change"),
        ("Changes of the catalogue to tell", "edit_note", "cataloguenote"),
        ("Marks of the feed", "bookmark", "feedmark"),
        ("Import jobs", "upload_file", "importjob"),
        ("Imported rows", "upload_file", "importedrow"),
    ),
    *_models(
        "channels",
        ("Error log", "error", "errorentry"),
        ("Channel health", "ecg_heart", "channelhealth"),
        ("Heartbeats", "monitor_heart", "heartbeat"),
        ("Poll feeds", "rss_feed", "pollfeed"),
        ("Rate buckets", "speed", "ratebucket"),
        ("Access tokens", "key", "accesstoken"),
        ("Place sources", "account_tree", "channellocationsource"),
        ("Sources over time", "history", "sourcespan"),
        ("Rules", "list", "rule"),
        ("Rules in force", "event", "rulesetactivation"),
        ("Pool uses", "water", "pooluse"),
        ("Pool holds", "front_hand", "poolhold"),
        ("Standings", "leaderboard", "listingstanding"),
        ("Channel lags", "timer", "channellag"),
        ("Sold within the lag", "speed_2x", "lagdemand"),
        ("Mutation fuses", "power", "mutationfuse"),
        ("Bundle changes", "call_split", "bundlechange"),
        ("Retries", "sync_problem", "retry"),
        ("Shadow spans", "compare", "shadowspan"),
        ("Onboardings", "flag", "onboarding"),
    ),
    *_models(
        "inventory",
        ("Merchants", "store", "merchant"),
        ("Tags on variants", "label", "varianttag"),
        ("Checkpoints", "flag", "stockcheckpoint"),
        ("Safety stock changes", "shield", "safetystockchange"),
        ("Units of measure", "straighten", "unitofmeasure"),
        ("Bundle components", "format_list_bulleted", "bundlecomponent"),
        ("Bundle parts", "join_inner", "bundlepart"),
    ),
    *_models(
        "analytics",
        ("Fast sellers", "bolt", "fastseller"),
        ("Told orders", "timer", "toldorder"),
        ("Counted lines", "checklist", "countedline"),
        ("Level marks", "bookmark", "levelmark"),
        ("Orders to be counted", "pending", "orderchange"),
        ("Days to be measured", "today", "daychange"),
    ),
    *_models("auth", ("Users", "person", "user"), ("Roles", "group", "group")),
]

UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": "OneCount",
    "SITE_HEADER": "OneCount",
    "SITE_SUBHEADER": "One true stock count",
    "SITE_SYMBOL": "inventory_2",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "config.logins.LoginForm"},
    "DASHBOARD_CALLBACK": "analytics.views.dashboard",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _asset("onecount/favicon.svg")}],
    "STYLES": [_asset("onecount/admin.css")],
    "SCRIPTS": [_asset("onecount/admin.js")],
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        },
    },
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {"items": _OVERVIEW},
            {"title": "To do", "separator": True, "items": _TO_DO},
            {"title": "Stock", "separator": True, "items": _STOCK},
            {"title": "Purchasing", "separator": True, "items": _PURCHASING},
            {"title": "Channels", "separator": True, "items": _CHANNELS},
            {"title": "Reconciliation", "separator": True, "items": _RECONCILIATION},
            {"title": "Rules", "separator": True, "items": _RULES},
            {"title": "Conflicts", "separator": True, "items": _CONFLICTS},
            {"title": "Figures", "separator": True, "items": _FIGURES},
            {"title": "Engine room", "separator": True, "collapsible": True, "items": _ENGINE_ROOM},
        ],
    },
}
