"""What happens in the shops: customers who come and go, or a history played again."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.db import close_old_connections

from channels.demo.figures import Stage
from channels.demo.oversell import StockEvent
from channels.demo.platforms import PLATFORMS
from channels.demo.replay import Replay, account_for, close_connections
from channels.demo.sales_file import Row, Tally
from channels.demo.stage import live_line

_TICK: Final = 0.2


class Shoppers:
    """Customers buy on their own in all shops, for a time or until stopped."""

    events: Sequence[StockEvent] = ()

    def __init__(
        self, *, rate: float, seconds: float | None, seed: int, report: Callable[[str], None]
    ) -> None:
        self._rate = rate
        self._seconds = seconds
        self._seed = seed
        self._report = report

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Opens the shops' doors, and closes them in the end."""
        ends_at = None if self._seconds is None else time.monotonic() + self._seconds
        selling = [shop for shop in stage.shops if not PLATFORMS[shop.kind].is_warehouse]
        for number, shop in enumerate(stage.shops):
            shop.client.start_shoppers(
                self._rate / max(len(selling), 1), mean_lines=1.5, seed=self._seed + number
            )
        reported_at = 0.0
        while not should_stop() and (ends_at is None or time.monotonic() < ends_at):
            if time.monotonic() - reported_at >= 1.0:
                reported_at = time.monotonic()
                close_old_connections()
                self._report(live_line(stage.channel_ids))
            time.sleep(_TICK)
        for shop in stage.shops:
            shop.client.stop_shoppers()

    def figures(self) -> dict[str, Any]:
        """Nothing but what the books say."""
        return {}


class History:
    """A merchant's order history, played as real orders."""

    def __init__(
        self,
        rows: Sequence[Row],
        tally: Tally,
        *,
        location_id: int,
        variant_ids: dict[str, int],
        merchant_id: int,
        rate: float | None,
        report: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._tally = tally
        self._rate = rate
        self._report = report
        self._place = {"merchant_id": merchant_id, "location_id": location_id, "variant_ids": variant_ids}
        self._replay: Replay | None = None

    @property
    def events(self) -> Sequence[StockEvent]:
        """Stock adjustments that the history holds."""
        return self._replay.played.events if self._replay else ()

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Plays the rows."""
        self._replay = Replay(stage.shops, **self._place)  # type: ignore[arg-type]
        self._replay.play(self._rows, rate=self._rate, should_stop=should_stop, report=self._report)
        close_connections()

    def figures(self) -> dict[str, Any]:
        """How every row of the file ended."""
        if self._replay is None:
            return {}
        played = self._replay.played
        return {
            "rows_read": self._tally.rows_read,
            "rows": {
                "sold": played.sold_rows,
                "refused_by_shop": played.refused_rows,
                "taken_back": played.returned_rows,
                "unmatched": played.unmatched_rows,
                "adjusted": played.adjusted_rows,
            },
            "adjustments": played.adjusted_rows,
            "adjusted_units": played.adjusted_units,
            "cancelled_units": played.cancelled_units,
            "returned_units": played.returned_units,
            "unmatched_returns": played.unmatched_units,
            "rejected_rows": self._tally.rejected,
            "refused_by_shop": played.refused_rows,
            "refused_units": played.refused_units,
            "every_row_accounted_for": account_for(self._tally, played),
        }
