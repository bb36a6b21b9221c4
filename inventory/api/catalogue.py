"""Products, variants and locations."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import answer_example, request_example
from config.api.fields import RowId, StrictSerializer, Text, Truth, Whole, items
from config.api.problems import NOT_FOUND, Problem
from inventory.api.bulk_variants import BulkResultSerializer, upsert
from inventory.api.filters import Filters, TruthFilter, WholeFilter
from inventory.api.naming import Code, Sku
from inventory.api.views import Changes, step
from inventory.models import Location, Merchant, Product, Variant
from inventory.models.catalogue import LocationKind
from inventory.switching import announce_switched
from inventory.tagging import note_category


@answer_example(
    "A product",
    {"id": 4, "title": "Mug", "category": "Kitchen", "created_at": "2026-01-02T09:00:00Z"},
)
class ProductSerializer(serializers.ModelSerializer[Product]):
    """What a customer browses; it groups variants."""

    class Meta:
        model = Product
        fields = ("id", "title", "category", "created_at")
        read_only_fields = fields


@request_example("A product", {"title": "Mug", "category": "Kitchen"})
class ProductBodySerializer(StrictSerializer):
    """A product."""

    title = Text(max_length=300)
    category = Text(allow_blank=True, required=False)


class ProductFilters(Filters):
    """Products by title or category."""

    title = django_filters.CharFilter(lookup_expr="iexact")
    category = django_filters.CharFilter()


class Products(Changes):
    """Products: what customers browse."""

    resource, name_of_rows, model = "catalogue", "products", Product
    serializer_class = ProductSerializer
    create_class = change_class = ProductBodySerializer
    filterset_class = ProductFilters

    def create(self, request: Request) -> Response:
        """Adds a product."""
        product = Product(merchant_id=self.caller.merchant_id, **self.body(ProductBodySerializer))
        self.signed(product).save()
        return self.shown(product, status=HTTPStatus.CREATED)

    def change(self, row: Product, wanted: dict[str, Any]) -> None:
        """Changes a product; rules that go by its category hear of it."""
        was = row.category
        super().change(row, wanted)
        if row.category != was:
            note_category(row)


@answer_example(
    "A blue mug",
    {
        "id": 7,
        "sku": "MUG-BLUE",
        "gtin": "4006381333931",
        "title": "Mug, blue",
        "product_id": 4,
        "unit": None,
        "is_active": True,
        "created_at": "2026-01-02T09:00:00Z",
    },
)
class VariantSerializer(serializers.ModelSerializer[Variant]):
    """What is counted: one sellable form of a product."""

    product_id = serializers.IntegerField()
    unit = serializers.CharField(
        source="unit.code",
        allow_null=True,
        default=None,
        help_text="How people enter it; quantities here are in base units.",
    )

    class Meta:
        model = Variant
        fields = ("id", "sku", "gtin", "title", "product_id", "unit", "is_active", "created_at")
        read_only_fields = fields


@request_example("A blue mug", {"sku": "MUG-BLUE", "title": "Mug, blue", "gtin": "4006381333931"})
class VariantBodySerializer(StrictSerializer):
    """A variant."""

    sku = Sku(help_text="Case-sensitive, unique within the merchant.")
    product_id = RowId(required=False, help_text="Without it, a product of the same title is added.")
    title = Text(max_length=300, allow_blank=True, required=False)
    gtin = serializers.RegexField(
        r"\A(?:[0-9]{8}|[0-9]{12,14})?\Z", required=False, allow_blank=True, trim_whitespace=False
    )
    is_active = Truth(required=False)


@request_example(
    "Two variants", {"items": [{"sku": "MUG-BLUE", "title": "Mug, blue"}, {"sku": "TRAY", "title": "Tray"}]}
)
class BulkVariantsSerializer(StrictSerializer):
    """Up to 1,000 variants."""

    items = items(serializers.JSONField(help_text="As for one variant."))


class VariantFilters(Filters):
    """Variants by SKU, GTIN, product or whether they are in use."""

    sku = django_filters.CharFilter()
    gtin = django_filters.CharFilter()
    product = WholeFilter(field_name="product_id")
    is_active = TruthFilter()


class Variants(Changes):
    """Variants: what is counted."""

    resource, name_of_rows, model = "catalogue", "variants", Variant
    serializer_class = VariantSerializer
    create_class = change_class = VariantBodySerializer
    filterset_class = VariantFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings the units of measure along."""
        return rows.select_related("unit")

    def create(self, request: Request) -> Response:
        """Adds a variant."""
        wanted = self.body(VariantBodySerializer)
        product_id = self._product_id(wanted) or self._new_product(wanted)
        variant = Variant(merchant_id=self.caller.merchant_id, product_id=product_id, **wanted)
        self.signed(variant).save()
        return self.shown(variant, status=HTTPStatus.CREATED)

    def change(self, row: Variant, wanted: dict[str, Any]) -> None:
        """Changes a variant."""
        product_id = self._product_id(wanted)
        super().change(row, {**wanted, **({"product_id": product_id} if product_id else {})})

    def _product_id(self, wanted: dict[str, Any]) -> int | None:
        product_id: int | None = wanted.pop("product_id", None)
        if product_id is not None and not self.rows(Product).filter(pk=product_id).exists():
            raise Problem(NOT_FOUND, "There is no such product.", field="product_id")
        return product_id

    def _new_product(self, wanted: dict[str, Any]) -> int:
        product = Product(merchant_id=self.caller.merchant_id, title=wanted.get("title") or wanted["sku"])
        self.signed(product).save()
        return product.pk

    @step(BulkVariantsSerializer, BulkResultSerializer, on_row=False, url_path="bulk", url_name="bulk")
    def bulk(self, request: Request) -> Response:
        """Adds up to 1,000 variants, or changes those whose SKU is known; each item has a result of its own."""
        given = self.body(BulkVariantsSerializer)["items"]
        return Response(upsert(self.caller, given, VariantBodySerializer()))


@answer_example(
    "A warehouse",
    {
        "id": 2,
        "code": "main",
        "name": "Main warehouse",
        "kind": "warehouse",
        "country": "NL",
        "daily_orders": None,
        "daily_units": None,
        "is_active": True,
    },
)
class LocationSerializer(serializers.ModelSerializer[Location]):
    """A place that holds stock."""

    kind = serializers.ChoiceField(choices=LocationKind.choices)

    class Meta:
        model = Location
        fields = ("id", "code", "name", "kind", "country", "daily_orders", "daily_units", "is_active")
        read_only_fields = fields


#: Kinds that people and systems choose from.
CHOSEN_KINDS = [(kind.value, kind.label) for kind in LocationKind if kind is not LocationKind.IN_TRANSIT]


@request_example(
    "A warehouse", {"code": "main", "name": "Main warehouse", "kind": "warehouse", "country": "NL"}
)
class LocationBodySerializer(StrictSerializer):
    """A location."""

    code = Code()
    name = Text()
    kind = serializers.ChoiceField(choices=CHOSEN_KINDS, required=False)
    country = serializers.RegexField(
        r"\A(?:[A-Z]{2})?\Z",
        required=False,
        allow_blank=True,
        help_text="ISO 3166-1 alpha-2.",
        trim_whitespace=False,
    )
    daily_orders = Whole(
        max_value=2**31 - 1, required=False, allow_null=True, help_text="Orders that it can ship a day."
    )
    daily_units = Whole(
        max_value=2**31 - 1, required=False, allow_null=True, help_text="Units that it can ship a day."
    )
    is_active = Truth(required=False)


class LocationFilters(Filters):
    """Locations by code, kind or whether they are in use."""

    code = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=LocationKind.choices)
    is_active = TruthFilter()


class Locations(Changes):
    """Locations: where stock lies."""

    resource, name_of_rows, model = "catalogue", "locations", Location
    serializer_class = LocationSerializer
    create_class = change_class = LocationBodySerializer
    filterset_class = LocationFilters

    def create(self, request: Request) -> Response:
        """Adds a location."""
        location = Location(
            merchant=Merchant(pk=self.caller.merchant_id), **self.body(LocationBodySerializer)
        )
        self.signed(location).save()
        return self.shown(location, status=HTTPStatus.CREATED)

    def change(self, row: Location, wanted: dict[str, Any]) -> None:
        """Changes a location; channels hear of one that is switched on or off. The place between two places stays as it is."""
        if row.kind == LocationKind.IN_TRANSIT:
            raise Problem(NOT_FOUND, "The place between two places is looked after by transfers.")
        was_active = row.is_active
        super().change(row, wanted)
        if row.is_active != was_active:
            announce_switched(row)
