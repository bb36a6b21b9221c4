"""What `demo` and `replay_sales` have in common on the command line and in what they print."""

import json
import os
import secrets
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.demo.arguments import at_least_one, port
from channels.demo.shops import FIRST_PORT, Shop, Temper
from channels.demo.stage import Performance
from config import serving
from config.residents import residents

LOGIN: Final = "demo"


def add_process_options(parser: CommandParser) -> None:
    """Declares address, ports and workers."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of the web server (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=port, default=8000, help="port of the web server (default: %(default)s)"
    )
    parser.add_argument(
        "--shop-port", type=port, default=FIRST_PORT, help="first port of the shops (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=at_least_one, default=2, help="web worker processes (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one JSON object on standard output"
    )


def allow_simulated_shops(host: str, port: int) -> None:
    """Lets this process and its children talk to shops on the loopback, and tells shops where the webhooks are."""
    address = f"http://{host}:{port}"
    for name, value in {"PUBLIC_URL": address, "ONECOUNT_ALLOW_LOOPBACK_PLATFORMS": "true"}.items():
        os.environ[name] = value
    settings.PUBLIC_URL = address
    settings.ALLOW_LOOPBACK_PLATFORMS = True


def ensure_login() -> tuple[str, str]:
    """Returns a superuser's name and password; the password is made once and kept in the data directory."""
    file = settings.DATA_DIR / "demo-password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9), encoding="utf-8")
    password = file.read_text(encoding="utf-8").strip()
    users = get_user_model().objects
    user = users.filter(username=LOGIN).first() or users.create_superuser(LOGIN, "", password)
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    return LOGIN, password


def perform(
    performance: Performance, shops: list[Shop], temper: Temper, options: dict[str, Any]
) -> dict[str, Any] | None:
    """Runs all processes until the performance is over or Ctrl-C; returns its summary, if it got that far."""
    host, port = options["host"], options["port"]
    children = [
        *(shop.child(temper) for shop in shops),
        *residents(host=host, port=port, workers=options["workers"]),
    ]
    try:
        serving.run(
            children,
            host=host,
            port=port,
            on_tick=performance.tick,
            before_stop=performance.stop,
            further_ports=[shop.port for shop in shops],
        )
    finally:
        performance.stop()
    if performance.failure is not None:
        raise CommandError(f"The run failed: {performance.failure!r}") from performance.failure
    return performance.result


def print_summary(command: BaseCommand, summary: dict[str, Any], *, as_json: bool) -> None:
    """Prints the summary and ends with 1 unless all is well."""
    if as_json:
        command.stdout.write(json.dumps(summary))
    else:
        for name, value in summary.items():
            command.stdout.write(f"{name:26} {value}")
    if not is_well(summary):
        sys.exit(1)


def is_well(summary: dict[str, Any]) -> bool:
    """Whether the ledger holds, every shelf shows its target, and every row of a file is accounted for."""
    return bool(
        summary["ledger_ok"]
        and not summary["diverged_listings"]
        and not summary["latency_unfinished"]
        and summary.get("every_row_accounted_for", True)
    )


def reporter(stream: TextIO) -> Callable[[str], None]:
    """Returns what shows the live line: over itself on a terminal, not at all elsewhere."""

    def report(line: str) -> None:
        if stream.isatty():
            stream.write(f"\r\x1b[2K{line}")
            stream.flush()

    return report
