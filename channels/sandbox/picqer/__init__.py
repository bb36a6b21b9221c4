"""A simulated Picqer account."""

from channels.sandbox.picqer.shop import PicqerSandbox

__all__ = ["PicqerSandbox"]
