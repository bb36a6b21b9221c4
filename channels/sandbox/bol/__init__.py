"""A simulated bol account."""

from channels.sandbox.bol.shop import BolSandbox

__all__ = ["BolSandbox"]
