"""Watches a channel beside whatever the merchant uses now, and takes it live."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.errors import ChannelError
from channels.models import Channel, ShadowRun
from channels.models.shadow import ShadowOutcome
from channels.shadow import going_live, runs
from channels.shadow.report import NAMED, Report, report

#: Who did it, where nobody is signed in.
_BY: Final = "command line"


class Command(BaseCommand):
    """Begins and ends shadow mode, reports what we would have sent, shows the first push, and goes live."""

    help = (
        "Watch a channel without writing to it. begin: orders and webhooks are read and applied, numbers are computed, nothing "
        "is told; with --subscribe its webhooks are subscribed to, all that is written there. report: what we would have sent "
        "and what was oversold meanwhile. first-push: the numbers it would be told at once, which have to be looked at before. "
        "go-live: begins to tell; --answer for each question that is open. stop: ends watching, the channel stays paused. "
        "back: a live channel is only watched again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds what is done, and with which channel."""
        parser.add_argument("step", choices=sorted(_STEPS), help="what to do")
        parser.add_argument("channel", type=int, help="the channel's id")
        parser.add_argument(
            "--subscribe", action="store_true", help="begin: subscribe to the channel's webhooks"
        )
        parser.add_argument(
            "--run", type=int, help="report: an earlier run by its id (default: the last one)"
        )
        parser.add_argument(
            "--named", type=int, default=NAMED, help=f"shelves and orders that are listed ({NAMED})"
        )
        parser.add_argument(
            "--answer",
            action="append",
            default=[],
            choices=sorted({*going_live.Key} - going_live.BLOCKING - {going_live.Key.FUSE}),
            help="go-live: answer for a question that is open; may be repeated",
        )
        parser.add_argument(
            "--changes", type=int, help="go-live: how many numbers may change, where the fuse asks"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Takes the step."""
        channel = Channel.objects.filter(pk=options["channel"]).first()
        if channel is None:
            raise CommandError(f"There is no channel {options['channel']}.")
        try:
            text, found = _STEPS[options["step"]](channel, options)
        except ChannelError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(found) if options["json"] else text)


def _begin(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    run = runs.begin(channel, by=_BY, may_subscribe=options["subscribe"])
    return f"{channel} is in shadow mode: it is read, and told nothing.", {
        "run": run.pk,
        "channel": channel.pk,
    }


def _stop(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    run = runs.end(channel, ShadowOutcome.STOPPED, by=_BY)
    if run is None:
        raise CommandError(f"{channel} is not in shadow mode.")
    return f"{channel} is not watched any more, and stays paused.", {"run": run.pk, "channel": channel.pk}


def _back(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    run = going_live.go_back(channel, by=_BY)
    return f"{channel} is in shadow mode again: nothing is told.", {"run": run.pk, "channel": channel.pk}


def _report(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    chosen = ShadowRun.objects.filter(channel=channel).select_related("channel").defer("channel__credentials")
    run = (chosen.filter(pk=options["run"]) if options["run"] else chosen.order_by("-id")).first()
    if run is None:
        raise CommandError(f"{channel} was never in shadow mode, or has no such run.")
    found = report(run, named=options["named"])
    return _told(found), found.as_json()


def _first_push(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    run = _open_run(channel)
    push = going_live.first_push(run)
    numbers = going_live.first_numbers(run, limit=options["named"])
    going_live.note_seen(run, push, by=_BY)
    lines = [
        f"{push.changes} of {push.shelves} numbers would change, {push.to_zero} of them to 0; {push.unread} were never read.",
        *(f"  {each.sku} {each.place}: {_or_none(each.shown)} → {each.would}" for each in numbers),
        *(f"open: {each.said} ({each.key})" for each in going_live.questions(run)),
    ]
    found = {
        **asdict(push),
        "numbers": [asdict(each) for each in numbers],
        "questions": [
            {"key": each.key, "text": each.said, "count": each.count} for each in going_live.questions(run)
        ],
    }
    return "\n".join(lines), found


def _go_live(channel: Channel, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    run = _open_run(channel)
    right = going_live.go_live(run, by=_BY, answered=options["answer"], confirmed=options["changes"])
    return f"{channel} is live; {right} shelves were right already.", {"channel": channel.pk, "right": right}


def _open_run(channel: Channel) -> ShadowRun:
    run = runs.open_run_of(channel)
    if run is None:
        raise CommandError(f"{channel} is not in shadow mode; begin it with: shadow begin {channel.pk}")
    return run


def _told(found: Report) -> str:
    totals, lead = found.totals, found.lead
    lines = [
        f"{found.channel}, {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC",
        f"  shelves: {totals.shelves} watched, {totals.read} read, {totals.differ_now} differ now, {totals.differed} did",
        f"  they differed {totals.share:.2%} of the time; we would have sent {totals.would_have_sent} numbers",
        f"  oversold: {found.oversold_units} units in {found.oversold_orders} orders, of which our numbers would have "
        f"prevented {found.prevented_units}",
        f"  a change took us {_seconds(lead.ours_median)} (p95 {_seconds(lead.ours_p95)}), them "
        f"{_seconds(lead.theirs_median)} (p95 {_seconds(lead.theirs_p95)}); {lead.not_followed} of {lead.changes} were never "
        "followed",
    ]
    lines += [
        f"  {each.sku} {each.place}: {_or_none(each.shown)}, we would show {_or_none(each.would)}; "
        f"differed {each.seconds:.0f} s"
        for each in found.differences
    ]
    lines += [
        f"  order {each.order} on {each.channel}: {each.units} of {each.quantity} {each.sku} were not there, "
        f"{each.prevented} prevented"
        for each in found.oversold
    ]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _or_none(value: int | None) -> str:
    return "?" if value is None else str(value)


_Step = Callable[[Channel, dict[str, Any]], tuple[str, dict[str, Any]]]
_STEPS: Final[dict[str, _Step]] = {
    "begin": _begin,
    "report": _report,
    "first-push": _first_push,
    "go-live": _go_live,
    "stop": _stop,
    "back": _back,
}
