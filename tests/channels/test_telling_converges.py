"""Whatever happens in whatever sequence: once all is imported and told, the shop shows what it should."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.connectors.base import PushItem
from channels.errors import OutcomeUnknown
from channels.exposure import targets
from channels.models import ChannelHealth, ChannelOrder, ListingLevel, PollFeed
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from inventory.ledger import Context
from inventory.stock import AdjustmentLine, adjust
from tests.channels.shop import line, open_shop, order
from tests.channels.telling import CAS, INCLUDING, tell, use_platform
from tests.properties import examples

pytestmark = pytest.mark.django_db

#: Far more than any sequence sells or loses, so that the shop's number never runs out.
PLENTY = 1000

steps = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.integers(1, 5)),
        st.tuples(st.just("import"), st.integers(0, 3)),
        st.tuples(st.just("ship"), st.integers(0, 3)),
        st.tuples(st.just("elsewhere"), st.integers(-5, 5).filter(bool)),
        st.tuples(st.sampled_from(["tell", "sell while telling", "import while telling"]), st.just(0)),
        st.tuples(st.sampled_from(["lose the call", "lose the answer"]), st.just(0)),
        st.tuples(st.just("put back"), st.integers(0, 3)),
        st.tuples(st.just("write by hand"), st.integers(-5, 5).filter(bool)),
    ),
    max_size=14,
)


class Play:
    """A shop with one listing, orders on their way to us, and the engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any]) -> None:
        self.includes = capabilities == INCLUDING
        self.shelves = use_platform(monkeypatch, **capabilities)
        self.shop = open_shop({"MUG": PLENTY}, kind="telling")
        self.listing = self.shop.list_variant("MUG")
        self.level = self.shop.shelf(self.listing)
        self.shelves.numbers[self.listing.external_id, ""] = PLENTY
        self.is_compared = bool(capabilities.get("compare_and_set"))
        #: Orders not imported yet, by id: units, and whether they are cancelled by now.
        self.on_their_way: list[tuple[str, int, bool]] = []
        self.imported: list[tuple[str, int]] = []
        self.is_touched = False
        self._serial = count(1)
        later = timezone.now() + timedelta(days=1)
        PollFeed.objects.create(channel=self.shop.channel, name="orders", next_poll_at=later)
        mark_listing_levels([self.level.pk], lane=Lane.INCREASE)
        self.tell()

    def perform(self, name: str, number: int) -> None:
        actions: dict[str, Callable[[], None]] = {
            "sell": lambda: self.sell(number),
            "import": lambda: self.take_in(number),
            "ship": lambda: self.ship(number),
            "elsewhere": lambda: self.change(number),
            "tell": self.tell,
            "sell while telling": lambda: self.tell(before=lambda: self.sell(1)),
            "import while telling": lambda: self.tell(after=lambda: self.take_in(0)),
            "lose the call": lambda: self.tell(before=_lost),
            "lose the answer": lambda: self.tell(after=_lost),
            "put back": lambda: self.put_back(number),
            "write by hand": lambda: self.write_by_hand(number),
        }
        actions[name]()

    def sell(self, units: int) -> None:
        if not self.includes:
            self.shelves.sell(self.listing, units)
        self.on_their_way.append((str(next(self._serial)), units, False))

    def take_in(self, index: int) -> None:
        if self.on_their_way:
            identity, units, is_cancelled = self.on_their_way.pop(index % len(self.on_their_way))
            if not is_cancelled:
                self.imported.append((identity, units))
            self._apply(identity, units, cancelled=units if is_cancelled else 0)

    def ship(self, index: int) -> None:
        if self.imported:
            identity, units = self.imported.pop(index % len(self.imported))
            self._apply(identity, units, fulfilled=units)

    def put_back(self, index: int) -> None:
        """An order that is imported is cancelled: the shop puts its units back, and tells us later."""
        if self.imported:
            identity, units = self.imported.pop(index % len(self.imported))
            if not self.includes:
                self.shelves.sell(self.listing, -units)
            self.on_their_way.append((identity, units, True))

    def write_by_hand(self, units: int) -> None:
        """Somebody changes the shop's number; without compare-and-set nobody would notice."""
        if self.is_compared:
            self.shelves.sell(self.listing, -units)
            self.is_touched = True

    def _apply(self, identity: str, units: int, *, fulfilled: int = 0, cancelled: int = 0) -> None:
        parts = line("MUG", units, fulfilled=fulfilled, cancelled=cancelled, restocked=cancelled)
        state = order(parts, id=identity, at=int(fulfilled > 0) + 2 * int(cancelled > 0))
        apply_state(self.shop.channel, state, arrived_at=timezone.now())

    def change(self, units: int) -> None:
        place = self.shop.variants["MUG"].pk, self.shop.locations["main"].pk
        adjust(Context(self.shop.merchant.pk, f"found:{uuid4()}"), [AdjustmentLine(*place, units)])

    def tell(self, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> None:
        """Sends one batch; what happens before or after its first call reaches the shop happens once."""
        self.shelves.before_call, self.shelves.after_call = _once(before), _once(after)
        ListingLevel.objects.update(next_attempt_at=None)
        tell(self.shop)
        self.shelves.before_call = self.shelves.after_call = lambda items: None

    def settle(self) -> None:
        """Imports everything and tells it."""
        while self.on_their_way:
            self.take_in(0)
        if self.is_touched:
            mark_listing_levels([self.level.pk], lane=Lane.DECREASE, read_first=True)
        for _ in range(30):
            now = timezone.now()
            ListingLevel.objects.update(seen_at=F("seen_at") - timedelta(seconds=5))
            PollFeed.objects.update(last_polled_at=now, covered_until=now)
            self.tell()
            if not ListingLevel.objects.get(pk=self.level.pk).is_due:
                return
        raise AssertionError("there is always more to tell")


def _lost() -> None:
    raise OutcomeUnknown


def _once(action: Callable[[], None] | None) -> Callable[[Sequence[PushItem]], None]:
    waiting = [action] if action else []

    def perform(items: Sequence[PushItem]) -> None:
        if waiting:
            waiting.pop()()

    return perform


@pytest.mark.property
@pytest.mark.parametrize("capabilities", [CAS, INCLUDING, {}], ids=["compare-and-set", "includes", "plain"])
@settings(
    max_examples=examples(40),
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=steps)
def test_the_shop_shows_its_target_once_everything_is_imported_and_told(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], script: list[tuple[str, int]]
) -> None:
    with transaction.atomic():
        play = Play(monkeypatch, capabilities)
        for name, number in script:
            play.perform(name, number)
        play.settle()
        level = ListingLevel.objects.get(pk=play.level.pk)
        target = targets([level.pk])[level.pk]
        assert play.shelves.number(play.listing) == target
        assert level.expected == target or capabilities != CAS
        assert (level.is_outcome_unknown, level.dead_at) == (False, None)
        assert ChannelOrder.objects.filter(applied_at__isnull=True).count() == 0
        assert not ChannelHealth.objects.filter(consecutive_failures__gt=0).exists()
        transaction.set_rollback(True)
