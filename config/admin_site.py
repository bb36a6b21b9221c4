"""What every page of the back office has in common.

An operator's console: lists of 50 rows whose queries do not grow with the rows, actions in the operator's words that report
what they did and what they skipped, and pages of facts (ledger, deliveries, pushes) that nobody edits, superusers included.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from config.admin_panels import Panel

Action = Callable[["OperatorAdmin", HttpRequest, QuerySet[Any]], HttpResponseBase | None]


class OperatorAdmin(ModelAdmin):
    """A page of the console. Actions named in `detail_actions` are also buttons on a row's own page."""

    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    list_fullwidth = True
    change_form_outer_before_template = "onecount/object_actions.html"
    change_form_outer_after_template = "onecount/panels.html"
    #: Names of actions that a row's own page offers as buttons.
    detail_actions: ClassVar[Sequence[str]] = ()

    @property
    def purpose(self) -> str:
        """What the page shows, as its class says: stands where it shows nothing."""
        first = (type(self).__doc__ or "").strip().partition("\n\n")[0]
        return " ".join(first.split())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offers the page's own actions; deleting in bulk is none of them."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_urls(self) -> list[URLPattern]:
        """Adds the address that the buttons of `detail_actions` post to."""
        run = self.admin_site.admin_view(self.run_detail_action)
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        return [path("<path:object_id>/do/<slug:action>/", run, name=name), *super().get_urls()]

    def run_detail_action(self, request: HttpRequest, object_id: str, action: str) -> HttpResponseBase:
        """Runs one action on one row, and returns to its page. Only by POST."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        key = unquote(object_id)
        rows = (
            self.get_queryset(request).filter(pk=key)
            if key.isdecimal()
            else self.model._default_manager.none()
        )
        if action not in self.detail_actions or not rows.exists():
            raise Http404
        if action not in self.get_actions(request):
            raise PermissionDenied
        run: Action = self.get_actions(request)[action][0]
        return run(self, request, rows) or redirect(self.page_address(key))

    def page_address(self, key: object) -> str:
        """Returns the address of a row's own page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[key])

    def panels(self, request: HttpRequest, instance: Any) -> list[Panel]:
        """Returns what a row's own page shows below the form."""
        return []

    def offers(self, action: str, instance: Any) -> bool:
        """Returns whether an action makes sense for a row as it is."""
        return True

    def object_links(self, request: HttpRequest, instance: Any) -> list[tuple[str, str]]:
        """Returns addresses and texts of pages that belong to a row."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> TemplateResponse:
        """Adds buttons, links and panels to a row's own page."""
        instance = context.get("original")
        if instance is not None:
            context["object_actions"] = self._buttons(request, instance)
            context["object_links"] = self.object_links(request, instance)
            context["panels"] = self.panels(request, instance)
        response: TemplateResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def _buttons(self, request: HttpRequest, instance: Model) -> list[tuple[str, str]]:
        """Returns address and text of the buttons that whoever asks may press."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_do"
        allowed = self.get_actions(request)
        offered = [each for each in self.detail_actions if each in allowed and self.offers(each, instance)]
        return [(reverse(name, args=[instance.pk, action]), allowed[action][2]) for action in offered]

    def report(
        self, request: HttpRequest, done: int, what: str, skipped: Mapping[str, int] | None = None
    ) -> None:
        """Says how many rows an action changed, and how many it left alone for which reason; `{s}` makes the plural."""
        left = {reason: count for reason, count in (skipped or {}).items() if count}
        text = f"{done} {what.format(s='' if done == 1 else 's')}."
        if left:
            reasons = ", ".join(f"{count} {reason}" for reason, count in left.items())
            text = f"{text} Skipped {sum(left.values())}: {reasons}."
        messages.add_message(request, messages.SUCCESS if done else messages.WARNING, text)


class HistoryAdmin(SimpleHistoryAdmin, OperatorAdmin):
    """A page whose rows remember who changed what; old versions are shown, never restored."""

    object_history_template = "onecount/object_history.html"
    object_history_list_template = "onecount/object_history_list.html"
    history_list_per_page = 50

    def get_urls(self) -> list[URLPattern]:
        """Leaves out the page of one version: a POST to it would restore that version, also for those who may only look."""
        urls: list[URLPattern] = super().get_urls()
        return [url for url in urls if not (url.name or "").endswith("_simple_history")]

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns True: what was is corrected by hand."""
        return True


class FactsAdmin(OperatorAdmin):
    """A page of facts: seen by whoever may see them, changed by nobody."""

    paginator = InfinitePaginator
    list_disable_select_all = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: facts come from what happens."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: facts are not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: facts are not forgotten."""
        return False


class StateFilter(admin.SimpleListFilter):
    """Filters by named conditions, given as (value, text, filter of the queryset)."""

    title = "state"
    parameter_name = "state"
    states: ClassVar[Sequence[tuple[str, str, Callable[[QuerySet[Any]], QuerySet[Any]]]]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the values and texts to choose from."""
        return [(value, text) for value, text, _ in self.states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns the rows in the chosen state."""
        for value, _, narrow in self.states:
            if value == self.value():
                return narrow(queryset)
        return queryset


def own_page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """Renders a page of the back office that belongs to no form."""
    return TemplateResponse(
        request, template, {**admin.site.each_context(request), "title": title, **context}
    )


def require(request: HttpRequest, *permissions: str) -> None:
    """Refuses whoever lacks one of the permissions."""
    if not request.user.has_perms(permissions):
        raise PermissionDenied
