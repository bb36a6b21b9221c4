"""One process of the reserve benchmark: reserves until its time is over, and prints what it counted."""

import json
import random
import sys
import time
from typing import Any

import django

from config import startup


def main() -> None:
    """Reads the job from the first argument, reports ready, waits for a line, works, and prints one JSON object."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    startup.prepare()
    startup.hold_database()
    django.setup()
    from tests.benchmarks.reserve_loop import reserve_until  # noqa: PLC0415 - the apps must be set up first
    from tests.benchmarks.scratch import use_database  # noqa: PLC0415

    use_database(job["database"])
    reserve_until(job, time.monotonic(), random.Random(1), warm_up=20)  # noqa: S311
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    counted = reserve_until(job, started + job["seconds"], random.Random())  # noqa: S311
    print(json.dumps(counted | {"seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    main()
