"""All rules, and all spans in which versions were in force, as lists: seen here, changed nowhere."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from channels.admin.version_pages import state_badge
from channels.models import Rule, RuleSetActivation
from channels.models.rules import SETTINGS
from config.admin_site import FactsAdmin


@admin.register(Rule)
class RuleAdmin(FactsAdmin):
    """All rules as one list; they are edited on the draft of their version."""

    list_display = ("shown_scope", "version", "shown_state", "position", "stated")
    list_filter = ("version__state",)
    search_fields = ("variant__sku__exact", "tag__name", "category", "version__rule_set__name")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        """Brings along what names a rule."""
        queryset: QuerySet[Rule] = super().get_queryset(request)
        named = ("version__rule_set", "variant", "tag", "channel", "group", "pool")
        return queryset.select_related(*named).defer("channel__credentials")

    @admin.display(description="scope")
    def shown_scope(self, rule: Rule) -> str:
        """Names goods and channels."""
        return rule.scope

    @admin.display(description="state")
    def shown_state(self, rule: Rule) -> str:
        """Says where its version stands."""
        return state_badge(rule.version)

    @admin.display(description="states")
    def stated(self, rule: Rule) -> str:
        """Says what it states."""
        names = (*SETTINGS, "pool_units", "pool_percent")
        values = ((name, getattr(rule, name)) for name in names)
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values if value is not None)


@admin.register(RuleSetActivation)
class RuleSetActivationAdmin(FactsAdmin):
    """Which version was in force when."""

    list_display = ("version", "began_at", "began_by", "began_because", "ended_at", "ended_by", "marked")
    list_filter = ("rule_set__merchant",)
    search_fields = ("rule_set__name",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleSetActivation]:
        """Brings the versions along."""
        queryset: QuerySet[RuleSetActivation] = super().get_queryset(request)
        return queryset.select_related("version__rule_set", "rule_set", "rolls_back__version__rule_set")
