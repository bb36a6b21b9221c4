"""Walks the pipeline: to a number, or to a number with its steps."""

from typing import Final

from channels.exposure.inputs import Exposure, Inputs, Step
from channels.exposure.stages import STAGES

_APPLIED: Final = tuple(stage.apply for stage in STAGES)


def quantity_of(inputs: Inputs) -> int:
    """Returns the number alone; a stage that does not concern it changes nothing."""
    number = 0
    for apply in _APPLIED:
        number = apply(number, inputs)
    return number


def compute(inputs: Inputs) -> Exposure:
    """Returns the number with every step that concerns it, from what is on hand."""
    number = sum(stock.on_hand for stock in inputs.locations)
    steps = []
    for stage in STAGES:
        if not stage.concerns(inputs):
            continue
        after = stage.apply(number, inputs)
        why, rule = stage.explain(number, after, inputs)
        steps.append(Step(stage.name, number, after, why, rule))
        number = after
    return Exposure(inputs.listing_level_id, number, tuple(steps), inputs.expected)
