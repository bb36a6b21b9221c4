"""A small threaded HTTP/1.1 server on the loopback: one thread a connection, kept alive, no waiting for Nagle."""

import json
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

logger = logging.getLogger(__name__)

LARGEST_BODY: Final = 32 * 1024 * 1024
_LARGEST_LINE: Final = 64 * 1024
_MOST_HEADERS: Final = 100


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it arrived."""

    method: str
    #: Decoded, without the query.
    path: str
    #: As it stood in the request line.
    target: str
    #: Decoded pairs in their order, blank values kept.
    query_pairs: list[tuple[str, str]]
    #: Lower-case names.
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query; of a repeated name the last value."""
        return dict(self.query_pairs)

    def json(self) -> Any:
        """The body as JSON; raises `ValueError`."""
        return json.loads(self.body or b"null")

    def form(self) -> dict[str, str]:
        """The body as form fields."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Close the connection without sending anything.
    is_dropped: bool = False


DROPPED: Final = Answer(0, is_dropped=True)


def json_answer(status: int, data: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Returns `data` as a JSON answer."""
    body = json.dumps(data, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


class BadRequest(Exception):
    """What arrived is not HTTP as we read it."""


class Server(socketserver.ThreadingTCPServer):
    """Answers every request by calling `answer`, until it is closed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, port: int, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__(("127.0.0.1", port), _Connection)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def start(self) -> None:
        """Begins to answer, in a thread of its own."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="sandbox-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops answering and ends every connection."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join(5)
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _end(connection)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker


class _Connection(socketserver.StreamRequestHandler):
    """One kept-alive connection."""

    disable_nagle_algorithm = True
    timeout = 120
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        try:
            super().finish()
        except OSError:
            self.wfile.close()

    def handle(self) -> None:
        try:
            while self._one():
                pass
        except (OSError, ValueError):
            return  # the caller went away

    def _one(self) -> bool:
        """Answers one request; False when the connection has ended."""
        try:
            request = _read(self.rfile)
        except BadRequest as error:
            self._send(Answer(400, str(error).encode(), {"Content-Type": "text/plain"}), is_last=True)
            return False
        if request is None:
            return False
        answer = self._answer(request)
        if answer.is_dropped:
            return False
        is_last = request.headers.get("connection", "").lower() == "close"
        self._send(answer, is_last=is_last)
        return not is_last

    def _answer(self, request: Request) -> Answer:
        try:
            return self.server.answer(request)
        except Exception:
            logger.exception("The sandbox failed on %s %s", request.method, request.path)
            return json_answer(500, {"error": "The sandbox failed; see its log."})

    def _send(self, answer: Answer, *, is_last: bool) -> None:
        try:
            phrase = HTTPStatus(answer.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(answer.body)}")
        if is_last:
            lines.append("Connection: close")
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)


def _read(stream: Any) -> Request | None:
    """Reads one request; None at the end of the connection."""
    line = stream.readline(_LARGEST_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
    except ValueError:
        raise BadRequest("The request line is not one.") from None
    headers = _read_headers(stream)
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    parts = urlsplit(target)
    return Request(
        method=method.upper(),
        path=unquote(parts.path),
        target=target,
        query_pairs=parse_qsl(parts.query, keep_blank_values=True),
        headers=headers,
        body=_read_body(stream, headers),
    )


def _read_headers(stream: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = stream.readline(_LARGEST_LINE).decode("latin-1").strip()
        if not line:
            return headers
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raise BadRequest("Too many headers.")


def _read_body(stream: Any, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(stream)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_BODY:
        raise BadRequest("The body has no sensible length.")
    body: bytes = stream.read(int(length)) if length != "0" else b""
    return body


def _read_chunks(stream: Any) -> bytes:
    chunks: list[bytes] = []
    while True:
        size = int(stream.readline(_LARGEST_LINE).split(b";")[0], 16)
        chunks.append(stream.read(size))
        stream.readline(_LARGEST_LINE)
        if size == 0 or sum(map(len, chunks)) > LARGEST_BODY:
            return b"".join(chunks)
