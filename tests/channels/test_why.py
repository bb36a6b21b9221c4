""" "Why 7?" of any instant: computed from what was recorded, whether or not anything was pushed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from channels.exposure import compute, load_inputs
from channels.models import Channel, ChannelLocationSource, Listing, Pin, Push, RuleSetActivation
from channels.orders import apply_state
from channels.past_inputs import inputs_as_of
from channels.past_rules import channels_at
from channels.rules.book import load_book_of
from config.admin_panels import Panel
from inventory.bundles import dissolve
from inventory.ledger import Context
from inventory.models import Location, StockLevel, Tag
from inventory.safety_stock import set_safety_stock
from inventory.stock import CountLine, StockLine, count, receive
from inventory.tagging import refresh_automatic_tags, tag, untag
from tests.back_office import person
from tests.channels.rehearsals.stage import Stage, listed, now
from tests.channels.rules.drawing import group_of, in_force
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import INCLUDING, tell_all, use_platform
from tests.channels.test_bundles import bundle
from tests.properties import examples

pytestmark = pytest.mark.django_db


def _number(level_id: int, at: datetime) -> int:
    return inputs_as_of([level_id], at)[level_id].exposure.quantity


def _live(level_id: int) -> tuple[int, list[tuple[str, int]]]:
    exposure = compute(load_inputs([level_id])[level_id])
    return exposure.quantity, [(step.name, step.after) for step in exposure.steps]


def _past(level_id: int, at: datetime) -> tuple[int, list[tuple[str, int]]]:
    exposure = inputs_as_of([level_id], at)[level_id].exposure
    return exposure.quantity, [(step.name, step.after) for step in exposure.steps]


def _counted(shop: Shop, units: int) -> None:
    line = CountLine(shop.variants["MUG"].pk, shop.locations["main"].pk, units)
    count(Context(shop.merchant.pk, f"count-{now().isoformat()}"), [line])


def _save_channel(shop: Shop, **changes: Any) -> None:
    channel = Channel.objects.get(pk=shop.channel.pk)
    for name, value in changes.items():
        setattr(channel, name, value)
    channel.save()


def _sell(shop: Shop, units: int) -> None:
    number = f"{now().isoformat()}"
    apply_state(shop.channel, order(line("MUG", units), id=number), arrived_at=timezone.now())


_CHANGES: dict[str, Callable[[Shop, int], None]] = {
    "count": _counted,
    "sell": lambda shop, units: _sell(shop, units or 1),
    "buffer": lambda shop, units: _save_channel(shop, buffer_units=units),
    "percent": lambda shop, units: _save_channel(shop, buffer_percent=units * 10),
    "maximum": lambda shop, units: _save_channel(shop, maximum_exposure=units),
    "safety": lambda shop, units: _keep(shop, units),
    "source": lambda shop, units: _switch_source(shop),
    "location": lambda shop, units: _switch_location(shop),
}


def _keep(shop: Shop, units: int) -> None:
    StockLevel.objects.filter(merchant=shop.merchant).update(safety_stock=units)


def _switch_source(shop: Shop) -> None:
    here = ChannelLocationSource.objects.filter(channel_location=shop.places[""])
    if not here.delete()[0]:
        ChannelLocationSource.objects.create(
            channel_location=shop.places[""], location=shop.locations["main"]
        )


def _switch_location(shop: Shop) -> None:
    location = Location.objects.get(pk=shop.locations["main"].pk)
    location.is_active = not location.is_active
    location.save()


@pytest.mark.property
@pytest.mark.timeout(600)
@pytest.mark.parametrize("able", [{}, INCLUDING], ids=["plain", "including"])
@given(changes=st.lists(st.tuples(st.sampled_from(sorted(_CHANGES)), st.integers(0, 6)), max_size=10))
@settings(
    deadline=None,
    max_examples=examples(15),
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_any_instant_explains_what_was_explained_then(
    able: dict[str, Any], changes: list[tuple[str, int]]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_platform(monkeypatch, **able)
        shop = open_shop({"MUG": 9}, kind="telling")
        level_id = shop.shelf(shop.list_variant("MUG")).pk
        seen = [(now(), _live(level_id))]
        for name, units in changes:
            _CHANGES[name](shop, units)
            seen.append((now(), _live(level_id)))
        assert [_past(level_id, at) for at, _ in seen] == [answer for _, answer in seen]
        assert Push.objects.filter(listing_level=level_id).count() == 0


def test_the_rules_of_the_instant_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 9)
    level_id = stage.shop.shelf(stage.listing(stage.channel)).pk
    before = now()
    version = stage.version(buffer_units=4)
    RuleSetActivation.objects.create(rule_set=version.rule_set, version=version, began_at=now())
    during = now()
    RuleSetActivation.objects.update(ended_at=now())
    after = now()
    assert [_number(level_id, at) for at in (before, during, after)] == [9, 5, 9]
    step = next(s for s in inputs_as_of([level_id], during)[level_id].exposure.steps if s.name == "Buffer")
    assert str(version) in step.rule


def test_a_pin_holds_from_its_beginning_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 9)
    level = stage.shop.shelf(stage.listing(stage.channel))
    start = now()
    pin = Pin.objects.create(
        listing_level=level, quantity=2, reason="Photo", owner="anna", created_at=start + timedelta(hours=1),
        expires_at=start + timedelta(hours=3),
    )  # fmt: skip
    hours = [timedelta(hours=n) for n in range(5)]
    assert [_number(level.pk, start + each) for each in hours] == [9, 2, 2, 9, 9]
    Pin.objects.filter(pk=pin.pk).update(ended_at=start + timedelta(hours=2))
    assert [_number(level.pk, start + each) for each in hours] == [9, 2, 9, 9, 9]


def test_a_listing_is_explained_by_what_it_was_mapped_to() -> None:
    shop = open_shop({"MUG": 9, "CUP": 4})
    listing = shop.list_variant("MUG")
    level_id = shop.shelf(listing).pk
    before = now()
    listing = Listing.objects.get(pk=listing.pk)
    listing.variant = shop.variants["CUP"]
    listing.save()
    assert [_number(level_id, at) for at in (before, now())] == [9, 4]


def test_what_is_not_recorded_over_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 9, before=lambda stage: stage.version(is_active=True, scarce_below=20))
    level_id = stage.shop.shelf(stage.listing(stage.channel)).pk
    assert inputs_as_of([level_id], now())[level_id].as_now == ["ranks"]


def test_whether_orders_were_split_is_taken_as_it_was_then() -> None:
    shop = open_shop({"MUG": 5})
    shop.add_location("north", place="")
    receive(
        Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, shop.locations["north"].pk, 4)]
    )
    level_id = shop.shelf(shop.list_variant("MUG")).pk
    _save_channel(shop)
    then = now()
    _save_channel(shop, may_split=False)
    assert (_number(level_id, then), _number(level_id, now())) == (9, 5)


def test_tags_categories_and_groups_are_taken_as_they_were_then() -> None:
    shop = open_shop({"MUG": 50})
    mug, level_id = shop.variants["MUG"], shop.shelf(shop.list_variant("MUG")).pk
    product = mug.product
    product.category = "Glass"
    product.save()
    fast = Tag.objects.create(merchant=shop.merchant, name="fast")
    group = group_of(shop.merchant, "All")
    in_force(
        shop.merchant,
        {"tag": fast, "maximum": 1},
        {"category": "Paper", "buffer_units": 7},
        {"group": group, "minimum": 40},
    )
    instants = [now()]
    tag(fast, [mug])
    instants.append(now())
    untag(fast, [mug])
    product.category = "Paper"
    product.save()
    instants.append(now())
    product.category = "Glass"
    product.save()
    group.channels.add(shop.channel)
    _counted(shop, 30)
    instants.append(now())
    group.channels.clear()
    assert [_number(level_id, at) for at in instants] == [50, 1, 43, 0]
    assert _number(level_id, now()) == 30
    assert [inputs_as_of([level_id], at)[level_id].as_now for at in instants] == [[], [], [], []]


def test_tags_by_what_sells_have_a_past_too() -> None:
    shop = open_shop({"MUG": 50})
    level_id = shop.shelf(shop.list_variant("MUG")).pk
    Tag.objects.create(merchant=shop.merchant, name="fast", weekly_units=3)
    in_force(shop.merchant, {"tag": Tag.objects.get(), "maximum": 2})
    _sell(shop, 3)
    before = now()
    assert refresh_automatic_tags(shop.merchant.pk) == 1
    then = now()
    Tag.objects.update(weekly_units=9)
    assert refresh_automatic_tags(shop.merchant.pk) == 1
    assert [_number(level_id, at) for at in (before, then, now())] == [47, 2, 47]


def test_a_tag_is_taken_as_it_is_now_at_instants_before_it_was_made() -> None:
    shop = open_shop({"MUG": 50})
    level_id = shop.shelf(shop.list_variant("MUG")).pk
    then = now()
    young = Tag.objects.create(merchant=shop.merchant, name="young")
    tag(young, [shop.variants["MUG"]])
    version = in_force(shop.merchant, {"tag": young, "maximum": 2})
    book = load_book_of([version.pk], [shop.variants["MUG"].pk], at=then)
    facts = channels_at([shop.channel.pk], then)[shop.channel.pk]
    assert book.rules_for(facts, shop.variants["MUG"].pk).maximum == 2
    assert _number(level_id, then) == 50


def test_the_statements_do_not_grow_with_the_shelves(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    shop = open_shop({f"S{n}": 3 for n in range(6)})
    ids = [shop.shelf(shop.list_variant(f"S{n}")).pk for n in range(6)]
    at, counts = now(), []
    for chosen in (ids[:1], ids):
        with django_assert_max_num_queries(40) as seen:
            inputs_as_of(chosen, at)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def _panels(client: Client, shop: Shop, listing: Listing, **query: Any) -> list[Panel]:
    response = client.get(reverse("admin:channels_listing_why", args=[listing.pk]), query)
    assert response.status_code == 200
    found: list[Panel] = response.context["panels"]
    return found


def test_the_page_leads_from_on_hand_to_what_was_confirmed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing = listed(shop)
    tell_all(shop)
    _sell(shop, 2)
    then = now()
    _counted(shop, 4)
    client.force_login(person("read-only"))
    why, stock, held, rules = _panels(client, shop, listing, at=f"{then:%Y-%m-%d %H:%M:%S.%f}")
    rows = {row[0]: row for row in why.rows}
    assert (why.title, rows["On hand"][2], rows["Available"][2]) == ("Why 7, at the shop?", 9, 7)
    assert (rows["Sent"][2], rows["Confirmed"][2]) == (9, 9)
    assert reverse("admin:channels_push_change", args=[Push.objects.get().pk]) in str(rows["Confirmed"][5])
    assert next(iter(stock.rows))[1:3] == (9, 2)
    assert len(list(held.rows)) == 1
    assert rules.empty.startswith("None")
    now_why = _panels(client, shop, listing)[0]
    assert now_why.title == "Why 2, at the shop?"


def test_an_unmapped_listing_was_told_nothing(client: Client) -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    listing.variant = None
    listing.save()
    client.force_login(person("read-only"))
    assert "not mapped" in _panels(client, shop, listing)[0].empty


def test_shelves_and_variants_lead_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing = listed(shop)
    tell_all(shop)
    client.force_login(person("read-only"))
    address = reverse("admin:channels_listing_why", args=[listing.pk])
    shelf = client.get(reverse("admin:channels_listinglevel_change", args=[shop.shelf(listing).pk]))
    assert address in shelf.content.decode()
    travel = client.get(reverse("admin:inventory_variant_time_travel", args=[shop.variants["MUG"].pk]))
    told: Panel = travel.context["panels"][2]
    ((channel, _, why, sent, _, confirmed, _, _),) = told.rows
    assert (channel, sent, confirmed) == (shop.channel.name, 9, 9)
    assert address in str(why)


# -- kits


def test_the_number_of_a_kit_is_computed_from_what_it_was_made_of_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 9, "SPOON": 5}, kind="telling")
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    level_id = shop.shelf(shop.list_variant("SET")).pk
    seen = [(now(), _live(level_id))]

    def done() -> None:
        seen.append((now(), _live(level_id)))

    apply_state(shop.channel, order(line("SET", 1), id="1"), arrived_at=timezone.now())
    done()
    level = shop.variants["SPOON"].pk, shop.locations["main"].pk
    set_safety_stock(shop.merchant.pk, {level: 2})
    done()
    b2b = group_of(shop.merchant, "B2B")
    in_force(shop.merchant, {"pool": b2b, "pool_units": 5, "variant": shop.variants["MUG"]})
    done()
    bundle(shop, "SET", {"MUG": 1})
    done()
    assert [number for _, (number, _) in seen] == [4, 4, 3, 2, 3]
    for at, live in seen:
        assert _past(level_id, at) == live


def test_what_is_a_kit_no_more_was_one_then() -> None:
    shop = open_shop({"MUG": 9})
    variant = bundle(shop, "SET", {"MUG": 2})
    level_id = shop.shelf(shop.list_variant("SET")).pk
    before = now()
    dissolve(Context(shop.merchant.pk, "dissolve"), variant.pk)
    receive(Context(shop.merchant.pk, "own"), [StockLine(variant.pk, shop.locations["main"].pk, 7)])
    past = inputs_as_of([level_id], before)[level_id]
    assert (past.exposure.quantity, _number(level_id, now())) == (4, 7)
    assert {level.variant_id: level.on_hand for level in past.levels} == {
        shop.variants["MUG"].pk: 9,
        variant.pk: 0,
    }
