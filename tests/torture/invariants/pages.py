"""What people and programs are shown: pages of the back office, answers of the API, files of reports."""

import re
from datetime import timedelta
from typing import Final

import requests
from django.utils import timezone

from analytics.reports.csv_files import sales_file, stock_file
from tests.torture.invariants.evidence import Evidence
from tests.torture.processes import HOST
from tests.torture.snapshot import LOGIN

_PAGES: Final = (
    "/admin/",
    "/admin/channels/channel/",
    "/admin/channels/webhookdelivery/",
    "/admin/channels/channelorder/",
    "/admin/channels/push/",
    "/admin/channels/errorentry/",
    "/admin/config/deadtask/",
    "/admin/reconciliation/alert/",
    "/metrics",
)
#: What the API shows to a merchant.
CALLS: Final = (
    "channels",
    "errors",
    "orders",
    "stock-levels?limit=200",
    "variants?limit=200",
    "listing-levels",
    "movements",
)
_TOKEN: Final = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def opened_pages(evidence: Evidence) -> list[tuple[str, int, str]]:
    """Opens pages of the back office once, as somebody who may see everything; returns address, status and text."""
    if evidence.pages:
        return evidence.pages
    world = evidence.world
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
            answer = session.get(base + path, timeout=60)
            evidence.pages.append((path, answer.status_code, answer.text))
    return evidence.pages


def files_of_reports(merchant_id: int) -> list[tuple[str, str]]:
    """Returns the files that reports bring to a merchant, of today and yesterday."""
    today = timezone.now().date()
    return [
        (f"{what} of {day}", make(merchant_id, day))
        for day in (today, today - timedelta(days=1))
        for what, make in (("sales file", sales_file), ("stock file", stock_file))
    ]
