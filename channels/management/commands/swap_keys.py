"""Puts new keys of a platform in the place of a channel's own, after trying them."""

import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.errors import ChannelError
from channels.key_swaps import NewKeys, end_overlap, swap, try_keys
from channels.models import Channel
from channels.signing_secrets import OVERLAP

_STANDARD_INPUT: Final = "-"


class Command(BaseCommand):
    """Swaps the platform's own keys; those that encrypt them here are rotated by `rotate_credentials`."""

    help = (
        "Put new keys that a platform gave out in the place of a channel's own. They are tried first, and nothing is changed "
        "where they do not work or belong to another account. Listings, places and cursors stay; messages signed with a "
        "replaced secret are accepted for an overlap. Keys are read from a file or standard input, as JSON such as "
        '{"client_secret": "..."}, since arguments are seen by everybody on the machine.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--channel", type=int, required=True, metavar="ID", help="the channel, by id")
        parser.add_argument(
            "--keys", metavar="FILE", help="a JSON file with the new keys; - is standard input"
        )
        parser.add_argument(
            "--overlap-hours",
            type=int,
            default=int(OVERLAP / timedelta(hours=1)),
            metavar="N",
            help="how long a replaced signing secret is accepted as well (default %(default)s; 0 to 720)",
        )
        parser.add_argument(
            "--expires-on", metavar="DAY", help="when the first of the new keys ends: 2027-01-31"
        )
        parser.add_argument(
            "--new-webhook-secret",
            action="store_true",
            help="make a new secret for the webhooks and enter it at the platform",
        )
        parser.add_argument("--test-only", action="store_true", help="try the new keys and change nothing")
        parser.add_argument("--end-overlap", action="store_true", help="refuse replaced secrets from now on")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        channel = Channel.objects.defer("credentials").filter(pk=options["channel"]).first()
        if channel is None:
            raise CommandError(f"--channel: there is no channel {options['channel']}.")
        try:
            result = self._run(channel, options)
        except ChannelError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(result) if options["json"] else result.pop("text"))
        if result.get("webhook_problem"):
            sys.exit(1)

    def _run(self, channel: Channel, options: dict[str, Any]) -> dict[str, Any]:
        if options["end_overlap"]:
            ended = end_overlap(channel.pk)
            text = (
                "Replaced secrets are refused from now on." if ended else "No replaced secret was accepted."
            )
            return {"channel": channel.pk, "ended": ended, "text": text}
        new = _new_keys(options)
        if options["test_only"]:
            account, _ = try_keys(channel, new)
            text = f"The new keys work; they belong to {account}. Nothing was changed."
            return {"channel": channel.pk, "account": account, "swapped": False, "text": text}
        done = swap(channel.pk, new, by="command line")
        until = done.both_until.isoformat() if done.both_until else None
        text = f"The keys of {done.account} were tried and swapped. Revoke the old ones at the platform."
        if until:
            text = f"{text} Messages signed with the old secret are accepted until {until}."
        return {
            "channel": channel.pk,
            "account": done.account,
            "swapped": True,
            "replaced": list(done.replaced),
            "both_until": until,
            "webhook_problem": done.webhook_problem,
            "text": f"{text} {done.webhook_problem}".strip(),
        }


def _new_keys(options: dict[str, Any]) -> NewKeys:
    return NewKeys(
        _entered(options["keys"]),
        overlap=timedelta(hours=options["overlap_hours"]),
        expire_on=_day(options["expires_on"]),
        makes_webhook_secret=options["new_webhook_secret"],
    )


def _entered(name: str | None) -> dict[str, str]:
    """Reads the new keys. No message quotes what was read."""
    if name is None:
        return {}
    try:
        text = sys.stdin.read() if name == _STANDARD_INPUT else Path(name).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"--keys: cannot be read as JSON ({type(error).__name__}).") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise CommandError('--keys: give one JSON object of texts, such as {"client_secret": "..."}.')
    return found


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise CommandError(f"--expires-on: {text!r} is no day. Write it like 2027-01-31.") from None
