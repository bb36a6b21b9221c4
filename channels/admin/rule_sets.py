"""Rule sets: lines of versions, of which one at a time is in force."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from channels.admin.decisions import ask
from channels.admin.version_pages import APPROVE, state_badge
from channels.errors import RuleRefused
from channels.models import RuleSet, RuleSetVersion
from channels.models.rules import VersionState
from channels.rules import lifecycle
from channels.rules.starter import add_starter_set
from config.admin_forms import OwnNameForm
from config.admin_panels import NOTHING, Panel, address_of, page_of
from config.admin_site import HistoryAdmin, require
from inventory.models import Merchant


class StarterForm(forms.Form):
    """For whom."""

    merchant = forms.ModelChoiceField(Merchant.objects.filter(is_active=True))


@admin.register(RuleSet)
class RuleSetAdmin(HistoryAdmin):
    """Lines of versions; one that ends has its version retired, not deleted."""

    list_display = ("name", "merchant", "priority", "in_force")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("name",)
    autocomplete_fields = ("merchant",)
    form = OwnNameForm
    fields = ("merchant", "name", "priority", "description")
    actions = ("draw_up", "roll_back", "retire")
    detail_actions = ("draw_up", "roll_back", "retire")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleSet]:
        """Brings the number of the version in force along."""
        active = RuleSetVersion.objects.filter(rule_set=OuterRef("pk"), state=VersionState.ACTIVE)
        queryset: QuerySet[RuleSet] = super().get_queryset(request)
        return queryset.annotate(active_number=Subquery(active.values("number")[:1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a set with its merchant; its priority decides numbers, so that it is set while nothing is in force."""
        if obj is None:
            return ()
        return ("merchant", "priority") if obj.active_number else ("merchant",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: what was in force stays on record."""
        return False

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may put rules in force and take them back."""
        return request.user.has_perm(APPROVE)

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that adds the starter set."""
        view = self.admin_site.admin_view(starter_page)
        return [path("starter/", view, name="channels_starter_set"), *super().get_urls()]

    @admin.display(description="in force")
    def in_force(self, rule_set: Any) -> str:
        """Names the version in force."""
        return f"v{rule_set.active_number}" if rule_set.active_number else NOTHING

    def offers(self, action: str, instance: Any) -> bool:
        """Offers to end or roll back what is in force."""
        return action == "draw_up" or bool(instance.active_number)

    @admin.action(description="Draw up a version", permissions=["change"])
    def draw_up(self, request: HttpRequest, queryset: QuerySet[RuleSet]) -> HttpResponseBase | None:
        """Adds a draft to each set, as a copy of its version in force or its newest one."""
        version = None
        for rule_set in queryset:
            versions = rule_set.versions.order_by("-number")
            based_on = versions.filter(state=VersionState.ACTIVE).first() or versions.first()
            version = lifecycle.draw_up(rule_set, actor=request.user.get_username(), based_on=based_on)
            messages.success(request, f"{version} is drawn up. Edit its rules, then approve it.")
        return redirect(address_of("channels.rulesetversion", version.pk)) if version else None

    @admin.action(description="Roll back", permissions=["approve"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[RuleSet]) -> None:
        """Puts back in force what was before, at once."""
        self._each(request, queryset, lifecycle.roll_back, "Rolled back in one click.", "rolled back")

    @admin.action(description="End without a successor", permissions=["approve"])
    def retire(self, request: HttpRequest, queryset: QuerySet[RuleSet]) -> None:
        """Ends what is in force."""
        self._each(request, queryset, lifecycle.retire, "Ended in the back office.", "ended")

    def _each(
        self, request: HttpRequest, rule_sets: QuerySet[RuleSet], run: Callable[..., Any], why: str, what: str
    ) -> None:
        done = 0
        for rule_set in rule_sets:
            try:
                run(rule_set.pk, actor=request.user.get_username(), because=why)
            except RuleRefused as error:
                messages.warning(request, str(error))
            else:
                done += 1
        self.report(request, done, f"rule set{{s}} {what}")

    def panels(self, request: HttpRequest, instance: RuleSet) -> list[Panel]:
        """Shows the versions, and the spans in which they were in force."""
        versions = instance.versions.order_by("-number")[:50]
        rows = [
            (page_of(v, f"v{v.number}"), state_badge(v), v.effective_from, v.effective_until, v.why)
            for v in versions
        ]
        spans = instance.activations.select_related("version__rule_set").order_by("-id")[:50]
        in_force = [
            (
                f"v{s.version.number}",
                s.began_at,
                s.began_by,
                s.began_because,
                s.ended_at,
                s.ended_by,
                s.marked,
            )
            for s in spans
        ]
        return [
            Panel("Versions", ("Version", "State", "From", "Until", "What for"), rows, empty="None yet."),
            Panel(
                "In force",
                ("Version", "Began", "By", "Because", "Ended", "By", "Shelves marked"),
                in_force,
                empty="Never.",
            ),
        ]


def starter_page(request: HttpRequest) -> HttpResponseBase:
    """Adds the starter set to a merchant, as a draft."""
    require(request, "channels.add_ruleset")

    def run(data: dict[str, Any]) -> str:
        version = add_starter_set(data["merchant"], actor=request.user.get_username())
        return f"{version} is drawn up. Look at its rules, then approve it."

    note = "Fast sellers keep 1 to 3 pieces back, and marketplaces show 5 at most. Nothing changes until it is in force."
    back = reverse("admin:channels_rulesetversion_changelist")
    form = StarterForm(request.POST or None)
    return ask(request, form, run, title="Add the starter set", button="Add", back=back, note=note)
