"""What a process of the tortured program does before it begins, by its environment."""

import os
from pathlib import Path
from typing import Final

from channels import limits
from tests.torture import fuses, sabotage
from tests.torture.patching import replace

#: Which safeguard is off.
SABOTAGE: Final = "ONECOUNT_TORTURE_SABOTAGE"
#: Where lit fuses lie.
FUSES: Final = "ONECOUNT_TORTURE_FUSES"
#: Seconds of silence that a platform may ask for at most, in place of a minute: that there is a limit is what
#: is tried, and nobody wants to wait for it.
_LONGEST_SILENCE: Final = 5.0


def prepare() -> None:
    """Switches off, mines and shortens what the environment says."""
    replace(limits, "LONGEST_BLOCK", _LONGEST_SILENCE)
    if name := os.environ.get(SABOTAGE):
        sabotage.SABOTAGES[name].switch_off()
    if directory := os.environ.get(FUSES):
        fuses.lay(Path(directory))
