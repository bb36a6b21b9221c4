"""Whatever two versions state, rolling the second one back restores the numbers of the first."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.exposure import targets
from channels.models import ListingLevel
from channels.rules import lifecycle
from inventory.models import Product, Tag
from inventory.tagging import tag
from tests.channels.rules.drawing import group_of, in_force, sell_on, settle_marks
from tests.channels.shop import Shop, open_shop
from tests.properties import examples

pytestmark = pytest.mark.django_db

UNITS = st.none() | st.integers(0, 9)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """One rule: where it holds, in words, and what it states."""
    if draw(st.booleans()) and draw(st.booleans()):
        return {
            "goods": draw(st.sampled_from(["", "tag", "MUG"])),
            "pool": True,
            "pool_units": draw(st.integers(0, 9)),
        }
    minimum = draw(UNITS)
    return {
        "goods": draw(st.sampled_from(["", "category", "tag", "MUG", "CUP"])),
        "channels": draw(st.sampled_from(["", "group", "channel"])),
        "buffer_units": draw(UNITS),
        "buffer_percent": draw(st.none() | st.integers(0, 100)),
        "minimum": minimum,
        "maximum": draw(st.none() | st.integers(minimum or 0, 20)),
        "scarce_below": draw(UNITS),
        "channel_cap": draw(UNITS),
        "velocity_quantile": draw(st.sampled_from([None, 0, 95])),
        "velocity_least": draw(st.none() | st.integers(0, 3)),
    }


class House:
    """A shop with two variants on two channels, and everything that a rule can name."""

    def __init__(self) -> None:
        self.shop: Shop = open_shop({"MUG": 9, "CUP": 4})
        for sku in ("MUG", "CUP"):
            self.shop.list_variant(sku)
        self.channel, _ = sell_on(self.shop, "other", "MUG", "CUP")
        self.group = group_of(self.shop.merchant, "Group", self.channel)
        Product.objects.update(category="Kitchen")
        self.tag = Tag.objects.create(merchant=self.shop.merchant, name="hot")
        tag(self.tag, [self.shop.variants["CUP"]])

    def rule(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Returns the fields of a drawn rule."""
        values = {k: v for k, v in drawn.items() if k not in {"goods", "channels", "pool"}}
        goods: dict[str, Any] = {
            "category": {"category": "Kitchen"},
            "tag": {"tag": self.tag},
            "MUG": {"variant": self.shop.variants["MUG"]},
            "CUP": {"variant": self.shop.variants["CUP"]},
        }
        channels: dict[str, Any] = {"group": {"group": self.group}, "channel": {"channel": self.shop.channel}}
        pool = {"pool": self.group} if drawn.get("pool") else {}
        return {
            **values,
            **goods.get(drawn["goods"], {}),
            **channels.get(drawn.get("channels", ""), {}),
            **pool,
        }

    def numbers(self) -> dict[int, int]:
        return targets(list(ListingLevel.objects.values_list("id", flat=True)))


@pytest.mark.property
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(rules(), max_size=4), st.lists(rules(), max_size=4))
def test_a_rollback_restores_the_same_numbers_and_marks_all_that_differ(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    with transaction.atomic():
        house = House()
        version = in_force(house.shop.merchant, *map(house.rule, first))
        before = house.numbers()
        settle_marks()
        in_force(house.shop.merchant, *map(house.rule, second))
        between = house.numbers()
        assert _changed(before, between) <= _due()
        settle_marks()
        lifecycle.roll_back(version.rule_set_id, actor="anna", because="back")
        assert house.numbers() == before
        assert _changed(before, between) <= _due()
        transaction.set_rollback(True)


def _changed(one: dict[int, int], other: dict[int, int]) -> set[int]:
    return {level_id for level_id, number in one.items() if other[level_id] != number}


def _due() -> set[int]:
    return {level.pk for level in ListingLevel.objects.all() if level.is_due}
