"""The budgets a shop gives its callers: leaky buckets of points, and windows of calls."""

import threading
import time


class Bucket:
    """A leaky bucket of points that fills again steadily."""

    def __init__(self, capacity: float, restore_rate: float) -> None:
        self.capacity = capacity
        self.restore_rate = restore_rate
        self._level = capacity
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, points: float) -> bool:
        """Takes the points if they are there."""
        with self._lock:
            self._restore()
            if points > self._level:
                return False
            self._level -= points
            return True

    def give_back(self, points: float) -> None:
        """Returns points that were reserved and not used."""
        with self._lock:
            self._restore()
            self._level = min(self._level + points, self.capacity)

    @property
    def available(self) -> float:
        """Points that could be taken now."""
        with self._lock:
            self._restore()
            return self._level

    def _restore(self) -> None:
        now = time.monotonic()
        self._level = min(self._level + (now - self._at) * self.restore_rate, self.capacity)
        self._at = now


class Window:
    """So many calls in so many seconds, then none until the window ends."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._used = 0
        self._ends_at = 0.0
        self._lock = threading.Lock()

    def take(self) -> tuple[bool, int, float]:
        """Counts a call: whether it is allowed, how many are left, seconds until the window ends."""
        now = time.monotonic()
        with self._lock:
            if now >= self._ends_at:
                self._used, self._ends_at = 0, now + self.seconds
            is_allowed = self._used < self.limit
            self._used += is_allowed
            return is_allowed, self.limit - self._used, self._ends_at - now
