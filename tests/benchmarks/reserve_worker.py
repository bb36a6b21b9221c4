"""One process of the reserve benchmark: does the jobs that come in on standard input, one JSON object a line."""

import json
import random
import sys
import time
from typing import Any

import django

from config import startup


def main() -> None:
    """Prints a line when ready, then for each job works until its time is over and prints what it counted."""
    startup.prepare()
    startup.hold_database()
    django.setup()
    from tests.benchmarks.reserve_loop import reserve_until
    from tests.benchmarks.scratch import use_database

    use_database(sys.argv[1])
    answer({"ready": True})
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        started = time.monotonic()
        counted = reserve_until(job, started + job["seconds"], random.Random())
        answer(counted | {"seconds": time.monotonic() - started})


def answer(message: dict[str, Any]) -> None:
    """Prints one JSON object on a line of its own, at once."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
