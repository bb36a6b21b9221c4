"""One process of the changes benchmark: receives goods until it has made so many movements, and commits some of it late."""

import json
import random
import sys
import time
from typing import Any

import django

from config import startup


def main() -> None:
    """Does the one job that is given as JSON, and prints how many movements it made."""
    startup.prepare()
    startup.hold_database()
    django.setup()
    from tests.benchmarks.scratch import use_database

    use_database(sys.argv[1])
    sys.stdout.write(json.dumps({"movements": write(json.loads(sys.argv[2]))}) + "\n")


def write(job: dict[str, Any]) -> int:
    """Receives many lines of its own variants and, in between, few of those that all writers share."""
    from django.db import transaction

    from inventory.ledger import Context
    from inventory.stock import StockLine, receive

    chance, number, made = random.Random(job["writer"]), 0, 0
    while made < job["movements"]:
        is_shared = number % 4 == 3
        chosen = job["shared"] if is_shared else job["own"]
        many = min(5 if is_shared else job["lines"], len(chosen), job["movements"] - made)
        lines = [StockLine(variant, job["location_id"], 1) for variant in chance.sample(chosen, many)]
        with transaction.atomic():
            receive(Context(job["merchant_id"], f"writer {job['writer']}: {number}"), lines)
            # Whoever comes later commits earlier.
            time.sleep(chance.choice([0, 0, 0, 0.05, 0.2]))
        made, number = made + many, number + 1
    return made


if __name__ == "__main__":
    main()
