"""Keys of the merchants' systems: shown once when they are made, by their beginning ever after."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.admin_panels import badge, moment
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter, own_page
from inventory.access import USUAL_OVERLAP, KeyTerms, issue, revoke, rotate
from inventory.errors import StockError
from inventory.models import ApiAnswer, ApiKey, ApiKeyUse
from inventory.scopes import OWNER, RESOURCES, SCOPES

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[ApiKey]
else:
    ModelForm = forms.ModelForm


def _label(scope: str) -> str:
    """Says what a scope allows."""
    if scope == OWNER:
        return "owner: everything, and giving keys to others"
    resource = scope.partition(":")[0]
    return f"{scope}: {RESOURCES[resource]}"


class ApiKeyForm(ModelForm):
    """What a key may do, and how often."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, _label(scope)) for scope in SCOPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Writing does not include reading.",
    )

    class Meta:
        model = ApiKey
        fields = ("merchant", "name", "scopes", "is_test", "requests_per_minute", "expires_at")
        help_texts: ClassVar[dict[str, str]] = {
            "name": "Which system uses it. Give each system a key of its own.",
            "is_test": "Sees simulated shops only, and writes only where the merchant has no other channel.",
            "requests_per_minute": "Further ones are refused until the minute is over.",
            "expires_at": "In UTC. Empty: until it is revoked.",
        }

    def clean_expires_at(self) -> Any:
        """Refuses an end in the past."""
        end = self.cleaned_data["expires_at"]
        if end is not None and "expires_at" in self.changed_data and end <= timezone.now():
            raise forms.ValidationError("Lies in the past. Choose a later instant, or revoke the key.")
        return end


def _live(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(revoked_at__isnull=True).exclude(expires_at__lte=timezone.now())


class KeyStateFilter(StateFilter):
    """Filters keys by whether requests with them are answered."""

    states = (
        ("live", "In force", _live),
        (
            "expired",
            "Expired",
            lambda rows: rows.filter(revoked_at__isnull=True, expires_at__lte=timezone.now()),
        ),
        ("revoked", "Revoked", lambda rows: rows.filter(revoked_at__isnull=False)),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(HistoryAdmin):
    """Keys: who may call the API, and for what."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "merchant", "state", "is_test", "scope_list", "last_used", "expires_at")
    list_filter = (KeyStateFilter, "is_test", "merchant")
    list_select_related = ("merchant", "use")
    search_fields = ("name", "prefix__startswith")
    search_help_text = "Name, or the beginning of a key"
    autocomplete_fields = ("merchant",)
    ordering = ("-id",)
    actions = ("rotate_keys", "revoke_keys")
    detail_actions = ("rotate_keys", "revoke_keys")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Brings along when each was used."""
        queryset: QuerySet[ApiKey] = super().get_queryset(request)
        return queryset.annotate(used_at=F("use__last_used_at"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Shows what is known of a key that exists."""
        asked = ("merchant", "name", "scopes", "is_test", "requests_per_minute", "expires_at")
        known = ("prefix", "state", "last_used", "created_at", "created_by", "replaces", "revoked_at")
        return asked if obj is None else (*asked, *known)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a key with its merchant and its mode."""
        known = ("prefix", "state", "last_used", "created_at", "created_by", "replaces", "revoked_at")
        return known if obj is None else (*known, "merchant", "is_test")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: what was done with a key stays; it is revoked instead."""
        return False

    def has_give_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may replace and revoke keys."""
        return request.user.has_perm("inventory.give_apikey")

    def offers(self, action: str, instance: ApiKey) -> bool:
        """Offers to replace and revoke what is in force."""
        return instance.is_live(timezone.now())

    # -- making one

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Makes the key, or saves what was changed of one."""
        if change:
            super().save_model(request, obj, form, change)
            return
        terms = KeyTerms(obj.name, obj.scopes, obj.is_test, obj.requests_per_minute, obj.expires_at)
        key, text = issue(obj.merchant, terms, by=request.user.get_username())
        obj.pk, obj.prefix = key.pk, key.prefix
        request._issued_keys = [(key, text)]  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """Shows the key, this once."""
        return shown_once(request, request._issued_keys)  # type: ignore[attr-defined]

    # -- actions

    @admin.action(description="Replace by a new key", permissions=["give"])
    def rotate_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Makes a key with the same rights for each, and shows it once; the old ones stay in force for a day."""
        made = []
        for key in queryset.order_by("id"):
            try:
                made.append(rotate(key.merchant_id, key.pk, by=request.user.get_username()))
            except StockError as error:
                messages.error(request, f"{key}: {error}")
        return shown_once(request, made) if made else None

    @admin.action(description="Revoke", permissions=["give"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Has requests with keys refused from now on."""
        live = list(queryset.filter(revoked_at__isnull=True).order_by("id"))
        for key in live:
            revoke(key.merchant_id, key.pk)
        skipped = {"revoked before": queryset.count() - len(live)}
        self.report(request, len(live), "key{s} revoked", skipped)

    # -- columns

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Says whether requests with it are answered."""
        if key.revoked_at is not None:
            return badge("revoked", "bad")
        return badge("in force", "good") if key.is_live(timezone.now()) else badge("expired", "warning")

    @admin.display(description="may")
    def scope_list(self, key: ApiKey) -> str:
        """Names its scopes."""
        return ", ".join(key.scopes)

    @admin.display(description="last used")
    def last_used(self, key: Any) -> str:
        """Returns when a request came with it."""
        return moment(key.used_at)


def shown_once(request: HttpRequest, keys: list[tuple[ApiKey, str]]) -> HttpResponse:
    """Returns the page that shows new keys, which nothing shows again."""
    hours = int(USUAL_OVERLAP.total_seconds() // 3600)
    response = own_page(request, "onecount/api_keys.html", "Keep these keys now", keys=keys, hours=hours)
    response["Cache-Control"] = "no-store"
    return response


@admin.register(ApiKeyUse)
class ApiKeyUseAdmin(FactsAdmin):
    """What keys have used of their rate."""

    list_display = ("key", "used", "window_started_at", "last_used_at")
    list_filter = ("key__merchant",)
    list_select_related = ("key",)
    search_fields = ("key__name", "key__prefix__startswith")
    ordering = ("-key_id",)
    fields = ("key", "used", "window_started_at", "last_used_at")


@admin.register(ApiAnswer)
class ApiAnswerAdmin(FactsAdmin):
    """What requests under an idempotency key were answered; kept for two days."""

    list_display = ("key", "merchant", "status", "created_at")
    list_filter = ("merchant", "status")
    list_select_related = ("merchant",)
    search_fields = ("key__exact",)
    search_help_text = "Idempotency key, in full"
    ordering = ("-id",)
    fields = ("key", "merchant", "status", "headers", "created_at", "digest")
