"""Things to be done later, and the posting of webhooks: one clock, a few threads."""

import contextlib
import heapq
import http.client
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)


class Timetable:
    """Runs calls at their time on a few threads; with one thread they run in sequence."""

    def __init__(self, name: str, threads: int) -> None:
        self._ready = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._running = 0
        self._is_open = False
        self._threads = [
            threading.Thread(target=self._work, name=f"sandbox-{name}-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        self._is_open = True
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Forgets what is still to be done and waits for what is being done."""
        with self._ready:
            self._is_open = False
            self._due.clear()
            self._ready.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(6)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Runs `call` once, `seconds` from now."""
        with self._ready:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._count), call))
            self._ready.notify()

    def is_idle(self, within: float = 5.0) -> bool:
        """Tells whether nothing runs and nothing is due in the next seconds."""
        with self._ready:
            return not self._running and (not self._due or self._due[0][0] > time.monotonic() + within)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                logger.exception("A deferred call of the sandbox failed")
            finally:
                with self._ready:
                    self._running -= 1

    def _next(self) -> Callable[[], None] | None:
        with self._ready:
            while self._is_open:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._running += 1
                    return heapq.heappop(self._due)[2]
                self._ready.wait(wait)
        return None


class _Http10Connection(http.client.HTTPConnection):
    """Speaks HTTP/1.0, as WordPress does when it calls out."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


def _interrupt(connection: http.client.HTTPConnection) -> None:
    """Wakes whoever waits for an answer on a connection."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


class Courier:
    """Posts bodies to addresses, over kept connections where the platform keeps them."""

    def __init__(self, *, keeps_connections: bool, timeout: float) -> None:
        self._keeps_connections = keeps_connections
        self._timeout = timeout
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Returns the status of the answer; 0 when there was none. Redirects are not followed."""
        for attempt in (1, 2):
            if self._is_closed:
                return 0
            connection, is_fresh = self._connection(url)
            try:
                return self._exchange(connection, url, headers, body)
            except (OSError, http.client.HTTPException):
                connection.close()
                if is_fresh or attempt == 2:
                    return 0
        return 0

    def _exchange(
        self, connection: http.client.HTTPConnection, url: str, headers: Mapping[str, str], body: bytes
    ) -> int:
        parts = urlsplit(url)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        # Python leaves the Host header out of HTTP/1.0; platforms send it all the same.
        connection.request("POST", target, body, {"Host": parts.netloc, **headers})
        response = connection.getresponse()
        response.read()
        if not self._keeps_connections:
            connection.close()
        return response.status

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, bool]:
        """Returns a connection and whether it is a new one."""
        parts = urlsplit(url)
        kept: dict[str, http.client.HTTPConnection] = self._local.__dict__.setdefault("kept", {})
        connection = kept.get(parts.netloc)
        if connection is not None:
            return connection, connection.sock is None
        connection = self._open(parts.scheme, parts.hostname or "", parts.port)
        kept[parts.netloc] = connection
        with self._lock:
            self._all.append(connection)
        return connection, True

    def _open(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout)
        kind = http.client.HTTPConnection if self._keeps_connections else _Http10Connection
        return kind(host, port, timeout=self._timeout)

    def close(self) -> None:
        """Ends all connections, and posts nothing more."""
        self._is_closed = True
        with self._lock:
            for connection in self._all:
                _interrupt(connection)
                connection.close()
