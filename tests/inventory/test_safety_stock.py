"""Safety stock is planning: it moves nothing, and channels hear of it at once."""

import pytest

from inventory.announcements import LevelChange
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.models import StockLevel
from inventory.safety_stock import set_safety_stock
from tests.inventory.cast import Cast, ledger_size, listening


def test_it_is_set_for_a_variant_at_a_place_and_announced(cast: Cast) -> None:
    cast.receive(5)
    size = ledger_size()
    with listening() as heard:
        assert set_safety_stock(cast.merchant.pk, {(cast.mug.pk, cast.warehouse.pk): 2}) == 1
    assert heard == [(cast.merchant.pk, [LevelChange(cast.mug.pk, cast.warehouse.pk, -2, 5)])]
    assert StockLevel.objects.get().safety_stock == 2
    assert ledger_size() == size


def test_the_same_figure_again_is_no_change(cast: Cast) -> None:
    wanted = {(cast.mug.pk, cast.warehouse.pk): 2, (cast.shirt.pk, cast.store.pk): 1}
    assert set_safety_stock(cast.merchant.pk, wanted) == 2
    with listening() as heard:
        assert set_safety_stock(cast.merchant.pk, wanted) == 0
    assert heard == []


def test_other_levels_of_the_same_variants_and_places_keep_theirs(cast: Cast) -> None:
    pairs = [(v.pk, place) for v in (cast.mug, cast.shirt) for place in cast.places]
    set_safety_stock(cast.merchant.pk, dict.fromkeys(pairs, 7))
    set_safety_stock(cast.merchant.pk, {pairs[0]: 1, pairs[3]: 2})
    figures = {
        (level.variant_id, level.location_id): level.safety_stock for level in StockLevel.objects.all()
    }
    assert figures == {pairs[0]: 1, pairs[1]: 7, pairs[2]: 7, pairs[3]: 2}


def test_what_makes_no_sense_is_refused(cast: Cast, stranger: Cast) -> None:
    with pytest.raises(InvalidStockRequest, match="safety_stock"):
        set_safety_stock(cast.merchant.pk, {(cast.mug.pk, cast.warehouse.pk): -1})
    with pytest.raises(UnknownStock):
        set_safety_stock(cast.merchant.pk, {(stranger.mug.pk, cast.warehouse.pk): 1})
