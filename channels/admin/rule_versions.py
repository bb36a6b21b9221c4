"""Versions of rule sets: drafts are edited, the others are on record."""

from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from channels.admin.rehearsals import rehearsals_panel
from channels.admin.rule_forms import RuleInline
from channels.admin.version_pages import (
    APPROVE,
    activate_page,
    approve_page,
    difference_panel,
    differences_page,
    state_badge,
    withdraw_page,
)
from channels.models import RuleSetVersion
from channels.models.rules import VersionState
from config.admin_panels import Panel, address_of
from config.admin_site import HistoryAdmin, StateFilter


class VersionFilter(StateFilter):
    """Where a version stands."""

    states = tuple(
        (value, label, lambda q, value=value: q.filter(state=value))  # type: ignore[misc]
        for value, label in VersionState.choices
    )


@admin.register(RuleSetVersion)
class RuleSetVersionAdmin(HistoryAdmin):
    """Versions; drafts are edited, the others are on record."""

    list_display = (
        "title",
        "shown_state",
        "effective_from",
        "effective_until",
        "created_by",
        "approved_by",
        "why",
    )
    list_filter = (VersionFilter, "rule_set__merchant")
    search_fields = ("rule_set__name",)
    ordering = ("-id",)
    inlines = (RuleInline,)
    fields = (
        "rule_set", "number", "shown_state", ("effective_from", "effective_until"), "why", "created_by",
        ("approved_by", "approved_at"), "approved_because",
    )  # fmt: skip
    readonly_fields = (
        "rule_set", "number", "shown_state", "created_by", "approved_by", "approved_at", "approved_because",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleSetVersion]:
        """Brings the rule sets along."""
        queryset: QuerySet[RuleSetVersion] = super().get_queryset(request)
        return queryset.select_related("rule_set")

    @admin.display(description="version", ordering="id")
    def title(self, version: RuleSetVersion) -> str:
        """Names set and number."""
        return str(version)

    @admin.display(description="state")
    def shown_state(self, version: RuleSetVersion) -> str:
        """Says where it stands."""
        return state_badge(version)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: a version is drawn up on the page of its rule set."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lets drafts alone be edited."""
        return (obj is None or obj.is_draft) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lets drafts alone be thrown away."""
        return obj is not None and obj.is_draft and request.user.has_perm("channels.change_rulesetversion")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Locks a draft that is about to be saved: nobody approves it in between, or what was approved meanwhile stays."""
        if request.method == "POST" and connection.in_atomic_block and object_id.isdecimal():
            RuleSetVersion.objects.select_for_update(no_key=True).filter(pk=object_id).first()
        return super().get_object(request, object_id, from_field)

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages that compare, approve, withdraw and put in force."""
        view = self.admin_site.admin_view
        decisions = [
            path(f"<int:version_id>/{verb}/", view(page), name=f"channels_version_{verb}")
            for verb, page in (
                ("approve", approve_page),
                ("activate", activate_page),
                ("withdraw", withdraw_page),
            )
        ]
        compare = path(
            "<int:version_id>/differences/", view(differences_page), name="channels_version_differences"
        )
        return [*decisions, compare, *super().get_urls()]

    def object_links(self, request: HttpRequest, instance: RuleSetVersion) -> list[tuple[str, str]]:
        """Leads to the comparison and, for whoever may, to the next decision."""
        verbs = {
            VersionState.DRAFT.value: (("approve", "Approve"),),
            VersionState.APPROVED.value: (("activate", "Put in force"), ("withdraw", "Withdraw approval")),
            VersionState.RETIRED.value: (("activate", "Put in force again"),),
        }
        links = [(reverse("admin:channels_version_differences", args=[instance.pk]), "Differences")]
        if request.user.has_perm("channels.rehearse_rules"):
            links.append((f"{reverse('admin:channels_rehearse')}?version={instance.pk}", "Rehearse"))
        if request.user.has_perm(APPROVE):
            links += [
                (reverse(f"admin:channels_version_{verb}", args=[instance.pk]), text)
                for verb, text in verbs.get(instance.state, ())
            ]
        return [(address_of("channels.ruleset", instance.rule_set_id), "Rule set"), *links]

    def panels(self, request: HttpRequest, instance: RuleSetVersion) -> list[Panel]:
        """Shows what it states otherwise than the version before, and when it was in force."""
        before = instance.rule_set.versions.filter(number__lt=instance.number).order_by("-number").first()
        spans = instance.activations.order_by("-id")[:20]
        rows = [
            (s.began_at, s.began_by, s.began_because, s.ended_at, s.ended_by, s.ended_because) for s in spans
        ]
        headers = ("Began", "By", "Because", "Ended", "By", "Because")
        in_force = Panel("In force", headers, rows, empty="Never.")
        return [difference_panel(before, instance), rehearsals_panel(instance), in_force]
