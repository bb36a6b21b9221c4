"""What one process of the changes benchmark does: receives goods until it has made its movements, and commits some late."""

import random
import time
from typing import Any

from django.db import transaction

from inventory.ledger import Context
from inventory.stock import StockLine, receive


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Receives many lines of its own variants and, in between, few of those that all writers share."""
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
    return {"movements": made}
