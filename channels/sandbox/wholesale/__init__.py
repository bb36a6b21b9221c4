"""A simulated portal of wholesale buyers."""

from channels.sandbox.wholesale.shop import WholesaleSandbox

__all__ = ["WholesaleSandbox"]
