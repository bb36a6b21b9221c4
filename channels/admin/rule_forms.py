"""The rules of a version as they are edited: one form a rule, the variant named by its SKU."""

from typing import Any, ClassVar

from django import forms
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest
from unfold.admin import StackedInline

from channels.models import Channel, ChannelGroup, Rule, RuleSetVersion
from channels.models.rules import SETTINGS
from inventory.models import Tag, Variant


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
