"""Nothing that is secret, nobody's customer, and nothing of another merchant is anywhere where it must not be."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import requests
from django.db import connection

from config import postgres_installation as installation
from tests.torture import server
from tests.torture.invariants.evidence import Evidence
from tests.torture.processes import HOST
from tests.torture.verdict import Violation, violated
from tests.torture.world import LOGIN, World

#: What the shops' invented customers are known by.
_CUSTOMER: Final = re.compile(
    r"sample\.customer\.|Sample Customer|@example\.invalid|\+00 0000 |Voorbeeldstad|Musterstadt"
)
#: What simulated Shopify shops give out.
_ACCESS_TOKEN: Final = re.compile(r"shpat_[0-9a-f]{16}")
_PAGES: Final = (
    "/admin/",
    "/admin/channels/channel/",
    "/admin/channels/webhookdelivery/",
    "/admin/channels/channelorder/",
    "/admin/channels/push/",
    "/admin/channels/errorentry/",
    "/admin/reconciliation/alert/",
)
_CALLS: Final = (
    "channels",
    "errors",
    "orders",
    "stock-levels?limit=200",
    "variants?limit=200",
    "listing-levels",
    "movements",
)
_TOKEN: Final = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


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
    """Searches what the API shows to the merchant for the mark of the stranger."""
    world = evidence.world
    cases = [path for path in _CALLS if world.marker in world.clerk.get(path)]
    return violated("no-foreign-merchant-shows", "{count} answers show another merchant's things", cases)


def _texts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    world = evidence.world
    yield from _dump(evidence)
    yield from _logs(world)
    yield from _pages(world)
    for path in _CALLS:
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


def _pages(world: World) -> Iterator[tuple[str, str]]:
    """Opens pages of the back office as somebody who may see everything."""
    base = f"http://{HOST}:{world.program.port}"
    with requests.Session() as session:
        form = session.get(f"{base}/admin/login/", timeout=60).text
        token = _TOKEN.search(form)
        data = {
            "username": LOGIN,
            "password": world.password,
            "csrfmiddlewaretoken": token[1] if token else "",
        }
        session.post(f"{base}/admin/login/?next=/admin/", data=data, timeout=60)
        details = tuple(f"/admin/channels/channel/{channel.pk}/change/" for channel in world.channels[:2])
        for path in (*_PAGES, *details):
            yield path, session.get(base + path, timeout=60).text
