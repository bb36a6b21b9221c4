"""Shows OneCount at work on simulated shops."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from channels.demo import options as common
from channels.demo import trading
from channels.demo.arguments import above_zero
from channels.demo.catalogue import GIFT_SETS, CatalogueVariant, GiftSet, catalogue, gift_sets
from channels.demo.linking import retire_other_shops
from channels.demo.platforms import DEFAULT, PLATFORMS, platforms
from channels.demo.plays import Shoppers
from channels.demo.shops import Temper, shops
from channels.demo.stage import Performance, Play
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.schedules import ensure_schedules
from config import serving
from reconciliation.drift import Drift, Watched

#: Gift sets included.
VARIANTS: Final = 1200


class Command(BaseCommand):
    """Runs the whole program with a believable catalogue, simulated shops and customers who buy there."""

    help = (
        "Create the database where there is none, load 1,200 variants (24 gift sets among them) in 3 locations with "
        "goods on order and two ring-fenced pools, start simulated shops with customers (Shopify, WooCommerce and Bol.com; "
        "--platforms chooses others), and run web, jobs and pusher until Ctrl-C. With --for it ends "
        "by itself, lets things go quiet, and prints a summary; the exit code is 0 when all is well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        common.add_process_options(parser)
        parser.add_argument(
            "--for", dest="seconds", type=above_zero, metavar="SECONDS", help="end after this time"
        )
        parser.add_argument(
            "--rate", type=above_zero, default=2.0, help="orders a second in all (default: %(default)s)"
        )
        parser.add_argument(
            "--platforms",
            type=platforms,
            default=DEFAULT,
            metavar="LIST|all",
            help=f"which shops, separated by commas, of {', '.join(PLATFORMS)} (default: {','.join(DEFAULT)})",
        )
        parser.add_argument(
            "--profile", choices=["healthy", "slow", "mean"], default="healthy", help="how the shops behave"
        )
        parser.add_argument(
            "--shop-limits", choices=["true", "generous"], default="generous", help="the shops' rate limits"
        )
        parser.add_argument(
            "--faults",
            choices=["drift"],
            help="what goes wrong meanwhile; drift: stock edited by hand in the shops, webhooks lost, one shop down for a "
            "minute; each is listed in the summary",
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="decides what customers buy (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        common.allow_simulated_shops(options["host"], options["port"])
        serving.prepare_database()
        ensure_schedules()
        retire_other_shops([])
        name, password = common.ensure_login()
        merchant = open_merchant("Harbour & Hill (demo)", "demo")
        items = catalogue(VARIANTS - GIFT_SETS)
        sets = gift_sets(items)
        stock_up(merchant, _goods(items, sets))
        trading.bundle(merchant, sets)
        trading.buy(merchant, items)
        report = common.reporter(sys.stderr)
        shoppers = Shoppers(
            rate=options["rate"], seconds=options["seconds"], seed=options["seed"], report=report
        )
        play: Play = Drift(shoppers, options["seconds"]) if options["faults"] == "drift" else shoppers
        address = f"http://{options['host']}:{options['port']}/admin/"

        simulated = shops(options["shop_port"], options["platforms"])
        performance = Performance(
            merchant,
            simulated,
            Watched(play),
            prices={i.sku: i.price for i in items} | {s.sku: s.price for s in sets},
            welcome=f"OneCount is ready at {address}  login {name}  password {password}  (Ctrl-C ends)",
            announce=self.stderr.write,
            parts=trading.parts_of(sets),
            on_connected=partial(trading.set_rules, merchant),
        )
        temper = Temper(options["profile"], options["shop_limits"], options["seed"])
        summary = common.perform(performance, simulated, temper, options)
        if summary is not None:
            common.print_summary(self, summary, as_json=options["json"])


def _goods(items: Sequence[CatalogueVariant], sets: Sequence[GiftSet]) -> list[Goods]:
    plain = [Goods(i.sku, i.product, i.title, i.quantities, i.gtin, i.category) for i in items]
    return plain + [Goods(s.sku, s.title, s.title, {}, s.gtin, "Gifts") for s in sets]
