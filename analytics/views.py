"""The live dashboard: the first page of the back office, and the fragment of it that is asked for every two seconds."""

import hashlib
import math
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from analytics.dashboard import Latency, figures
from channels.admin.condition import TONES
from config.admin_panels import NOTHING, Change, Panel, badge, duration, list_of, moment, page_of
from inventory.admin.references import linked
from inventory.models import StockMovement
from reconciliation.admin.alerts import severity_badge
from reconciliation.checks.installation import may_be_starting
from reconciliation.checks.queues import MOST_COUNTED
from reconciliation.glance import Glance

#: What one has to be allowed to see to see the figures.
SEEN: Final = ("inventory.view_stocklevel", "channels.view_channel")

_MOVEMENT_HEADERS: Final = (
    "Recorded", "SKU", "Location", "What", "On hand", "Reserved", "On hand after", "For", "Operation",
)  # fmt: skip


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the first state of the fragment to the context of the admin's first page."""
    if request.user.has_perms(SEEN):
        content = _content(request)
        context.update(title="Dashboard", live=content, live_etag=_etag(content))
    return context


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answers the fragment, or 304 where it is still what the browser has."""
    if not request.user.has_perms(SEEN):
        return HttpResponse(status=403)
    content = _content(request)
    etag = _etag(content)
    response = HttpResponse(content, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    conditional = get_conditional_response(request, etag=etag, response=response)
    if isinstance(conditional, HttpResponseNotModified):
        conditional["Cache-Control"] = "private, no-cache"
    return conditional  # type: ignore[return-value]


#: The view behind the back office's login.
live_view = admin.site.admin_view(live)


def _etag(content: str) -> str:
    """Names the content. It holds instants, not ages, so that nothing changes while nothing happens."""
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def _content(request: HttpRequest) -> str:
    found = figures()
    channels = [
        {
            "channel": each,
            "tone": TONES.get(each.state, "neutral"),
            "latency": _shown(found.latency_by_channel.get(each.channel_id)),
            "inbound": _counted(each.queues.inbound),
            "due": _counted(each.queues.outbound),
        }
        for each in found.channels
    ]
    resting = [each.subject for each in found.processes if not each.is_ok]
    context = {
        "figures": found,
        "latency": _shown(found.latency),
        "channels": channels,
        "alerts": _alerts_panel(found.glance),
        "silent": [each for each in resting if not may_be_starting(each)],
        "starting": [each for each in resting if may_be_starting(each)],
        "movements": Panel("Latest movements", _MOVEMENT_HEADERS, _movement_rows(found.movements)),
    }
    return render_to_string("onecount/dashboard_live.html", context, request=request)


def _alerts_panel(seen: Glance) -> Panel:
    rows = [
        (severity_badge(each), _sentence(page_of(each)), moment(each.opened_at), _sentence(each.remedy))
        for each in seen.alerts
    ]
    links = [(list_of("reconciliation.alert", "state=open"), "All open alerts")]
    note = f"The worst {len(rows)}; there are more." if seen.has_more else ""
    return Panel(
        "Alerts",
        ("Severity", "What", "Since", "What to do"),
        rows,
        empty="Nothing is wrong.",
        note=note,
        links=links,
    )


def _sentence(text: str) -> SafeString:
    """Returns a text that is broken into lines in a table, and not squeezed into one word a line."""
    return format_html('<span class="oc-sentence">{}</span>', text)


def _counted(count: int) -> str:
    return f"{count:,}" if count <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"


def _shown(latency: Latency | None) -> dict[str, Any]:
    """Returns a latency in words."""
    if latency is None or not latency.orders:
        return {"p50": NOTHING, "p95": NOTHING, "orders": 0, "unfinished": 0}
    return {
        "p50": _late(latency.p50),
        "p95": _late(latency.p95),
        "orders": latency.orders,
        "unfinished": latency.unfinished,
    }


def _late(seconds: float | None) -> str:
    return "on its way" if seconds is not None and math.isinf(seconds) else duration(seconds)


def _movement_rows(movements: list[StockMovement]) -> list[tuple[Any, ...]]:
    references = linked(each.reservation.reference for each in movements if each.reservation)
    return [
        (
            moment(each.recorded_at),
            page_of(each.level.variant),
            each.level.location.code,
            badge(each.get_kind_display()),
            Change(each.on_hand_delta),
            Change(each.reserved_delta),
            each.on_hand_after,
            references.get(each.reservation.reference, "") if each.reservation else each.operation.document,
            page_of(each.operation, each.operation.verb),
        )
        for each in movements
    ]
