"""Replays recorded events under other rules, and compares with what happened."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.progress import Progress

from channels.errors import InvalidPeriod
from channels.models import Rehearsal, RuleSetVersion
from channels.models.rehearsals import RehearsalState
from channels.rehearsals import running


def instant(text: str) -> datetime:
    """Reads an instant; without an offset it is UTC."""
    try:
        at = parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no instant: {error}.") from None
    if at is None:
        raise CommandError(f"{text!r} is no instant. Write it like 2026-01-31T14:00.")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Runs a rehearsal in this process, without the time limit of a job; its result is kept with the version."""

    help = (
        "Replay the recorded events of a period under a version of a rule set, and compare with what happened: oversold "
        "units, units not offered, stock-outs, numbers sent. Changes nothing but the rehearsal itself, which the "
        "back office shows. The exit code is 0 when it ran to its end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rules", type=int, metavar="ID", help="the version of a rule set, by id")
        parser.add_argument(
            "--since", metavar="INSTANT", help="from this instant, e.g. 2026-01-24T00:00 (UTC)"
        )
        parser.add_argument("--until", metavar="INSTANT", help="until this instant, itself left out (UTC)")
        parser.add_argument("--again", type=int, metavar="ID", help="run this rehearsal once more instead")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        rehearsal_id = self._again(options["again"]) if options["again"] else self._ask(options)
        self._run(rehearsal_id)
        rehearsal = Rehearsal.objects.select_related("version__rule_set").get(pk=rehearsal_id)
        if options["json"]:
            self.stdout.write(json.dumps(summary(rehearsal)))
        else:
            self._print(rehearsal)
        if rehearsal.state != RehearsalState.DONE:
            sys.exit(1)

    def _ask(self, options: dict[str, Any]) -> int:
        if not (options["rules"] and options["since"] and options["until"]):
            raise CommandError("Give --rules, --since and --until, or --again.")
        version = RuleSetVersion.objects.select_related("rule_set").filter(pk=options["rules"]).first()
        if version is None:
            raise CommandError(f"--rules: there is no version {options['rules']} of a rule set.")
        since, until = instant(options["since"]), instant(options["until"])
        try:
            return int(running.ask(version, since, until, asked_by="command line").pk)
        except InvalidPeriod as error:
            raise CommandError(f"--{error}") from error

    def _again(self, rehearsal_id: int) -> int:
        try:
            running.again(rehearsal_id)
        except Rehearsal.DoesNotExist:
            raise CommandError(f"--again: there is no rehearsal {rehearsal_id}.") from None
        return rehearsal_id

    def _run(self, rehearsal_id: int) -> None:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Replaying events", total=None)

            def show(done: int, total: int) -> None:
                progress.update(task, total=total, completed=done)

            if not running.run(rehearsal_id, on_progress=show):
                raise CommandError(f"Rehearsal {rehearsal_id} is being run by another process.")

    def _print(self, rehearsal: Rehearsal) -> None:
        if rehearsal.result is None:
            self.stdout.write(self.style.ERROR(f"It failed: {rehearsal.error}"))
            return
        self.stdout.write(f"{rehearsal}: {rehearsal.events_done} events.")
        total = rehearsal.result["total"]
        for figure, happened in total["happened"].items():
            self.stdout.write(f"  {figure:18} {happened:>10} → {total['rehearsed'][figure]}")


def summary(rehearsal: Rehearsal) -> dict[str, Any]:
    """Returns the rehearsal as one JSON object."""
    return {
        "rehearsal": rehearsal.pk,
        "version": str(rehearsal.version),
        "since": rehearsal.since.isoformat(),
        "until": rehearsal.until.isoformat(),
        "state": rehearsal.state,
        "events": rehearsal.events_done,
        "error": rehearsal.error,
        "result": rehearsal.result,
    }
