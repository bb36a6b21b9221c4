"""Rule sets and their versions: drawn up, compared, approved, put in force, rolled back."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.db import connection
from django.db.models import ForeignKey, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from unfold.admin import StackedInline

from channels.admin.decisions import BecauseForm, ask
from channels.admin.rehearsals import rehearsals_panel
from channels.errors import RuleRefused
from channels.models import Channel, ChannelGroup, Rule, RuleSet, RuleSetActivation, RuleSetVersion
from channels.models.rules import SETTINGS, VersionState
from channels.rules import lifecycle
from channels.rules.differences import differences
from channels.rules.starter import add_starter_set
from config.admin_forms import OwnNameForm
from config.admin_panels import NOTHING, Panel, address_of, badge, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter, own_page, require
from inventory.models import Merchant, Tag, Variant

_TONES: Final = {"draft": "neutral", "approved": "warning", "active": "good", "retired": "neutral"}
_APPROVE: Final = "channels.approve_rulesetversion"


def state_badge(version: RuleSetVersion) -> str:
    """Returns a version's state as a word that stands out."""
    return badge(version.get_state_display(), _TONES[version.state])


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
        return request.user.has_perm(_APPROVE)

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
            version = lifecycle.draw_up(rule_set, actor=_name(request), based_on=based_on)
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
                run(rule_set.pk, actor=_name(request), because=why)
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
        version = add_starter_set(data["merchant"], actor=_name(request))
        return f"{version} is drawn up. Look at its rules, then approve it."

    note = "Fast sellers keep 1 to 3 pieces back, and marketplaces show 5 at most. Nothing changes until it is in force."
    back = reverse("admin:channels_rulesetversion_changelist")
    form = StarterForm(request.POST or None)
    return ask(request, form, run, title="Add the starter set", button="Add", back=back, note=note)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """One rule; the variant is named by its SKU."""

    sku = forms.CharField(
        label="SKU", required=False, help_text="One variant; else a tag, a category, or all."
    )

    class Meta:
        model = Rule
        fields = (
            "position",
            "channel",
            "group",
            "tag",
            "category",
            *SETTINGS,
            "pool",
            "pool_units",
            "pool_percent",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.variant_id:
            self.fields["sku"].initial = self.instance.variant.sku
        for field in ("channel", "group"):
            self.fields[field].empty_label = "all channels"  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Finds the variant."""
        cleaned: dict[str, Any] = super().clean() or {}
        sku = (cleaned.get("sku") or "").strip()
        self.instance.variant = None
        if sku:
            merchant_id = self.instance.version.rule_set.merchant_id
            self.instance.variant = Variant.objects.filter(merchant=merchant_id, sku=sku).first()
            if self.instance.variant is None:
                self.add_error("sku", f"No variant has the SKU {sku}. SKUs are case-sensitive.")
        return cleaned


class RuleInline(StackedInline):
    """The rules of a version, in their order."""

    model = Rule
    form = RuleForm
    extra = 0
    tab = False
    fieldsets: ClassVar[Any] = (
        (None, {"fields": (("position", "sku"), ("tag", "category"), ("channel", "group"))}),
        (
            "What is held back",
            {
                "fields": (
                    ("buffer_units", "buffer_percent"),
                    ("velocity_quantile", "velocity_least", "velocity_most"),
                )
            },
        ),
        (
            "What is shown",
            {"fields": (("minimum", "maximum", "channel_cap"), ("daily_increases", "preorder_limit"))},
        ),
        ("Scarce stock", {"fields": (("scarce_below", "scarce_listings"),)}),
        ("Ring-fenced pool", {"fields": (("pool", "pool_units", "pool_percent"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        """Brings the variants along."""
        queryset: QuerySet[Rule] = super().get_queryset(request)
        return queryset.select_related(
            "variant", "tag", "channel", "group", "pool", "version__rule_set"
        ).defer("channel__credentials")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Remembers whose rules they are."""
        request.rule_merchant = obj.rule_set.merchant_id if obj else None  # type: ignore[attr-defined]
        return super().get_formset(request, obj, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offers the merchant's own channels, groups and tags, each read once for all rows of the form."""
        merchant_id = getattr(request, "rule_merchant", None)
        model: Any = {"channel": Channel, "group": ChannelGroup, "pool": ChannelGroup, "tag": Tag}.get(
            db_field.name
        )
        if model is not None:
            own = model.objects.filter(merchant=merchant_id) if merchant_id else model.objects.all()
            kwargs["queryset"] = own.defer("credentials") if model is Channel else own
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and model is not None:
            field.choices = list(field.choices)
        return field

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lets rules be added to drafts alone."""
        return _is_editable(obj) and bool(super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lets rules of drafts alone be edited."""
        return _is_editable(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lets rules of drafts alone be taken out."""
        return _is_editable(obj) and bool(super().has_delete_permission(request, obj))


def _is_editable(version: Any) -> bool:
    return isinstance(version, RuleSetVersion) and version.is_draft


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
        if request.user.has_perm(_APPROVE):
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


def difference_panel(before: RuleSetVersion | None, after: RuleSetVersion) -> Panel:
    """Shows what a version states otherwise than another one."""
    rows = [(d.scope, d.setting.replace("_", " "), d.before, d.after) for d in differences(before, after)]
    old = f"v{before.number}" if before else "Nothing"
    title = f"Differences from v{before.number}" if before else "What it states"
    headers = ("Scope", "Setting", old, f"v{after.number}")
    return Panel(title, headers, rows, empty="They state the same.")


def differences_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Compares a version with another one of its set."""
    require(request, "channels.view_rulesetversion")
    version = get_object_or_404(RuleSetVersion.objects.select_related("rule_set"), pk=version_id)
    others = list(version.rule_set.versions.exclude(pk=version.pk).order_by("-number")[:200])
    chosen = request.GET.get("with", "")
    fallback = next((each for each in others if each.number < version.number), None)
    other = next((each for each in others if str(each.pk) == chosen), fallback)
    return own_page(
        request,
        "onecount/differences.html",
        f"What {version} states otherwise",
        version=version,
        others=others,
        other=other,
        back=address_of("channels.rulesetversion", version.pk),
        panels=[difference_panel(other, version)],
    )


def _decide(
    request: HttpRequest, version_id: int, button: str, run: Callable[..., str], note: str
) -> HttpResponseBase:
    require(request, _APPROVE)
    version = get_object_or_404(RuleSetVersion.objects.select_related("rule_set"), pk=version_id)
    before = version.rule_set.versions.filter(state=VersionState.ACTIVE).exclude(pk=version.pk).first()
    return ask(
        request,
        BecauseForm(request.POST or None),
        lambda data: run(version, data["because"]),
        title=f"{button}: {version}",
        button=button,
        back=address_of("channels.rulesetversion", version.pk),
        note=note,
        panels=[difference_panel(before, version)],
    )


def approve_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Closes a draft to edits."""

    def run(version: RuleSetVersion, because: str) -> str:
        lifecycle.approve(version.pk, actor=_name(request), because=because)
        return f"{version} is approved."

    note = (
        "From then on its rules cannot be edited. It comes into force on its day, or when somebody says so."
    )
    return _decide(request, version_id, "Approve", run, note)


def withdraw_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Makes an approved version a draft again."""

    def run(version: RuleSetVersion, because: str) -> str:
        lifecycle.withdraw_approval(version.pk)
        return f"{version} is a draft again."

    return _decide(
        request, version_id, "Withdraw approval", run, "It becomes a draft again and can be edited."
    )


def activate_page(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Puts a version in force."""

    def run(version: RuleSetVersion, because: str) -> str:
        if lifecycle.activate(version.pk, actor=_name(request), because=because):
            return f"{version} is in force. The numbers it changes are being told."
        return f"{version} changes more listings than the fuse lets pass. It waits under Mass changes for a decision."

    note = "The version in force is retired. One click on its rule set rolls back."
    return _decide(request, version_id, "Put in force", run, note)


def _name(request: HttpRequest) -> str:
    return request.user.get_username()


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
