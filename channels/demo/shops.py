"""The simulated shops of a demo or replay: processes of their own, and the clients that drive them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from channels.demo.platforms import DEFAULT, PLATFORMS
from channels.sandbox.client import SandboxClient, SandboxError
from config.environment import BASE_DIR
from config.supervisor import Child, python_child

FIRST_PORT: Final = 8101


@dataclass(frozen=True, slots=True)
class Temper:
    """How the shops behave."""

    #: `healthy`, `slow` or `mean`, as `channels.sandbox.profiles` describes them.
    profile: str = "healthy"
    #: `true`: the platform's own rate limits; `generous`: none that matter.
    limits: str = "true"
    seed: int = 1
    #: Number of the first order: a shop that starts again must not give an earlier order's number to a new one.
    first_order: int = field(default_factory=lambda: int((time.time() - 1_760_000_000) * 100))


@dataclass(slots=True)
class Shop:
    """One simulated shop."""

    kind: str
    name: str
    port: int
    #: Which one of its platform's it is.
    number: int = 1
    client: SandboxClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = SandboxClient(f"http://127.0.0.1:{self.port}")

    @property
    def key(self) -> str:
        """Tells it from all others: its platform, and its number where it is not the first."""
        return self.kind if self.number == 1 else f"{self.kind}-{self.number}"

    def child(self, temper: Temper) -> Child:
        """Returns the process that serves this shop."""
        return python_child(
            f"shop-{self.key}",
            str(BASE_DIR / "manage.py"),
            "sandbox",
            f"--platform={self.kind}",
            # Its secrets depend on it.
            f"--name={'' if self.number == 1 else f'Sample {self.key} shop'}",
            f"--port={self.port}",
            f"--profile={temper.profile}",
            f"--limits={temper.limits}",
            f"--seed={temper.seed}",
            f"--first-order={temper.first_order}",
            probe=partial(is_up, self.client),
        )


def is_up(client: SandboxClient) -> bool:
    """Returns whether the shop answers."""
    try:
        client.health()
    except SandboxError:
        return False
    return True


def shops(first_port: int = FIRST_PORT, kinds: Sequence[str] = DEFAULT) -> list[Shop]:
    """Returns the shops of these platforms; each platform has its port, whichever others there are."""
    ports = {kind: first_port + position for position, kind in enumerate(PLATFORMS)}
    return [Shop(kind, PLATFORMS[kind].name, ports[kind]) for kind in kinds]


def shops_on(ports: Sequence[int], kinds: Sequence[str] = DEFAULT) -> list[Shop]:
    """Returns a shop on each of these ports, the platforms by turns."""
    made = []
    for place, port in enumerate(ports):
        kind, number = kinds[place % len(kinds)], place // len(kinds) + 1
        name = PLATFORMS[kind].name
        made.append(Shop(kind, name if number == 1 else f"{name} {number}", port, number))
    return made
