"""How many examples a property is tried on."""

import os
from typing import Final

#: Set by `make test-slow`, which tries every property on all its examples; the quick run on a few of them.
IS_THOROUGH: Final = os.environ.get("TEST_EXAMPLES") == "all"


def examples(number: int) -> int:
    """Returns how many of so many examples this run tries."""
    return number if IS_THOROUGH else max(3, number // 10)
