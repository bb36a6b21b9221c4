"""How a number came about, step by step: "Why this number?"."""

from collections.abc import Iterable, Mapping
from typing import Any

from channels.arrival_texts import arrival_texts
from channels.exposure import explain
from channels.models import ListingLevel, Push
from config.admin_panels import Change, Panel

_HEADERS = ("Step", "Change", "Units after it", "Because", "Rule")


def _rows(steps: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            step["name"],
            Change(step["after"] - step["before"]),
            step["after"],
            step["why"],
            step.get("rule", ""),
        )
        for step in steps
    ]


def push_panel(push: Push) -> Panel:
    """Shows how the number of a push came about, as it was computed then."""
    return Panel("Why this number", _HEADERS, _rows(push.waterfall), empty="The steps were not recorded.")


def why_panel(level: ListingLevel) -> Panel:
    """Answers "Why this number?": what the shelf would be told now, and each step that leads there."""
    if level.listing.variant_id is None:
        return Panel(
            "Why this number?", _HEADERS, [], empty="The listing is not mapped, so it is told nothing."
        )
    exposure = explain(level.pk)
    on_hand = exposure.steps[0].before if exposure.steps else 0
    rows = [
        ("On hand", Change(0), on_hand, "at the locations behind this place", ""),
        *_rows(step.row() for step in exposure.steps),
    ]
    note = f"It would be told {exposure.quantity} now. {_compared(level, exposure.quantity)}{_arrives(level)}"
    return Panel("Why this number?", _HEADERS, rows, note=note)


def _arrives(level: ListingLevel) -> str:
    """Says when a unit that is ordered now reaches the customer, where the channel says how long the way takes."""
    texts = arrival_texts(level.channel, [level.listing.variant_id] if level.listing.variant_id else [])
    return "".join(f" Arrives: {text}." for text in texts.values())


def _compared(level: ListingLevel, target: int) -> str:
    """Says how that stands to what the shop should show."""
    if level.expected is None:
        return "It has not confirmed a number yet."
    if level.expected == target:
        return "That is what it should be showing."
    waits = (
        "the difference is on its way"
        if level.is_due
        else "nothing is due, so it will stay so until the next change"
    )
    return f"It should be showing {level.expected}, what it confirmed less its own orders since; {waits}."
