"""What one process of the reserve benchmark does, again and again."""

import random
import time
import uuid
from typing import Any

from inventory.errors import InsufficientStock
from inventory.ledger import Context
from inventory.reservations import Demand, reserve


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Reserves orders for the job's seconds; counts those reserved and those refused."""
    source, started = random.Random(), time.monotonic()
    counted = {"reserved": 0, "refused": 0}
    while time.monotonic() < started + job["seconds"]:
        try:
            reserve(Context(job["merchant_id"], f"benchmark:{uuid.uuid4()}"), _order(job, source))
            counted["reserved"] += 1
        except InsufficientStock:
            counted["refused"] += 1
    return counted | {"seconds": time.monotonic() - started}


def _order(job: dict[str, Any], source: random.Random) -> list[Demand]:
    numbers = source.sample(range(job["variants"]), job["lines"])
    return [
        Demand(f"line:{number}", job["first_variant_id"] + number, 1, (job["location_id"],))
        for number in numbers
    ]
