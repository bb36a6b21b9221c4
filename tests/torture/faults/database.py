"""A database that dies under load, hangs up, has no room left, and loses the answer to a COMMIT."""

from typing import TYPE_CHECKING, Final

import psycopg

from config.database import direct_connection
from tests.torture import server
from tests.torture.faults.blows import Act, Blow

if TYPE_CHECKING:
    from tests.torture.world import World

#: More than any server allows that is set up as ours.
_MOST: Final = 300


def _restart(world: "World", act: Act) -> None:
    if server.stop_at_once(world.server):
        world.kills += 1


def _revive(world: "World", act: Act) -> None:
    """Whoever holds the server starts it again; the supervisor may have been quicker."""
    world.server.revive()
    world.restarts += 1


def _hang_up(world: "World", act: Act) -> None:
    with direct_connection() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND application_name = 'onecount'"
        )


def _exhaust(world: "World", act: Act) -> None:
    """Takes every connection that is left."""
    for _ in range(_MOST):
        try:
            world.hoard.append(direct_connection())
        except psycopg.OperationalError:
            return


def _give_back(world: "World", act: Act) -> None:
    while world.hoard:
        world.hoard.pop().close()


def _light(world: "World", act: Act) -> None:
    world.light(act.how)


BLOWS: Final = (
    Blow(
        "database-restart",
        "PostgreSQL stopped at once (-m immediate) under load, and started again",
        _restart,
        0.5,
        rest=4.0,
        end=_revive,
        is_heavy=True,
    ),
    Blow(
        "connections-cut", "every connection to the database ends at once", _hang_up, rest=2.0, is_heavy=True
    ),
    Blow(
        "connections-exhausted",
        "no connection to the database is left",
        _exhaust,
        2.5,
        rest=2.0,
        end=_give_back,
        is_heavy=True,
    ),
    Blow(
        "cut-at-commit",
        "the connection is cut at COMMIT, before it arrives or before its answer does",
        _light,
        rest=2.0,
        ways=("cut-before-commit", "cut-after-commit"),
        is_heavy=True,
    ),
)
