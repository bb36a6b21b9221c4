"""Everything that goes wrong, by name: shapes of events, weather on the street, and blows at a moment."""

from collections.abc import Sequence
from typing import Any, Final

from tests.torture.faults import database, outside, processes, shops
from tests.torture.faults.blows import Blow
from tests.torture.street import Weather

#: What customers and systems do; the plan of events holds it.
SHAPES: Final = {
    "last-unit": "a hundred buyers of one last unit, on all channels at the same instant",
    "same-sku-twice": "the same SKU in two lines of an order",
    "two-bundles": "an order for two kits that share a part",
    "opposite-lines": "orders and carts with the same lines in opposite sequence, at the same instant",
    "expiry-race": "a cart that is confirmed in the moment in which it ends",
    "repeated-calls": "calls of the API sent several times at once under one key",
}
#: What befalls webhooks all the time, and how often.
WEATHER: Final = {
    "repeated": 0.02,
    "held": 0.05,
    "lost": 0.03,
    "late": 0.02,
    "renamed": 0.02,
    "forged": 0.02,
}
#: How often each should come, however short the run. There are two or three messages to an event.
_TIMES_AT_LEAST: Final = 3
_WEATHER_WORDS: Final = {
    "repeated": "a webhook comes again, up to 50 times",
    "held": "a webhook is overtaken by later ones: the cancellation comes before the order",
    "lost": "a webhook is lost for ever",
    "late": "a webhook comes when everything is over and has been compared",
    "renamed": "a webhook comes under the id of an earlier one with another body",
    "forged": "bodies changed, signatures left out, taken from another message, and sent to another channel's door",
}
BLOWS: Final[dict[str, Blow]] = {
    blow.name: blow for blow in (*shops.BLOWS, *processes.BLOWS, *database.BLOWS, *outside.BLOWS)
}

NAMES: Final = (*SHAPES, *WEATHER, *BLOWS)


def described() -> dict[str, str]:
    """Returns what each fault is, by name."""
    return {**SHAPES, **_WEATHER_WORDS, **{name: blow.what for name, blow in BLOWS.items()}}


def chosen(text: str) -> tuple[str, ...]:
    """Reads `all`, `none` or a list of names. Raises `ValueError` naming what there is."""
    if text in ("all", "none"):
        return NAMES if text == "all" else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"There is no fault {', '.join(unknown)}; there are {', '.join(NAMES)}.")
    return names


def weather_of(names: Sequence[str], *, events: int) -> Weather:
    """Returns the weather with these faults in it; in a short run they are more frequent, so that each comes at all."""
    least = _TIMES_AT_LEAST / events
    rates: dict[str, Any] = {name: max(rate, least) for name, rate in WEATHER.items() if name in names}
    return Weather(**rates)
