"""Groups of channels, their pools, pins and ranks."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from channels.admin.decisions import ask
from channels.admin.rows import ChannelFilter, with_channel
from channels.models import (
    Channel,
    ChannelGroup,
    ChannelLag,
    LagDemand,
    ListingLevel,
    ListingRank,
    ListingStanding,
    Pin,
    PoolHold,
    PoolUse,
)
from channels.models.rules import LARGEST_COUNT
from channels.rules import pins, pools, ranks
from config.admin_forms import OwnNameForm
from config.admin_panels import Panel, address_of, badge, duration, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter, require
from inventory.models import Merchant


class GroupForm(OwnNameForm):
    """A group's name and its channels, which are read without their credentials."""

    members = forms.ModelMultipleChoiceField(
        Channel.objects.defer("credentials").order_by("name"), label="Channels", required=False
    )

    class Meta:
        model = ChannelGroup
        fields = ("merchant", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields.get("members")
        if field is not None and self.instance.pk:
            field.queryset = field.queryset.filter(merchant=self.instance.merchant_id)
            field.initial = list(self.instance.channels.values_list("pk", flat=True))

    def clean(self) -> dict[str, Any]:
        """Refuses channels of another merchant."""
        cleaned = super().clean()
        merchant_id = self.instance.merchant_id or getattr(cleaned.get("merchant"), "pk", None)
        strangers = [each for each in cleaned.get("members") or () if each.merchant_id != merchant_id]
        if strangers:
            self.add_error("members", f"{strangers[0]} belongs to another merchant. Leave it out.")
        return cleaned


@admin.register(ChannelGroup)
class ChannelGroupAdmin(HistoryAdmin):
    """Channels taken together, for rules and pools."""

    list_display = ("name", "merchant")
    list_filter = ("merchant",)
    list_select_related = ("merchant",)
    search_fields = ("name",)
    form = GroupForm
    fields = ("merchant", "name", "members")
    actions = ("fill_pool",)
    detail_actions = ("fill_pool",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a group with its merchant."""
        return () if obj is None else ("merchant",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: rules on record name it."""
        return False

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may fill pools."""
        return request.user.has_perm("channels.approve_rulesetversion")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Sets the group's channels and marks what that changes."""
        if "members" in form.cleaned_data:
            chosen = list(form.cleaned_data["members"])
            pools.set_channels(form.instance, chosen, actor=request.user.get_username())

    @admin.action(description="Fill the pool again", permissions=["approve"])
    def fill_pool(self, request: HttpRequest, queryset: QuerySet[ChannelGroup]) -> None:
        """Begins the pools of groups anew."""
        done = sum(pools.fill(group) for group in queryset)
        self.report(request, done, "variant{s} filled again")

    def panels(self, request: HttpRequest, instance: ChannelGroup) -> list[Panel]:
        """Shows the pools that rules give it, and what was used of them."""
        rules = instance.pool_rules.select_related("version__rule_set", "variant", "tag", "pool").order_by(
            "-id"
        )[:50]
        given = [
            (
                page_of(rule.version, rule.version),
                rule.version.get_state_display(),
                rule.scope,
                rule.pool_units,
                rule.pool_percent,
            )
            for rule in rules
        ]
        uses = instance.uses.exclude(units=0).select_related("variant").order_by("-units", "id")[:50]
        used = [(page_of(use.variant), use.units, use.filled_at) for use in uses]
        open_holds = instance.holds.filter(reservation__open_quantity__gt=0).select_related(
            "variant", "reservation"
        )
        held = [
            (page_of(hold.variant), hold.units, hold.reservation.expires_at)
            for hold in open_holds.order_by("-id")[:50]
        ]
        return [
            Panel(
                "Pools",
                ("Version", "State", "Scope", "Units", "Percent"),
                given,
                empty="No rule gives it one.",
            ),
            Panel("Sold from them", ("Variant", "Units", "Filled"), used),
            Panel(
                "Held of them for buyers", ("Variant", "Units", "Until"), held, empty="Nothing is held now."
            ),
        ]


@admin.register(PoolUse)
class PoolUseAdmin(FactsAdmin):
    """What the channels of a group have sold since its pool was filled."""

    list_display = ("group", "variant", "units", "filled_at")
    list_filter = ("group",)
    list_select_related = ("group", "variant")
    search_fields = ("variant__sku__exact",)
    ordering = ("id",)


@admin.register(PoolHold)
class PoolHoldAdmin(FactsAdmin):
    """What is held of pools for buyers who have not ordered yet."""

    list_display = ("group", "variant", "units_held", "until")
    list_filter = ("group",)
    list_select_related = ("group", "variant", "reservation")
    search_fields = ("variant__sku__exact",)
    ordering = ("-id",)

    @admin.display(description="units")
    def units_held(self, hold: PoolHold) -> int:
        """Returns what is still held."""
        return hold.units

    @admin.display(description="until")
    def until(self, hold: PoolHold) -> Any:
        """Returns when the hold ends."""
        return hold.reservation.expires_at


# -- pins


class PinForm(forms.Form):
    """Which number, until when, and why."""

    quantity = forms.IntegerField(
        min_value=0,
        max_value=LARGEST_COUNT,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Shown at most; never more than there is.",
    )
    expires_at = forms.DateTimeField(
        label="Until", widget=UnfoldAdminTextInputWidget, help_text="As 2026-12-24 18:00, in UTC."
    )
    owner = forms.CharField(
        max_length=200, widget=UnfoldAdminTextInputWidget, help_text="Who answers for it."
    )
    reason = forms.CharField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))


def pin_page(request: HttpRequest, level_id: int) -> HttpResponseBase:
    """Asks for the number that a shelf is to show for a while."""
    require(request, "channels.pin_listinglevel")
    level = get_object_or_404(with_channel(ListingLevel.objects.all(), "listing"), pk=level_id)
    initial = {
        "owner": request.user.get_username(),
        "expires_at": (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%d %H:%M"),
    }

    def run(data: dict[str, Any]) -> str:
        pins.pin(level, **data)
        return f"{level.listing.sku or level.listing.external_id} is pinned at {data['quantity']}."

    title = f"Pin {level.listing.sku or level.listing.external_id} on {level.channel.name}"
    back = address_of("channels.listinglevel", level.pk)
    form = PinForm(request.POST or None, initial=initial)
    return ask(request, form, run, title=title, button="Pin", back=back)


class PinFilter(StateFilter):
    """Whether a pin holds."""

    states = (
        ("open", "Holds", lambda q: q.filter(ended_at__isnull=True)),
        ("ended", "Ended", lambda q: q.filter(ended_at__isnull=False)),
    )


@admin.register(Pin)
class PinAdmin(HistoryAdmin):
    """Numbers that people fixed; set on the page of a listing level."""

    list_display = ("sku", "channel_name", "quantity", "holds", "owner", "expires_at", "ended_by", "reason")
    list_filter = (PinFilter,)
    search_fields = ("listing_level__listing__sku__exact", "owner")
    ordering = ("-id",)
    actions = ("end_pins",)
    detail_actions = ("end_pins",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pin]:
        """Brings shelf, listing and channel along."""
        queryset: QuerySet[Pin] = super().get_queryset(request)
        return with_channel(queryset, "listing_level__listing", channel="listing_level__channel")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: pins are set on the page of a listing level."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: a pin is ended, and a new one set."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: what was pinned stays on record."""
        return False

    def has_pin_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may pin."""
        return request.user.has_perm("channels.pin_listinglevel")

    def offers(self, action: str, instance: Pin) -> bool:
        """Offers to end what holds."""
        return instance.ended_at is None

    @admin.display(description="SKU")
    def sku(self, pin: Pin) -> str:
        """Returns the SKU as the platform has it."""
        return pin.listing_level.listing.sku or pin.listing_level.listing.external_id

    @admin.display(description="channel")
    def channel_name(self, pin: Pin) -> str:
        """Names the channel."""
        return pin.listing_level.channel.name

    @admin.display(description="state")
    def holds(self, pin: Pin) -> str:
        """Says whether it holds."""
        return badge("ended") if pin.ended_at else badge("holds", "warning")

    @admin.action(description="End pins", permissions=["pin"])
    def end_pins(self, request: HttpRequest, queryset: QuerySet[Pin]) -> None:
        """Ends pins before their time."""
        total = queryset.count()
        ids = queryset.filter(ended_at__isnull=True).values_list("pk", flat=True)
        done = sum(pins.unpin(pk, by=request.user.get_username()) for pk in list(ids))
        self.report(request, done, "pin{s} ended", {"ended before": total - done})


# -- ranks


class RankForm(forms.ModelForm):  # type: ignore[type-arg]
    """A listing's rank."""

    class Meta:
        model = ListingRank
        fields = ("listing", "rank")

    def clean_rank(self) -> int:
        """Refuses 0."""
        rank: int = self.cleaned_data["rank"]
        if rank < 1:
            raise ValidationError("Ranks begin at 1.")
        return rank


class RankFileForm(forms.Form):
    """A file of ranks."""

    merchant = forms.ModelChoiceField(Merchant.objects.filter(is_active=True))
    file = forms.FileField(help_text="CSV with the columns channel, sku and rank; UTF-8.")


def import_ranks_page(request: HttpRequest) -> HttpResponseBase:
    """Reads ranks from a file."""
    require(request, "channels.add_listingrank")
    form = RankFileForm(request.POST or None, request.FILES or None)

    def run(data: dict[str, Any]) -> str:
        lines = data["file"].read().decode("utf-8-sig", errors="replace").splitlines()
        count = ranks.import_ranks(data["merchant"].pk, lines)
        return f"{count} listings are ranked."

    back = reverse("admin:channels_listingrank_changelist")
    return ask(request, form, run, title="Import ranks", button="Import", back=back)


@admin.register(ListingRank)
class ListingRankAdmin(HistoryAdmin):
    """Which listing of a variant is served first; those without a rank follow by what they sell."""

    list_display = ("listing_sku", "channel_name", "rank", "source")
    list_filter = ("source",)
    search_fields = ("listing__sku__exact",)
    ordering = ("rank", "listing_id")
    form = RankForm
    autocomplete_fields = ("listing",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingRank]:
        """Brings listings and channels along."""
        queryset: QuerySet[ListingRank] = super().get_queryset(request)
        return with_channel(queryset, "listing", channel="listing__channel")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that reads a file."""
        view = self.admin_site.admin_view(import_ranks_page)
        return [path("import/", view, name="channels_import_ranks"), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a rank with its listing."""
        return () if obj is None else ("listing",)

    def save_model(self, request: HttpRequest, obj: ListingRank, form: Any, change: bool) -> None:
        """Enters the rank, and marks whom it moves."""
        ranks.enter_rank(obj.listing, obj.rank)
        saved = ListingRank.objects.get(listing=obj.listing)
        obj.pk, obj.source = saved.pk, saved.source

    def delete_model(self, request: HttpRequest, obj: ListingRank) -> None:
        """Leaves the listing to what it sells."""
        ranks.enter_rank(obj.listing, None)

    @admin.display(description="SKU", ordering="listing__sku")
    def listing_sku(self, rank: ListingRank) -> str:
        """Returns the SKU as the platform has it."""
        return rank.listing.sku or rank.listing.external_id

    @admin.display(description="channel")
    def channel_name(self, rank: ListingRank) -> str:
        """Names the channel."""
        return rank.listing.channel.name


# -- what is measured


@admin.register(ListingStanding)
class ListingStandingAdmin(FactsAdmin):
    """Where shelves stand by rank."""

    list_display = ("sku", "channel_name", "position", "listings", "shelf", "shelves", "sold")
    search_fields = ("listing_level__listing__sku__exact",)
    ordering = ("listing_level_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingStanding]:
        """Brings listings and channels along."""
        queryset: QuerySet[ListingStanding] = super().get_queryset(request)
        return with_channel(queryset, "listing_level__listing", channel="listing_level__channel")

    @admin.display(description="SKU")
    def sku(self, standing: ListingStanding) -> str:
        """Returns the SKU as the platform has it."""
        return standing.listing_level.listing.sku or standing.listing_level.listing.external_id

    @admin.display(description="channel")
    def channel_name(self, standing: ListingStanding) -> str:
        """Names the channel."""
        return standing.listing_level.channel.name


@admin.register(ChannelLag)
class ChannelLagAdmin(FactsAdmin):
    """How long sales elsewhere take to reach a channel."""

    list_display = ("channel_name", "lag", "samples", "measured_at")
    ordering = ("channel_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelLag]:
        """Brings the channels along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="channel")
    def channel_name(self, lag: ChannelLag) -> str:
        """Names the channel."""
        return lag.channel.name

    @admin.display(description="lag")
    def lag(self, lag: ChannelLag) -> str:
        """Returns the span in the unit that fits."""
        return duration(lag.seconds)


@admin.register(LagDemand)
class LagDemandAdmin(FactsAdmin):
    """What sells within a channel's lag."""

    list_display = ("variant", "channel", "q90", "q95", "q99")
    list_filter = (ChannelFilter,)
    search_fields = ("variant__sku__exact",)
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LagDemand]:
        """Brings variants and channels along."""
        return with_channel(super().get_queryset(request), "variant")
