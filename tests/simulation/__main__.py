"""Plays many seeds and says how many a minute that was: `python -m tests.simulation --seeds 100000`.

Ends at the first seed that breaks an invariant, with the line that tells its story again. Exit code 1 then.
"""

import argparse
import json
import os
import sys
import time

from tests.simulation.searching import prepare, search, tell_story


def main() -> int:
    """Reads the arguments, plays, and prints one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds are played")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that play them")
    parser.add_argument("--story", action="store_true", help="tell what happens in the first seed, and end")
    asked = parser.parse_args()
    if asked.story:
        prepare()
        tell_story(asked.first)
        return 0
    started = time.monotonic()
    played, failure = search(asked.first, asked.seeds, workers=asked.workers)
    seconds = time.monotonic() - started
    found = {
        "first": asked.first,
        "seeds": played,
        "seconds": round(seconds, 1),
        "seeds_a_minute": round(played / seconds * 60),
        "violation": failure and failure.violation,
        "replay": failure and f"python -m tests.simulation --first {failure.seed} --story",
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
