"""Plain `requests` sessions with three rules built in: addresses, total deadlines and size.

Every address is resolved once, judged, and connected to as judged (requests-hardened), so that an address
that people type leads to no private network. Redirects and proxies are not followed, cookies not kept. Only hosts that
whoever runs the server has named are called wherever they are.

Time-outs of sockets start anew with every byte, so a platform that drips its answer would hold a call for
ever. Here a thread cuts the connection at the deadline, from the handshake to the last byte of the body. Only
the resolution of names is bounded by the system's resolver instead.
"""

import contextlib
import heapq
import ipaddress
import itertools
import logging
import os
import socket
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Final, Self

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

#: Hosts whose connections one thread keeps open, and how many to each.
_HOSTS: Final = 64
_CONNECTIONS: Final = 2

_local = threading.local()

# Its debug lines quote addresses with their queries, where some platforms want credentials.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Call:
    """One call in flight in this thread; its connection is cut when its seconds are over."""

    def __init__(self, seconds: float) -> None:
        #: Something of the request has left: the platform may act on it.
        self.was_sent = False
        self.has_expired = False
        self.is_over = False
        self._seconds = seconds
        self._lock = threading.Lock()
        # A duplicate of the descriptor: it stays ours when urllib3 closes or wraps the connection's own.
        self._twin: socket.socket | None = None

    def __enter__(self) -> Self:
        _local.call = self
        _clock.add(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _local.call = None
        with self._lock:
            self.is_over = True
            if self._twin is not None:
                self._twin.close()
                self._twin = None

    def watch(self, connected: socket.socket) -> None:
        """Takes charge of the connection that the call goes over."""
        with self._lock:
            if self._twin is None:
                self._twin = socket.socket(fileno=os.dup(connected.fileno()))
            if self.has_expired:
                _cut(self._twin)

    def expire(self) -> None:
        """Cuts the connection, unless the call is over."""
        with self._lock:
            if self.is_over:
                return
            self.has_expired = True
            if self._twin is not None:
                _cut(self._twin)


class _Clock:
    """One thread that ends the calls whose seconds are over; a timer a call would be a thread a call."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._calls: list[tuple[float, int, Call]] = []
        self._thread: threading.Thread | None = None

    def add(self, call: Call, seconds: float) -> None:
        """Ends the call after so many seconds, if it is not over by then."""
        entry = (time.monotonic() + seconds, next(self._numbers), call)
        with self._changed:
            heapq.heappush(self._calls, entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="call-deadlines", daemon=True)
                self._thread.start()
            elif self._calls[0] is entry:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().expire()

    def _next(self) -> Call:
        """Waits for the next deadline."""
        with self._changed:
            while True:
                while self._calls and self._calls[0][2].is_over:
                    heapq.heappop(self._calls)
                left = self._calls[0][0] - time.monotonic() if self._calls else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._calls)[2]
                self._changed.wait(left)


_clock = _Clock()


def _begin_anew() -> None:
    """Gives a forked process a clock of its own: threads do not survive a fork."""
    global _clock
    _clock = _Clock()


os.register_at_fork(after_in_child=_begin_anew)


def _cut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have ended by itself
        connected.shutdown(socket.SHUT_RDWR)


def _present_call() -> Call | None:
    return getattr(_local, "call", None)


class _Watched(HTTPConnection):
    """A connection that tells the present call of itself."""

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if call := _present_call():
            call.watch(connected)
        return connected

    def send(self, data: Any) -> None:
        if self.sock is None and self.auto_open:
            self.connect()
        if (call := _present_call()) and self.sock is not None:
            call.watch(self.sock)
            call.was_sent = True
        super().send(data)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same over TLS; the handshake counts."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class _TrustingAdapter(HTTPAdapter):
    """Connects through watched connections, to whatever address a name leads to."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _Adapter(IPFilterAdapter):
    """Judges addresses and connects through watched connections."""

    def __init__(self, *, is_tls: bool, allow_loopback: bool) -> None:
        super().__init__(is_https_proto=is_tls, allow_loopback=allow_loopback)
        self._allows_loopback = allow_loopback
        self.init_poolmanager(_HOSTS, _CONNECTIONS)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def build_connection_pool_key_attributes(self, *arguments: Any, **options: Any) -> Any:
        host, pool = super().build_connection_pool_key_attributes(*arguments, **options)
        address = ipaddress.ip_address(host["host"].strip("[]"))
        if not is_public(address) and not (address.is_loopback and self._allows_loopback):
            raise InvalidIPAddress(address)
        return host, pool


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tells whether an address is one of the public internet: no private, local, reserved or translated one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def session(*, allow_loopback: bool, is_trusted: bool = False) -> requests.Session:
    """Returns this thread's session; a process that was forked gets one of its own.

    One for hosts that are trusted leads wherever their names lead.
    """
    key = (os.getpid(), allow_loopback, is_trusted)
    kept: dict[tuple[int, bool, bool], requests.Session] = _local.__dict__.setdefault("sessions", {})
    if key not in kept:
        kept[key] = _new_session(allow_loopback=allow_loopback, is_trusted=is_trusted)
    return kept[key]


def _new_session(*, allow_loopback: bool, is_trusted: bool) -> requests.Session:
    made = requests.Session()
    # No proxies, no .netrc: a proxy would undo the judgement of addresses.
    made.trust_env = False
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.headers.update({"User-Agent": "OneCount", "Accept": "application/json"})
    for scheme in ("https", "http"):
        is_tls = scheme == "https"
        adapter = _TrustingAdapter() if is_trusted else _Adapter(is_tls=is_tls, allow_loopback=allow_loopback)
        made.mount(f"{scheme}://", adapter)
    return made
