"""How a number came about, step by step."""

from collections.abc import Iterable, Mapping
from typing import Any

from channels.models import ListingLevel
from config.admin_panels import Panel


def waterfall_panel(title: str, steps: Iterable[Mapping[str, Any]]) -> Panel:
    """Shows the steps from on hand to the number that was told."""
    rows = [(step.get("step"), step.get("quantity"), step.get("note")) for step in steps]
    return Panel(title, ("Step", "Units after it", "Because"), rows, empty="No number has been computed yet.")


def why_panel(level: ListingLevel) -> Panel:
    """Answers "Why this number?" for what the shelf would be told now."""
    return waterfall_panel("Why this number?", [])
