"""Connects an account of a platform, step by step."""

import json
import os
import sys
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from getpass import getpass
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.views.decorators.debug import sensitive_variables

from channels.connecting import Findings, draft, go_live, label_of, look, put_behind
from channels.connectors import CONNECTORS
from channels.connectors.base import Connector
from channels.errors import ChannelError
from channels.models import Channel
from channels.shadow.runs import begin
from inventory.models import Merchant

#: Credentials are taken from the environment under this name and theirs, in capitals.
_ENVIRONMENT: Final = "ONECOUNT_CREDENTIAL_"


class Command(BaseCommand):
    """Tests an account, reads what it has, maps places and listings, and has it told numbers once it goes live."""

    help = (
        "Connect an account of a platform. Creates a paused channel, asks the platform who we are, reads its places and "
        "listings, maps listings by SKU and looks for matches of the others, and prints what it found. Nothing is told "
        "until --go-live. Run it again with the same name to go on: map places with --place, then go live. Credentials "
        f"come from --credentials FILE (a JSON object, - for standard input), from variables such as {_ENVIRONMENT}"
        "CLIENT_SECRET, or are asked for."
    )

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        """Lists the platforms below the options."""
        epilog = "platforms:\n" + "\n".join(f"  {label_of(kind)}" for kind in CONNECTORS.values())
        return super().create_parser(
            *args, epilog=epilog, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the account, its places, and whether it goes live."""
        parser.add_argument("platform", choices=sorted(CONNECTORS), help="which platform it is")
        parser.add_argument("name", help="what the channel is called here")
        parser.add_argument("--merchant", required=True, help="the merchant's slug")
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; may be repeated"
        )
        parser.add_argument(
            "--credentials", metavar="FILE", help="a JSON object of credentials; - for standard input"
        )
        parser.add_argument(
            "--place",
            action="append",
            default=[],
            metavar="ID=CODE,CODE",
            help="our locations behind a place of theirs, the first drawn on first; =CODE where they have no places",
        )
        end = parser.add_mutually_exclusive_group()
        end.add_argument(
            "--shadow",
            action="store_true",
            help="watch it without writing there; go on with the command shadow",
        )
        end.add_argument("--go-live", action="store_true", help="subscribe to webhooks and begin to tell")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    @sensitive_variables()
    def handle(self, *args: Any, **options: Any) -> None:
        """Takes the steps that are asked for, and prints what is found."""
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant {options['merchant']}. Add one in the back office.")
        kind = CONNECTORS[options["platform"]]
        known = Channel.objects.filter(merchant=merchant, name=options["name"]).exists()
        settings = {
            name: _typed(kind, name, value)
            for name, value in (_pair(each, "--set") for each in options["set"])
        }
        given = options["credentials"]
        credentials = {} if known and not given else _credentials(kind, given)
        places = [_pair(each, "--place") for each in options["place"]]
        try:
            channel = draft(merchant, kind.kind, options["name"], settings, credentials)
            findings = look(channel)
            for place, text in places:
                codes = [code.strip() for code in text.split(",") if code.strip()]
                put_behind(channel, place, codes)
                findings.places[place] = codes
            if options["shadow"]:
                begin(channel, by="command line")
            right = go_live(channel) if options["go_live"] else None
        except ChannelError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            found = {
                **asdict(findings),
                "report": str(findings.report),
                "right": right,
                "channel": channel.pk,
            }
            self.stdout.write(json.dumps(found))
        else:
            self._print(channel, findings, right)

    def _print(self, channel: Channel, findings: Findings, right: int | None) -> None:
        self.stdout.write(f"Connected to {findings.shop}: {findings.report}")
        for name, (capacity, refill) in findings.limits.items():
            self.stdout.write(
                f"  limit {name}: {capacity:g} at once, {refill:g} a second, until it says otherwise"
            )
        for place, codes in findings.places.items():
            behind = ", ".join(codes) or f"nothing; put a location behind it with --place {place}=CODE"
            self.stdout.write(f"  place {place or '(none of its own)'}: {behind}")
        self.stdout.write(
            f"  listings: {findings.mapped} mapped, {findings.unmapped} not, of which {findings.suggested} have a "
            "suggested match (To do, Suggested matches)"
        )
        for warning in findings.report.warnings[:20]:
            self.stdout.write(f"  warning: {warning}")
        if channel.in_shadow:
            self.stdout.write(f"It is watched and told nothing. Go on with: shadow report {channel.pk}")
        elif right is None:
            self.stdout.write("It is paused and told nothing. Run again with --go-live when all is mapped.")
        else:
            self.stdout.write(f"It is live; {right} shelves were right already.")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise CommandError(f"{option} takes NAME=VALUE, not {text}.")
    return name, value


def _typed(kind: type[Connector], name: str, text: str) -> str | int | bool:
    """Returns a setting in the type that its connector declares."""
    default = kind.settings_schema.get(name)
    if isinstance(default, bool):
        if text.lower() not in {"true", "false"}:
            raise CommandError(f"--set {name} takes true or false, not {text}.")
        return text.lower() == "true"
    if isinstance(default, int):
        if not text.isascii() or not text.isdigit():
            raise CommandError(f"--set {name} takes a whole number, not {text}.")
        return int(text)
    return text


@sensitive_variables()
def _credentials(kind: type[Connector], given: str | None) -> dict[str, str]:
    """Returns the credentials that are given; on a terminal those that are missing are asked for."""
    if given is not None:
        return _read_credentials(given)
    found: dict[str, str] = {}
    for each in kind.credential_fields:
        value = os.environ.get(_ENVIRONMENT + each.name.upper(), "")
        if not value and each.is_required and sys.stdin.isatty():
            value = getpass(f"{each.label}: ")
        if value:
            found[each.name] = value
    return found


@sensitive_variables()
def _read_credentials(given: str) -> dict[str, str]:
    try:
        content = sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8")
        found = json.loads(content)
    except (OSError, ValueError) as error:
        # Its text may quote the content.
        raise CommandError(f"{given} cannot be read as JSON ({type(error).__name__}).") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise CommandError(f"{given} must hold one JSON object of names and texts.")
    return found
