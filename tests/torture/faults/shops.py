"""Shops that are slow of answer, wrong of answer, or sell between our reading and our writing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.torture.faults.blows import Act, Blow

if TYPE_CHECKING:
    from tests.torture.world import World


def _of_one(**faults: object) -> Callable[["World", Act], None]:
    def strike(world: "World", act: Act) -> None:
        world.trouble(act.channel, **faults)

    return strike


def _throttle(world: "World", act: Act) -> None:
    world.trouble(act.channel, throttle_rate=0.6, retry_after=act.how)


def _storm(world: "World", act: Act) -> None:
    for position in range(len(world.channels)):
        world.trouble(position, error_rate=0.7)


def _calm_all(world: "World", act: Act) -> None:
    for position in range(len(world.channels)):
        world.calm(position)


def _calm(world: "World", act: Act) -> None:
    world.calm(act.channel)


BLOWS: Final = (
    Blow(
        "throttled",
        "429 with a Retry-After that is long, absurd, in the past, no number, or missing",
        _throttle,
        3.0,
        end=_calm,
        ways=("2", "-", "86400", "-7", "soon", "999999999", "Fri, 31 Dec 2038 23:59:59 GMT", "0"),
    ),
    Blow("storm", "500 and 502 from every shop at once, and the herd after it", _storm, 3.0, end=_calm_all),
    Blow("shop-down", "a shop that answers 503 for a while", _of_one(is_down=True), 4.0, end=_calm),
    Blow(
        "timeouts",
        "calls that are carried out and answered too late",
        _of_one(timeout_rate=0.25, timeout_seconds=12.0),
        3.0,
        end=_calm,
    ),
    Blow(
        "nonsense",
        "status 200 with an error or a page, half a batch, connections that just end",
        _of_one(error_in_200_rate=0.15, html_rate=0.15, half_batch_rate=0.3, drop_rate=0.1),
        4.0,
        end=_calm,
    ),
    Blow(
        "sale-between",
        "a shop sells between our reading and our writing",
        _of_one(sale_before_write_rate=0.5),
        4.0,
        end=_calm,
    ),
    Blow(
        "overtaken",
        "a number that we write arrives only when a later one may have overtaken it",
        _of_one(late_write_rate=0.25, late_write_seconds=3.0),
        4.0,
        end=_calm,
    ),
)
