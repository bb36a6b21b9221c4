"""How a simulated shop behaves: quick and well, slowly, or badly."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Rates are probabilities from 0 to 1 a call or a webhook; everything is off by default."""

    # -- API calls
    #: Every call is answered 503.
    is_down: bool = False
    #: A call is answered 500 or 502 and nothing is done.
    error_rate: float = 0.0
    #: A call is refused for its frequency, whatever its frequency is.
    throttle_rate: float = 0.0
    #: A call is answered with an HTML page and status 200; nothing is done.
    html_rate: float = 0.0
    #: A call is answered with status 200 and an error document; nothing is done.
    error_in_200_rate: float = 0.0
    #: The connection is closed without an answer before anything is done.
    drop_rate: float = 0.0
    #: The call is done, but the answer comes only after `timeout_seconds`, if anybody still waits.
    timeout_rate: float = 0.0
    timeout_seconds: float = 30.0
    #: A batch is done by half, then answered 504.
    half_batch_rate: float = 0.0
    #: Added to every answer.
    extra_seconds: float = 0.0
    #: What a refusal for frequency says under `Retry-After`, with status 429 on every platform; empty: as the platform does.
    #: `-` leaves the header out.
    retry_after: str = ""
    #: A customer buys one of what is about to be written, after the caller has read it and before it is written.
    sale_before_write_rate: float = 0.0
    #: A number that is written gets no answer and arrives `late_write_seconds` later, when others may have overtaken it.
    late_write_rate: float = 0.0
    late_write_seconds: float = 3.0
    #: A change that is only accepted at first (Amazon) is never done.
    accepted_is_lost_rate: float = 0.0
    #: A change that is only accepted at first ends as a failure that names nothing, and is not done (Amazon vendor).
    accepted_fails_rate: float = 0.0
    #: Added to the time that a change takes which is only accepted at first (Amazon).
    processing_delay_seconds: float = 0.0
    #: A warehouse (Picqer) shows its free stock as it was for so long after it reserved or released.
    reservation_lag_seconds: float = 0.0
    # -- webhooks
    #: None is sent; what would have been sent is lost.
    webhooks_are_lost: bool = False
    webhook_loss_rate: float = 0.0
    webhook_duplicate_rate: float = 0.0
    #: A webhook is held back by up to `webhook_delay_seconds`, so that later ones overtake it.
    webhook_delay_rate: float = 0.0
    webhook_delay_seconds: float = 3.0
    webhook_bad_signature_rate: float = 0.0
    #: Waits between attempts are divided by this, so that tests need not wait for hours.
    retry_speed: float = 1.0

    def with_changes(self, changes: dict[str, object]) -> "Faults":
        """Returns these faults with some of them set. Raises `ValueError` naming what does not exist or fit."""
        known = {each.name: each.type for each in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"No fault is called {name}; there are {', '.join(sorted(known))}.")
            if not _fits(known[name], value):
                raise ValueError(f"The fault {name} takes a {_TAKES[known[name]]}.")
        return replace(self, **changes)  # type: ignore[arg-type]


#: Type of a fault → what it takes.
_TAKES: Final[dict[Any, str]] = {bool: "truth value", float: "number", str: "text"}


def _fits(kind: Any, value: object) -> bool:
    if isinstance(value, bool) or kind is not float:
        return isinstance(value, kind)
    return isinstance(value, int | float)


@dataclass(frozen=True, slots=True)
class Profile:
    """The temper of a shop: how fast it answers, how late its webhooks are, and what goes wrong."""

    name: str
    #: Seconds a call takes, from and to.
    answer_seconds: tuple[float, float]
    #: Seconds between an event and its webhook, from and to.
    webhook_seconds: tuple[float, float]
    faults: Faults = field(default_factory=Faults)


HEALTHY: Final = Profile("healthy", (0.020, 0.080), (0.020, 0.200))
SLOW: Final = Profile("slow", (0.300, 2.000), (2.0, 20.0))
MEAN: Final = Profile(
    "mean",
    (0.020, 0.400),
    (0.020, 2.0),
    Faults(
        error_rate=0.03,
        throttle_rate=0.03,
        html_rate=0.01,
        error_in_200_rate=0.01,
        drop_rate=0.01,
        timeout_rate=0.005,
        half_batch_rate=0.02,
        webhook_loss_rate=0.02,
        webhook_duplicate_rate=0.15,
        webhook_delay_rate=0.15,
        webhook_bad_signature_rate=0.01,
    ),
)
#: No waiting at all: for tests.
INSTANT: Final = Profile("instant", (0.0, 0.0), (0.0, 0.0))

PROFILES: Final = {profile.name: profile for profile in (HEALTHY, SLOW, MEAN, INSTANT)}
