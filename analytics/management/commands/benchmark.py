"""Measures the program beside its physical references."""

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.benchmarks import BENCHMARKS, OPTIONS, usual_of

_ALL: Final = "all"


class Command(BaseCommand):
    """Runs benchmarks in databases of their own and prints what they measured, with the reference of the same run."""

    help = (
        "Measure one part of the program, or with `all` each of them in turn, beside its physical reference, in the same "
        "run and in scratch databases on the same server. Needs a checkout with the development requirements. The exit "
        "code says nothing of the aims; it is 1 where a benchmark could not be run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        listed = "; ".join(f"{name}: {each.text}" for name, each in BENCHMARKS.items())
        parser.add_argument(
            "name", choices=[*BENCHMARKS, _ALL], help=f"{listed}; {_ALL}: each of them in turn"
        )
        for name, option in OPTIONS.items():
            text = f"{option.text} ({usual_of(name)})"
            parser.add_argument(f"--{name}", type=option.read, help=text.replace("%", "%%"))
        parser.add_argument(
            "--skip",
            action="append",
            choices=list(BENCHMARKS),
            default=[],
            metavar="NAME",
            help=f"{_ALL}: leaves this one out; may be given several times",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"] == _ALL:
            self._run_all([name for name in BENCHMARKS if name not in options["skip"]], options)
            return
        measured = _run(options["name"], options)
        if options["json"]:
            self.stdout.write(json.dumps(measured))
        else:
            self._print(measured)

    def _run_all(self, names: Sequence[str], options: dict[str, Any]) -> None:
        """Runs each in turn; one that fails is named in the end, and does not keep the others from being run."""
        measured, failed = {}, {}
        for name in names:
            self.stderr.write(f"{name}: {BENCHMARKS[name].text}")
            try:
                measured[name] = _run(name, options)
            except Exception as error:  # noqa: BLE001 - an hour of measuring is not thrown away
                failed[name] = f"{type(error).__name__}: {error}"
                self.stderr.write(f"{name} failed: {failed[name]}")
            else:
                if not options["json"]:
                    self._print(measured[name])
        if options["json"]:
            self.stdout.write(json.dumps(_together(measured, failed)))
        if failed:
            sys.exit(1)

    def _print(self, measured: dict[str, Any]) -> None:
        facts = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
        self.stdout.write(f"{measured['name']}, median of {measured['runs']} on: {facts}")
        for result in measured["results"]:
            self.stdout.write(
                f"{result['case']:42} {result['rate']:>9} {result['unit']:9} "
                f"{result['reference']} {result['reference_rate']}: ratio {result['ratio']:.3f}"
            )
        for aim in measured["aims"]:
            self.stdout.write(
                f"{'met' if aim['met'] else 'MISSED':7} {aim['name']} {aim['target']}: {aim['measured']}"
            )


def _run(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Runs one benchmark and returns its JSON document."""
    try:
        failed = import_module("tests.benchmarks.programs").ProgramFailed
        benchmark = import_module(f"tests.benchmarks.{name}")
    except ImportError as error:
        raise CommandError(
            f"The benchmarks live in a checkout of the source, under tests/, and need the development requirements "
            f"({error}). Run this from one."
        ) from error
    try:
        measured: dict[str, Any] = benchmark.run(**BENCHMARKS[name].chosen(options))
    except failed as error:
        raise CommandError(str(error)) from error
    return measured


def _together(measured: dict[str, Any], failed: dict[str, str]) -> dict[str, Any]:
    """Returns one JSON object of several benchmarks; the aims once more, named by their benchmark."""
    documents = list(measured.values())
    return {
        "name": _ALL,
        "machine": documents[0]["machine"] if documents else {},
        "runs": min((each["runs"] for each in documents), default=0),
        "results": [
            {"benchmark": name, **result} for name, each in measured.items() for result in each["results"]
        ],
        "aims": [{"benchmark": name, **aim} for name, each in measured.items() for aim in each["aims"]],
        "benchmarks": measured,
        "failed": failed,
    }
