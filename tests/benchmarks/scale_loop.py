"""What the process of one size does in the scale benchmark: orders from end to end, without HTTP."""

import itertools
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Final, cast

from django.db import connection, transaction
from django.utils import timezone

from channels.connectors.base import Client, ItemOutcome, PushItem, PushResult
from channels.events import OrderLineState, OrderState
from channels.leases import lease
from channels.models import Channel
from channels.orders import apply_state
from channels.sending import send
from config.database import plan_once
from tests.channels.simple_platform import Book, SimpleConnector

#: Lines of an order.
LINES: Final = 2
#: Listing levels that one push takes.
_BATCH: Final = 50

_PLAIN: Final = (
    "UPDATE inventory_stocklevel SET safety_stock = safety_stock WHERE id = ANY(%s::bigint[])",
    "UPDATE channels_listinglevel SET sent_at = clock_timestamp() WHERE id = ANY(%s::bigint[])",
)

_numbers = itertools.count(1)
_source = random.Random(1)
#: Once: statements are planned as the residents have them planned.
_plan_as_residents = cache(plan_once)


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Takes the job's orders and makes as many plain updates; returns the median milliseconds of one."""
    _plan_as_residents()
    channels = _channels(tuple(job["channels"]))
    sides = [("ours", lambda: _order(job, channels)), ("plain", lambda: _update(job))]
    ordered = sides if job["is_ours_first"] else sides[::-1]
    return {
        name: statistics.median(_milliseconds(side) for _ in range(job["orders"])) for name, side in ordered
    }


def _milliseconds(side: Any) -> float:
    started = time.perf_counter()
    side()
    return (time.perf_counter() - started) * 1000


@cache
def _channels(ids: Sequence[int]) -> list[Channel]:
    return [Channel.objects.get(pk=identity) for identity in ids]


def _order(job: Mapping[str, Any], channels: Sequence[Channel]) -> None:
    number = next(_numbers)
    sold_by = channels[number % len(channels)]
    apply_state(sold_by, _state(number, job["variants"]), arrived_at=timezone.now())
    for channel in channels:
        leased = lease(channel.pk, size=_BATCH)
        if leased is not None:
            send(leased, _Agreeable())


def _state(number: int, variants: int) -> OrderState:
    now = timezone.now()
    chosen = _source.sample(range(variants), LINES)
    lines = (_line(number, place, f"SKU-{each:06d}") for place, each in enumerate(chosen))
    return OrderState(f"order-{number}", now, now, tuple(lines), f"#{number}", "NL", "EUR")


def _line(number: int, place: int, sku: str) -> OrderLineState:
    return OrderLineState(f"{number}-{place}", listing_external_id=sku, sku=sku, quantity=1)


def _update(job: Mapping[str, Any]) -> None:
    """Updates as many rows as an order moves and marks, and commits."""
    levels = [job["first_level"] + _source.randrange(job["variants"]) for _ in range(LINES)]
    shelves = len(job["channels"]) * job["variants"]
    marked = [job["first_shelf"] + _source.randrange(shelves) for _ in range(job["shelves"])]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement, ids in zip(_PLAIN, (levels, marked), strict=True):
            cursor.execute(statement, [ids])


class _Unhurried:
    """What stands for the HTTP of a platform that answers at once."""

    def budget(self, seconds: float) -> AbstractContextManager[None]:
        """Bounds nothing."""
        return nullcontext()


class _Agreeable(SimpleConnector):
    """Takes every number."""

    def __init__(self) -> None:
        super().__init__(Book())
        self.client = cast(Client, _Unhurried())

    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        """Confirms all."""
        return [PushResult(item.address.listing_level_id, ItemOutcome.CONFIRMED) for item in items]
