"""Who may do what in the back office: four roles, kept in step with this table after every migration.

Beyond Django's own permissions (view, add, change a model) there are some for what people do: they are listed in `ACTIONS`,
belong to the model whose page offers them, and are created with the roles. What a role has beyond this table, given by hand,
is left alone.
"""

from typing import Any, Final

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet

#: Permission → the model it belongs to, and what it allows.
ACTIONS: Final[dict[str, tuple[str, str]]] = {
    "config.rerun_deadtask": ("deadtask", "Can run tasks again that killed their workers, and forget them"),
    "inventory.move_stock": ("stocklevel", "Can receive, adjust and count stock"),
    "inventory.release_reservation": ("reservation", "Can release a reservation"),
    "inventory.purchase": ("purchaseorder", "Can place, confirm, date and cancel purchase orders"),
    "inventory.promise_inbound": ("backorder", "Can promise inbound and take promises back"),
    "inventory.define_bundle": ("bundle", "Can say what bundles are made of"),
    "inventory.give_apikey": ("apikey", "Can replace and revoke API keys"),
    "channels.connect_channel": ("channel", "Can connect a channel: credentials, settings, webhooks, polls"),
    "channels.tune_channel": ("channel", "Can set what a channel is offered: buffer, minimum, maximum"),
    "channels.pause_channel": ("channel", "Can pause and resume a channel"),
    "channels.push_listinglevel": ("listinglevel", "Can push now and replay dead pushes"),
    "channels.pin_listinglevel": ("listinglevel", "Can pin the number of a listing level"),
    "channels.approve_rulesetversion": (
        "rulesetversion",
        "Can approve rules, put them in force, roll them back, and fill pools",
    ),
    "channels.decide_mutation": ("mutation", "Can confirm or roll back mass changes that the fuse holds"),
    "channels.map_listing": ("listing", "Can map a listing or SKU to a variant"),
    "channels.resource_channelorderline": (
        "channelorderline",
        "Can have another location serve an order line",
    ),
    "channels.answer_fulfilmentrequest": (
        "fulfilmentrequest",
        "Can accept, pick, ship and refuse for a location",
    ),
    "channels.say_orderacknowledgement": (
        "orderacknowledgement",
        "Can have platforms told what we deliver of an order",
    ),
    "channels.replay_webhookdelivery": ("webhookdelivery", "Can replay a delivery"),
    "channels.rehearse_rules": ("rehearsal", "Can rehearse rules on recorded events"),
    "reconciliation.resolve_conflict": ("resolution", "Can resolve conflicts"),
    "analytics.import_supportticket": ("supportticket", "Can count the tickets of a help desk"),
    "reconciliation.answer_alert": ("alert", "Can acknowledge, mute and end alerts"),
    "reconciliation.replay_webhookmessage": ("webhookmessage", "Can send webhook messages again"),
    "reconciliation.prove_ledger": ("proofrun", "Can begin a proof of the ledger"),
    "reconciliation.resolve_discrepancy": ("discrepancy", "Can correct and dismiss discrepancies"),
    "reconciliation.run_reconciliation": ("reconciliationrun", "Can have channels compared now"),
}

_EVERYDAY: Final = ("channels.pause_channel", "channels.push_listinglevel", "channels.replay_webhookdelivery")

#: Saying which locations of ours stand behind a place, and who has the say over them.
_PLACES: Final = (
    "channels.change_channellocation",
    "channels.add_channellocationsource",
    "channels.change_channellocationsource",
    "channels.delete_channellocationsource",
    "channels.add_authority",
    "channels.change_authority",
    "channels.delete_authority",
)

#: Writing orders at suppliers, and saying what became of them.
_PURCHASING: Final = (
    "inventory.add_supplier",
    "inventory.change_supplier",
    "inventory.add_purchaseorder",
    "inventory.change_purchaseorder",
    "inventory.delete_purchaseorder",
    "inventory.add_purchaseorderline",
    "inventory.change_purchaseorderline",
    "inventory.delete_purchaseorderline",
    "inventory.purchase",
    "inventory.promise_inbound",
)

#: Drawing rules up and putting them in force.
_RULES: Final = (
    "channels.add_ruleset",
    "channels.change_ruleset",
    "channels.change_rulesetversion",
    "channels.add_rule",
    "channels.change_rule",
    "channels.delete_rule",
    "channels.approve_rulesetversion",
    "channels.add_channelgroup",
    "channels.change_channelgroup",
    "channels.change_mutationfuse",
    "channels.decide_mutation",
    "inventory.add_tag",
    "inventory.change_tag",
    "inventory.add_varianttag",
    "inventory.change_varianttag",
    "inventory.delete_varianttag",
)

#: When channels are compared.
_COMPARING: Final = (
    "reconciliation.run_reconciliation",
    "reconciliation.add_reconciliationschedule",
    "reconciliation.change_reconciliationschedule",
    "reconciliation.delete_reconciliationschedule",
)

#: What becomes of differences.
_DIFFERENCES: Final = (
    "reconciliation.resolve_discrepancy",
    "reconciliation.add_reconciliationpolicy",
    "reconciliation.change_reconciliationpolicy",
    "reconciliation.add_stockauthority",
    "reconciliation.change_stockauthority",
)

#: Which channel is served first.
_PRIORITY: Final = (
    "channels.pin_listinglevel",
    "channels.add_listingrank",
    "channels.change_listingrank",
    "channels.delete_listingrank",
)

#: What figures are held against, who is told of them, and what help desks were asked.
_FIGURES: Final = (
    "analytics.add_kpitarget",
    "analytics.change_kpitarget",
    "analytics.delete_kpitarget",
    "analytics.add_reportplan",
    "analytics.change_reportplan",
    "analytics.delete_reportplan",
    "analytics.import_supportticket",
)
#: Seeing to alerts, and saying who is told of them.
_ALERTS: Final = (
    "reconciliation.answer_alert",
    "reconciliation.add_alertrecipient",
    "reconciliation.change_alertrecipient",
    "reconciliation.prove_ledger",
)

#: Which systems of the merchants are told of what.
_WEBHOOKS: Final = (
    "reconciliation.add_webhooksubscription",
    "reconciliation.change_webhooksubscription",
    "reconciliation.replay_webhookmessage",
)

#: Role → its permissions beyond seeing everything.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "operations": (
        "inventory.add_product",
        "inventory.change_product",
        "inventory.add_variant",
        "inventory.change_variant",
        "inventory.add_location",
        "inventory.change_location",
        "inventory.add_unitofmeasure",
        "inventory.change_unitofmeasure",
        "inventory.define_bundle",
        "inventory.move_stock",
        "inventory.release_reservation",
        *_PURCHASING,
        "channels.map_listing",
        "channels.change_listing",
        "channels.rehearse_rules",
        *_RULES,
        *_PRIORITY,
        "channels.resource_channelorderline",
        "channels.answer_fulfilmentrequest",
        "channels.say_orderacknowledgement",
        "reconciliation.resolve_conflict",
        "reconciliation.add_conflictpolicy",
        "reconciliation.change_conflictpolicy",
        *_ALERTS,
        *_PLACES,
        *_FIGURES,
        *_COMPARING,
        *_DIFFERENCES,
        *_EVERYDAY,
    ),
    "commerce": (
        "channels.tune_channel",
        "channels.change_channel",
        "channels.map_listing",
        "channels.change_listing",
        "channels.rehearse_rules",
        *_PRIORITY,
        *_FIGURES,
        *_EVERYDAY,
    ),
    "engineering": (
        "config.rerun_deadtask",
        "channels.connect_channel",
        "channels.add_channel",
        "inventory.add_apikey",
        "inventory.change_apikey",
        "inventory.give_apikey",
        *_WEBHOOKS,
        "channels.change_channel",
        *_ALERTS,
        *_PLACES,
        "inventory.add_location",
        "inventory.change_location",
        *_COMPARING,
        *_EVERYDAY,
    ),
    "read-only": (),
}

#: The apps whose models every role may see.
_SEEN: Final = ("config", "inventory", "channels", "reconciliation", "analytics")


def keep_roles(app_config: AppConfig, **_: Any) -> None:
    """Creates the roles and gives them what the table says of one app's models; run after its migration."""
    if app_config.label not in _SEEN:
        return
    # Django's own receiver may come after this one.
    create_permissions(app_config, verbosity=0)
    _create_actions(app_config)
    for role, granted in ROLES.items():
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.add(*_permissions(app_config.label, granted))


def _create_actions(app_config: AppConfig) -> None:
    for permission, (model_name, label) in ACTIONS.items():
        app_label, codename = permission.split(".")
        if app_label == app_config.label:
            content_type = ContentType.objects.get_for_model(apps.get_model(app_label, model_name))
            Permission.objects.update_or_create(
                content_type=content_type, codename=codename, defaults={"name": label}
            )


def _permissions(app_label: str, granted: tuple[str, ...]) -> QuerySet[Permission]:
    """Returns the app's permissions to see its models, and those granted by name."""
    of_app = Permission.objects.filter(content_type__app_label=app_label)
    codenames = [permission.split(".")[1] for permission in granted if permission.startswith(f"{app_label}.")]
    return of_app.filter(codename__in=codenames) | of_app.filter(codename__startswith="view_")
