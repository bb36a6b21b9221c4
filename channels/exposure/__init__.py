"""What a channel is told: a pure function from stock and rules to a number, each step of which can be shown.

`compute` walks a pipeline of named stages over `Inputs` (`stages`); `load_inputs` reads what many listing
levels need in a constant number of statements (`loading`). `exposures` and `explain` give numbers with their
steps; `targets` gives the numbers alone, fast (`numbers`).
"""

from channels.exposure.computing import compute, quantity_of
from channels.exposure.inputs import (
    ComponentStock,
    Exposure,
    FencedPart,
    Inputs,
    LocationStock,
    Pinned,
    Standing,
    Step,
)
from channels.exposure.loading import explain, exposures, load_inputs
from channels.exposure.numbers import targets

__all__ = [
    "ComponentStock",
    "Exposure",
    "FencedPart",
    "Inputs",
    "LocationStock",
    "Pinned",
    "Standing",
    "Step",
    "compute",
    "explain",
    "exposures",
    "load_inputs",
    "quantity_of",
    "targets",
]
