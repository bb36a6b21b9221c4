"""A simulated Square account."""

from channels.sandbox.square.shop import SquareSandbox

__all__ = ["SquareSandbox"]
