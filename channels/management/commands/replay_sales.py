"""Plays a merchant's order history as real orders in simulated shops."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.demo import options as common
from channels.demo.arguments import above_zero, at_least_one, not_below_zero
from channels.demo.linking import retire_other_shops
from channels.demo.plays import History
from channels.demo.replay import choose_rows, units_sold
from channels.demo.sales_file import NO_GOODS, Columns, Row, SalesFileError, Tally, read_rows
from channels.demo.shops import Temper, shops
from channels.demo.stage import Performance
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.schedules import ensure_schedules
from config import serving
from inventory.models import Location, Merchant, Variant


class Command(BaseCommand):
    """Plays order lines from a CSV file in simulated shops, and reports what the engine made of them."""

    help = (
        "Play order lines from a CSV (or .gz) as real orders in simulated Shopify, WooCommerce and Bol.com shops: "
        "webhooks, polling, pushes and all. Opening stock is what the file sells, times --stock-ratio. Prints a summary; "
        "the exit code is 0 when the ledger holds, every shelf shows its target and every row is accounted for."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        defaults = Columns()
        parser.add_argument("file", type=Path, help="CSV or CSV.gz, UTF-8, with a header row")
        parser.add_argument("--limit-orders", type=at_least_one, metavar="N", help="stop after N sale orders")
        parser.add_argument(
            "--stock-ratio", type=not_below_zero, default=1.0, help="opening stock by units sold (default 1)"
        )
        parser.add_argument(
            "--rate", type=above_zero, help="orders a second (default: as fast as the shops allow)"
        )
        parser.add_argument(
            "--shop-limits", choices=["true", "generous"], default="generous", help="the shops' rate limits"
        )
        parser.add_argument("--profile", choices=["healthy", "slow", "mean"], default="healthy")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--no-goods",
            default=",".join(NO_GOODS),
            help="codes that are charges and no goods, comma-separated",
        )
        for name in ("order", "sku", "title", "quantity", "date", "price", "country"):
            parser.add_argument(f"--{name}-column", default=getattr(defaults, name), metavar="NAME")
        common.add_process_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        tally = Tally()
        rows = self._read(tally, options)
        common.allow_simulated_shops(options["host"], options["port"])
        serving.prepare_database()
        ensure_schedules()
        retire_other_shops([])
        name, password = common.ensure_login()
        merchant = self._stock_up(rows, options["stock_ratio"])
        report = common.reporter(sys.stderr)
        play = self._play(merchant, rows, tally, options["rate"], report)
        address = f"http://{options['host']}:{options['port']}/admin/"
        simulated = shops(options["shop_port"])
        performance = Performance(
            merchant,
            simulated,
            play,
            prices={row.sku: row.price for row in rows if row.price},
            welcome=f"Watch at {address}  login {name}  password {password}",
            announce=self.stderr.write,
        )
        temper = Temper(options["profile"], options["shop_limits"], options["seed"])
        summary = common.perform(performance, simulated, temper, options)
        if summary is None:
            raise CommandError("Stopped before the end.")
        common.print_summary(self, summary, as_json=options["json"])

    def _read(self, tally: Tally, options: dict[str, Any]) -> list[Row]:
        names = {
            name: options[f"{name}_column"]
            for name in ("order", "sku", "title", "quantity", "date", "price", "country")
        }
        no_goods = frozenset(filter(None, options["no_goods"].split(",")))
        try:
            rows = read_rows(options["file"], tally, columns=Columns(**names), no_goods=no_goods)
            chosen = choose_rows(rows, tally, limit_orders=options["limit_orders"])
        except SalesFileError as error:
            raise CommandError(str(error)) from error
        if not chosen:
            raise CommandError(f"{options['file']}: no row can be played. {tally.rejected or 'It is empty.'}")
        return chosen

    def _stock_up(self, rows: list[Row], ratio: float) -> Merchant:
        """A merchant of its own for each replay, with the opening stock in the first location."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        merchant = open_merchant(f"Replay {stamp}", f"replay-{stamp}")
        first = Location.objects.filter(merchant=merchant).order_by("id")[0]
        titles = {row.sku: row.title for row in reversed(rows)}
        sold = units_sold(rows)
        goods = [
            Goods(sku, f"{title} ({sku})", title, {first.code: round(sold.get(sku, 0) * ratio)})
            for sku, title in sorted(titles.items())
        ]
        stock_up(merchant, goods)
        return merchant

    def _play(
        self,
        merchant: Merchant,
        rows: list[Row],
        tally: Tally,
        rate: float | None,
        report: Callable[[str], None],
    ) -> History:
        variant_ids = dict(Variant.objects.filter(merchant=merchant).values_list("sku", "id"))
        location_id = Location.objects.filter(merchant=merchant).order_by("id")[0].pk
        return History(
            rows,
            tally,
            merchant_id=merchant.pk,
            location_id=location_id,
            variant_ids=variant_ids,
            rate=rate,
            report=report,
        )
