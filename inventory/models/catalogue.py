"""What is sold, by whom, and where it is kept."""

from django.core.exceptions import ValidationError
from django.db import models
from simple_history.models import HistoricalRecords


class Merchant(models.Model):
    """A tenant: owns everything below it, sees nothing of the others."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=64, unique=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """What a customer browses; it groups variants and holds no stock itself."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="products")
    title = models.CharField(max_length=300)
    category = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["title", "id"]
        indexes = [models.Index(fields=["merchant", "title"], name="product_by_title")]

    def __str__(self) -> str:
        return self.title


class Variant(models.Model):
    """What is counted: one sellable form of a product, known by its SKU."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="variants")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="variants")
    #: Case-sensitive and unique within the merchant.
    sku = models.CharField("SKU", max_length=128)
    gtin = models.CharField("GTIN", max_length=14, blank=True)
    title = models.CharField(max_length=300, blank=True)
    #: How its quantities are entered and shown; empty: in pieces.
    unit = models.ForeignKey(
        "inventory.UnitOfMeasure",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="variants",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["sku"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "sku"], name="variant_sku_is_unique_per_merchant"),
            models.CheckConstraint(condition=~models.Q(sku=""), name="variant_sku_is_not_empty"),
        ]
        indexes = [models.Index(fields=["merchant", "gtin"], name="variant_by_gtin")]

    def __str__(self) -> str:
        return self.sku

    def clean(self) -> None:
        """Refuses another merchant's unit of measure, and to switch off what bundles are made of."""
        if self.unit is not None and self.unit.merchant_id != self.merchant_id:
            raise ValidationError({"unit": f"{self.unit} is a unit of measure of another merchant."})
        if self.pk and not self.is_active:
            used = self.component_of.filter(bundle__is_current=True).order_by("bundle__variant__sku")
            skus = list(used.values_list("bundle__variant__sku", flat=True)[:5])
            if skus:
                raise ValidationError(
                    {"is_active": f"It is a component of {', '.join(skus)}; take it out of there first."}
                )


class LocationKind(models.TextChoices):
    """Who keeps the goods at a location."""

    WAREHOUSE = "warehouse", "Warehouse"
    STORE = "store", "Store"
    THIRD_PARTY = "3pl", "Third-party logistics"
    #: Stock in a platform's own warehouse (FBA, FBB); never drawn on for other channels.
    CHANNEL_OWNED = "channel_owned", "Channel-owned"
    SUPPLIER = "supplier", "Supplier"
    #: Where goods are between two places: one for each merchant, made by its first transfer and never drawn on.
    IN_TRANSIT = "in_transit", "In transit"


class Location(models.Model):
    """A place that holds stock."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="locations")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=LocationKind.choices, default=LocationKind.WAREHOUSE)
    #: ISO 3166-1 alpha-2.
    country = models.CharField(max_length=2, blank=True)
    #: Orders that it can ship a day; empty: as many as come.
    daily_orders = models.PositiveIntegerField("orders a day", null=True, blank=True)
    #: Units that it can ship a day; empty: as many as come.
    daily_units = models.PositiveIntegerField("units a day", null=True, blank=True)
    is_active = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "code"], name="location_code_is_unique_per_merchant"),
            models.UniqueConstraint(
                fields=["merchant"],
                condition=models.Q(kind="in_transit"),
                name="merchant_has_one_place_in_transit",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="in_transit", is_active=True),
                name="in_transit_is_never_drawn_on",
            ),
        ]

    def __str__(self) -> str:
        return self.code
