"""What variants are made of."""

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.examples import request_example
from config.api.fields import Quantity, StrictSerializer
from config.api.problems import WRONG_STATE, Problem
from inventory import bundles
from inventory.api.filters import Filters, TruthFilter
from inventory.api.naming import Sku, check_once, variant_id, variant_ids
from inventory.api.views import Reads, step
from inventory.models import Bundle, BundleComponent, BundleKind
from inventory.recipes import LARGEST_AMOUNT, MOST_PARTS


class ComponentSerializer(serializers.ModelSerializer[BundleComponent]):
    """One component."""

    sku = serializers.CharField(source="variant.sku")

    class Meta:
        model = BundleComponent
        fields = ("sku", "quantity")
        read_only_fields = fields


class BundleSerializer(serializers.ModelSerializer[Bundle]):
    """One version of what a variant is made of."""

    sku = serializers.CharField(source="variant.sku")
    kind = serializers.ChoiceField(choices=BundleKind.choices)
    components = ComponentSerializer(many=True)

    class Meta:
        model = Bundle
        fields = ("id", "sku", "version", "kind", "is_current", "components", "created_at")
        read_only_fields = fields


class ComponentBodySerializer(StrictSerializer):
    """One component."""

    sku = Sku()
    quantity = Quantity(max_value=LARGEST_AMOUNT, help_text="In one bundle, in the component's base unit.")


@request_example(
    "A gift set of two mugs and a tray",
    {
        "sku": "GIFT-SET",
        "kind": "kit",
        "components": [{"sku": "MUG-BLUE", "quantity": 2}, {"sku": "TRAY", "quantity": 1}],
    },
)
class BundleBodySerializer(StrictSerializer):
    """What a variant is made of from now on."""

    sku = Sku()
    kind = serializers.ChoiceField(choices=BundleKind.choices)
    components = serializers.ListField(child=ComponentBodySerializer(), min_length=1, max_length=MOST_PARTS)


class BundleFilters(Filters):
    """Bundles by SKU, kind, or whether they are the current version."""

    sku = django_filters.CharFilter(field_name="variant__sku")
    kind = django_filters.ChoiceFilter(choices=BundleKind.choices)
    is_current = TruthFilter()


class Bundles(Reads):
    """Bundles: kits and composites, in versions."""

    resource, name_of_rows, model = "bundles", "bundles", Bundle
    serializer_class = BundleSerializer
    filterset_class = BundleFilters

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings variant and components along."""
        return rows.select_related("variant").prefetch_related("components__variant")

    @extend_schema(request=BundleBodySerializer, responses={201: BundleSerializer})
    def create(self, request: Request) -> Response:
        """Says what a variant is made of, in a new version; what is held stays what it was made of."""
        body = self.body(BundleBodySerializer)
        check_once(body["components"], "sku", within="components")
        whole = variant_id(self.caller, body["sku"])
        parts = variant_ids(self.caller, body["components"], within="components")
        components = [bundles.Component(parts[each["sku"]], each["quantity"]) for each in body["components"]]
        bundles.define(self.context(), whole, BundleKind(body["kind"]), components)
        current = self.rows(Bundle).get(variant_id=whole, is_current=True)
        return self.shown(current, status=HTTPStatus.CREATED)

    @step(None, BundleSerializer)
    def dissolve(self, request: Request, pk: str) -> Response:
        """Makes a bundle a plain variant again. Harmless where it is one already."""
        bundle: Any = self.found(pk)
        current = self.rows(Bundle).filter(variant_id=bundle.variant_id, is_current=True)
        if not bundle.is_current and current.exists():
            raise Problem(WRONG_STATE, "Another version is the current one. Dissolve that.")
        bundles.dissolve(self.context(), bundle.variant_id)
        return self.shown(bundle)
