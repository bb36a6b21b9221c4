"""kill -9 of everything that runs, a deploy, and keys that are exchanged while work waits."""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet
from django.conf import settings

from channels.key_rotation import rotate
from tests.torture.faults.blows import Act, Blow

if TYPE_CHECKING:
    from tests.torture.world import World


def _kill(word: str, *, is_leader: bool) -> Callable[["World", Act], None]:
    """Kills the oldest process of this word, which started the others, or the youngest."""

    def strike(world: "World", act: Act) -> None:
        found = world.program.children(word)
        if found:
            found[0 if is_leader else -1].kill()
            world.kills += 1

    return strike


def _kill_web_worker(world: "World", act: Act) -> None:
    """Kills a process that the web server started to answer requests."""
    workers = [
        child
        for leader in world.program.children("granian")
        for child in leader.children()
        if any("spawn_main" in word for word in child.cmdline())
    ]
    if workers:
        workers[-1].kill()
        world.kills += 1


def _kill_supervisor(world: "World", act: Act) -> None:
    world.program.kill()
    world.kills += 1
    world.program.start()


def _light(world: "World", act: Act) -> None:
    world.light(act.how)


def _deploy(world: "World", act: Act) -> None:
    """Ends the program as a deploy does, and starts it with new keys before the old ones."""
    keys = [Fernet.generate_key().decode(), *settings.ONECOUNT_CREDENTIAL_KEYS]
    settings.ONECOUNT_CREDENTIAL_KEYS = keys
    world.program.stop()
    world.program.environment["ONECOUNT_CREDENTIAL_KEYS"] = ",".join(keys)
    world.program.environment["SECRET_KEY"] = world.secrets["new SECRET_KEY"] = secrets.token_urlsafe(50)
    world.program.start()


def _rotate(world: "World", act: Act) -> None:
    """Encrypts under the new key whatever is under an old one, while the program works with it."""
    rotate()


#: Seconds in which the program comes up on a busy machine.
_START: Final = 8.0

BLOWS: Final = (
    Blow(
        "kill-worker", "kill -9 of a job worker", _kill("qcluster", is_leader=False), rest=3.0, is_heavy=True
    ),
    Blow(
        "kill-jobs", "kill -9 of the job cluster", _kill("qcluster", is_leader=True), rest=4.0, is_heavy=True
    ),
    Blow(
        "kill-pusher", "kill -9 of the pusher", _kill("run_pusher", is_leader=True), rest=4.0, is_heavy=True
    ),
    Blow(
        "kill-reconciler",
        "kill -9 of the reconciler",
        _kill("run_reconciler", is_leader=True),
        rest=2.0,
        is_heavy=True,
    ),
    Blow(
        "kill-web-worker",
        "kill -9 of a worker of the web server",
        _kill_web_worker,
        rest=3.0,
        is_heavy=True,
    ),
    Blow("kill-web", "kill -9 of the web server", _kill("granian", is_leader=True), rest=4.0, is_heavy=True),
    Blow("kill-supervisor", "kill -9 of the supervisor", _kill_supervisor, rest=_START, is_heavy=True),
    Blow(
        "kill-at-point",
        "kill -9 just before and after a commit of the ledger, and before and after a number is sent",
        _light,
        rest=4.0,
        ways=("kill-before-commit", "kill-after-commit", "kill-before-send", "kill-after-send"),
        is_heavy=True,
    ),
    Blow(
        "deploy",
        "a deploy with new keys while work waits, and all secrets encrypted under them while it comes up",
        _deploy,
        4.0,
        rest=_START,
        end=_rotate,
        is_heavy=True,
    ),
)
