"""Goods are ordered while their variant becomes a kit: one of the two is refused, whichever comes first."""

from contextlib import ExitStack
from functools import partial

import pytest
from django.db import transaction

from inventory import purchasing
from inventory.errors import InvalidStockRequest
from inventory.models import Bundle, PurchaseOrder
from inventory.purchasing import place
from tests.inventory.bundling import Kitchen
from tests.inventory.buying import draft
from tests.inventory.racing import PATIENCE, meanwhile, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def ordered(kitchen: Kitchen) -> PurchaseOrder:
    return draft(kitchen.merchant.pk, kitchen.warehouse, [(kitchen.shirt, 3)])


def test_goods_of_what_is_becoming_a_kit_are_not_ordered() -> None:
    kitchen = Kitchen()
    order = ordered(kitchen)
    with ExitStack() as stack, transaction.atomic():
        kitchen.make(kitchen.shirt, {kitchen.mug: 1})
        placing = stack.enter_context(meanwhile(partial(place, kitchen.merchant.pk, order.pk)))
        wait_until_blocked()
    with pytest.raises(InvalidStockRequest, match="a kit has no stock of its own"):
        placing.result(PATIENCE)
    order.refresh_from_db()
    assert order.is_draft


def test_what_is_being_ordered_does_not_become_a_kit() -> None:
    kitchen = Kitchen()
    order = ordered(kitchen)
    with ExitStack() as stack, transaction.atomic():
        assert place(kitchen.merchant.pk, order.pk)
        making = stack.enter_context(meanwhile(partial(kitchen.make, kitchen.shirt, {kitchen.mug: 1})))
        wait_until_blocked()
    with pytest.raises(InvalidStockRequest, match="units of it are to come on purchase orders"):
        making.result(PATIENCE)
    assert not Bundle.objects.filter(variant=kitchen.shirt).exists()


def test_without_the_lock_a_kit_has_goods_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen = Kitchen()
    order = ordered(kitchen)
    monkeypatch.setattr(purchasing, "keep_recipes", lambda merchant_id: None)
    with ExitStack() as stack, transaction.atomic():
        kitchen.make(kitchen.shirt, {kitchen.mug: 1})
        placing = stack.enter_context(meanwhile(partial(place, kitchen.merchant.pk, order.pk)))
        assert placing.result(PATIENCE)
    order.refresh_from_db()
    assert not order.is_draft
    assert Bundle.objects.filter(variant=kitchen.shirt, kind="kit").exists()
