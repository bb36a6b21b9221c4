"""Compares channels with the ledger now."""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.connectors import shown_kinds
from channels.models import Channel
from inventory.models import Tag
from reconciliation import runs
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import RunKind, RunState


class Command(BaseCommand):
    """Reads what shops show, finds what differs, and corrects what the channels' policies allow."""

    help = (
        "Compare what channels show with what they should show: all active channels, one, or only goods with a tag or one "
        "SKU. What differs for certain is a discrepancy, and is corrected or flagged by the channel's policy; corrections "
        "are sent by the pusher of a running `serve`. The exit code is 0 when every comparison was made and nothing is left "
        "for a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--channel", type=int, metavar="ID", help="only this channel (default: all active ones)"
        )
        parser.add_argument("--tag", help="only goods with this tag")
        parser.add_argument("--sku", help="only this SKU (case-sensitive)")
        parser.add_argument(
            "--full",
            action="store_true",
            help="read the listings first, and count shelves that the platform no longer shows",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["full"] and (options["tag"] or options["sku"]):
            raise CommandError("--full compares whole channels; leave --tag and --sku out.")
        channels = Channel.objects.filter(is_active=True, kind__in=shown_kinds()).order_by("id")
        if options["channel"] is not None:
            channels = channels.filter(pk=options["channel"])
        if not channels:
            raise CommandError("There is no such active channel; see Channels in the back office.")
        done = [run for channel in channels if (run := self._compare(channel, options)) is not None]
        if not done:
            raise CommandError(f"No merchant of these channels has the tag {options['tag']!r}.")
        left = Discrepancy.objects.filter(run__in=[run.pk for run in done], closed_at__isnull=True)
        waiting = left.filter(state__in=["open", "held"]).count()
        if options["json"]:
            self.stdout.write(json.dumps({"runs": [as_json(run) for run in done], "for_people": waiting}))
        else:
            for run in done:
                self.stdout.write(in_words(run))
        if waiting or any(run.state != RunState.DONE for run in done):
            sys.exit(1)

    def _compare(self, channel: Channel, options: dict[str, Any]) -> ReconciliationRun | None:
        tag = None
        if options["tag"]:
            tag = Tag.objects.filter(merchant=channel.merchant_id, name=options["tag"]).first()
            if tag is None:
                return None
        kind = RunKind.FULL if options["full"] else RunKind.ON_DEMAND
        try:
            asked = runs.ask(channel, kind, tag=tag, sku=options["sku"] or "", asked_by="command line")
        except Refused as error:
            raise CommandError(str(error)) from error
        performed = runs.perform(asked.pk, report=self._reporter(channel))
        if performed is None:
            raise CommandError(f"{channel} is being compared already. Try again when that run has ended.")
        return performed

    def _reporter(self, channel: Channel) -> Callable[[str], None]:
        return lambda line: self.stderr.write(f"{channel}: {line}")


def as_json(run: ReconciliationRun) -> dict[str, Any]:
    """Returns a run as machines read it."""
    seconds = (
        (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    )
    return {
        "run": run.pk,
        "channel": run.channel_id,
        "kind": run.kind,
        "scope": run.scope,
        "state": run.state,
        "seconds": seconds,
        "read": run.read,
        "compared": run.compared,
        "moving": run.moving,
        "drifted": run.drifted,
        "corrected": run.corrected,
        "flagged": run.flagged,
        "missing": run.missing,
        "closed": run.closed,
        "drift_rate": run.drift_rate,
        "error": run.error,
    }


def in_words(run: ReconciliationRun) -> str:
    """Returns a run as people read it."""
    if run.state == RunState.FAILED:
        return f"{run.channel}: failed. {run.error}"
    return (
        f"{run.channel}: {run.compared:,} shelves compared, {run.moving:,} left out because something was on its way, "
        f"{run.drifted:,} differ; {run.corrected:,} are being corrected, {run.flagged:,} wait for a person."
    )
