"""Up to 1,000 variants in one request: what is wrong with one item keeps no other from being written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer, ValidationError
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from config.api.examples import answer_example
from config.api.problems import FieldErrorSerializer, flat
from inventory.access import Caller
from inventory.api.visibility import visible
from inventory.models import BundleComponent, Product, Variant

_CHANGED = ("product_id", "title", "gtin", "is_active")


class BulkItemSerializer(serializers.Serializer[Any]):
    """What became of one item."""

    index = serializers.IntegerField(help_text="Its place in the request, from 0.")
    status = serializers.ChoiceField(choices=["created", "updated", "unchanged", "refused"])
    id = serializers.IntegerField(allow_null=True)
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]


@answer_example(
    "One new, one refused",
    {
        "results": [
            {"index": 0, "status": "created", "id": 7, "errors": []},
            {
                "index": 1,
                "status": "refused",
                "id": None,
                "errors": [{"field": "sku", "message": "This field may not be blank."}],
            },
        ]
    },
)
class BulkResultSerializer(serializers.Serializer[Any]):
    """What became of the items, in their order."""

    results = BulkItemSerializer(many=True)


@dataclass(slots=True)
class _Item:
    """One item on its way."""

    index: int
    wanted: dict[str, Any] = field(default_factory=dict)
    variant: Variant | None = None
    status: str = "refused"
    errors: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, name: str, message: str) -> None:
        """Notes what is wrong with it."""
        self.errors.append({"field": name, "message": message})

    @property
    def result(self) -> dict[str, Any]:
        """What the caller is told of it."""
        identity = self.variant.pk if self.variant is not None and not self.errors else None
        return {"index": self.index, "status": self.status, "id": identity, "errors": self.errors}


def upsert(caller: Caller, given: Sequence[Any], shape: BaseSerializer[Any]) -> dict[str, Any]:
    """Writes the items, which `shape` checks, in a constant number of statements; returns what became of each."""
    try:
        with transaction.atomic():
            return _upsert(caller, given, shape)
    except IntegrityError:
        # Somebody has added a SKU of theirs meanwhile: it is known by now.
        return _upsert(caller, given, shape)


def _upsert(caller: Caller, given: Sequence[Any], shape: BaseSerializer[Any]) -> dict[str, Any]:
    items = [_checked(index, each, shape) for index, each in enumerate(given)]
    _refuse_repeats(items)
    _refuse_products(caller, items)
    known = _known(caller, items)
    _refuse_parts(items, known)
    good = [item for item in items if not item.errors]
    _update(caller, [item for item in good if item.wanted["sku"] in known], known)
    _create(caller, [item for item in good if item.wanted["sku"] not in known])
    return {"results": [item.result for item in items]}


def _checked(index: int, given: Any, shape: BaseSerializer[Any]) -> _Item:
    try:
        return _Item(index, dict(shape.run_validation(given)))
    except ValidationError as error:
        item = _Item(index)
        for name, message in flat(error.detail):
            item.refuse(name, message)
        return item


def _refuse_repeats(items: Sequence[_Item]) -> None:
    seen: set[str] = set()
    for item in items:
        sku = item.wanted.get("sku")
        if sku in seen:
            item.refuse("sku", "An earlier item has this SKU. Name it once.")
        elif sku is not None:
            seen.add(sku)


def _refuse_products(caller: Caller, items: Sequence[_Item]) -> None:
    named = {item.wanted["product_id"] for item in items if "product_id" in item.wanted}
    known = (
        set(visible(caller, Product).filter(pk__in=named).values_list("pk", flat=True)) if named else set()
    )
    for item in items:
        if item.wanted.get("product_id") in named - known:
            item.refuse("product_id", "There is no such product.")


def _known(caller: Caller, items: Sequence[_Item]) -> dict[str, Variant]:
    """Returns the variants that there are already, under lock."""
    skus = {item.wanted["sku"] for item in items if not item.errors}
    rows = visible(caller, Variant).filter(sku__in=skus).order_by("pk").select_for_update(no_key=True)
    return {variant.sku: variant for variant in rows}


def _refuse_parts(items: Sequence[_Item], known: Mapping[str, Variant]) -> None:
    """Refuses to switch off what bundles are made of."""
    ending = {
        known[item.wanted["sku"]].pk: item
        for item in items
        if not item.errors and item.wanted.get("is_active") is False and item.wanted["sku"] in known
    }
    if not ending:
        return
    used = BundleComponent.objects.filter(variant_id__in=ending, bundle__is_current=True)
    for variant_id in set(used.values_list("variant_id", flat=True)):
        ending[variant_id].refuse("is_active", "It is a component of a bundle; take it out of there first.")


def _update(caller: Caller, items: Sequence[_Item], known: Mapping[str, Variant]) -> None:
    changed = []
    for item in items:
        variant = item.variant = known[item.wanted["sku"]]
        before = [getattr(variant, name) for name in _CHANGED]
        for name in _CHANGED:
            setattr(variant, name, item.wanted.get(name, getattr(variant, name)))
        is_same = before == [getattr(variant, name) for name in _CHANGED]
        item.status = "unchanged" if is_same else "updated"
        if not is_same:
            changed.append(variant)
    if changed:
        fields, reason = ["product", "title", "gtin", "is_active"], caller.change_reason
        bulk_update_with_history(changed, Variant, fields, default_change_reason=reason)


def _create(caller: Caller, items: Sequence[_Item]) -> None:
    """Adds the new ones, each with a product of its own where none was named; by SKU, so that two requests take turns."""
    if not items:
        return
    items = sorted(items, key=lambda item: str(item.wanted["sku"]))
    alone = [item for item in items if "product_id" not in item.wanted]
    titles = [item.wanted.get("title") or item.wanted["sku"] for item in alone]
    made = [Product(merchant_id=caller.merchant_id, title=title) for title in titles]
    products = _bulk_create(caller, made, Product)
    for item, product in zip(alone, products, strict=True):
        item.wanted["product_id"] = product.pk
    new = [Variant(merchant_id=caller.merchant_id, **item.wanted) for item in items]
    for item, variant in zip(items, _bulk_create(caller, new, Variant), strict=True):
        item.variant, item.status = variant, "created"


def _bulk_create(caller: Caller, rows: list[Any], model: type[Model]) -> list[Any]:
    if not rows:
        return []
    reason = caller.change_reason
    return list(bulk_create_with_history(rows, model, batch_size=1_000, default_change_reason=reason))
