"""Nothing that is secret, nobody's customer, and nothing of another merchant is anywhere where it must not be."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.db import connection

from config import postgres_installation as installation
from tests.torture import server
from tests.torture.invariants.evidence import Evidence
from tests.torture.invariants.pages import CALLS, files_of_reports, opened_pages
from tests.torture.verdict import Violation, violated
from tests.torture.world import World

#: What the shops' invented customers are known by.
_CUSTOMER: Final = re.compile(
    r"sample\.customer\.|Sample Customer|@example\.invalid|\+00 0000 |Voorbeeldstad|Musterstadt"
)
#: What simulated Shopify shops give out.
_ACCESS_TOKEN: Final = re.compile(r"shpat_[0-9a-f]{16}")


def no_secret_leaks(evidence: Evidence) -> list[Violation]:
    """Searches the dumped database, the logs and pages for every secret that there is."""
    world = evidence.world
    cases = []
    for where, text in _texts(evidence):
        cases += [f"{what} in {where}" for what, secret in world.secrets.items() if secret in text]
        if _ACCESS_TOKEN.search(text):
            cases.append(f"an access token in {where}")
    return violated("no-secret-leaks", "{count} secrets lie open", cases)


def no_customer_is_kept(evidence: Evidence) -> list[Violation]:
    """Searches the database and the logs for the customers of the shops."""
    cases = [
        f"{found[0]} in {where}"
        for where, text in (*_dump(evidence), *_logs(evidence.world))
        if (found := _CUSTOMER.search(text))
    ]
    return violated("no-customer-is-kept", "{count} places know customers", cases)


def no_foreign_merchant_shows(evidence: Evidence) -> list[Violation]:
    """Searches what the API shows to the merchant, and the files of reports, for the mark of the stranger."""
    world = evidence.world
    shown = [(path, world.clerk.get(path)) for path in CALLS] + files_of_reports(world.merchant.pk)
    cases = [path for path, text in shown if world.marker in text]
    return violated("no-foreign-merchant-shows", "{count} answers show another merchant's things", cases)


def _texts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    world = evidence.world
    yield from _dump(evidence)
    yield from _logs(world)
    yield from ((path, text) for path, _, text in opened_pages(evidence))
    yield from files_of_reports(world.merchant.pk)
    for path in CALLS:
        yield f"/api/v1/{path}", world.clerk.get(path)


def _dump(evidence: Evidence) -> list[tuple[str, str]]:
    """Dumps every row as text once, table by table."""
    if evidence.dump:
        return evidence.dump
    address = connection.settings_dict
    done = subprocess.run(
        [
            str(installation.binaries() / "pg_dump"),
            "--data-only",
            f"--host={address['HOST']}",
            f"--port={address['PORT']}",
            f"--username={address['USER']}",
            str(address["NAME"]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    sections = done.stdout.split("\nCOPY ")[1:]
    evidence.dump = [(f"table {section.split(' ', 1)[0]}", section) for section in sections]
    return evidence.dump


def _logs(world: World) -> Iterator[tuple[str, str]]:
    for path in (world.program.log, server.log_of(world.server)):
        yield f"log {path.name}", _read(path)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
