"""Servers that misbehave on purpose, byte by byte."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

#: Gets the connection after the request has been read; what it returns is sent in one piece.
Script = Callable[[socket.socket], bytes]


@contextmanager
def server(script: Script) -> Iterator[str]:
    """Runs a server that answers each connection by a script; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stopping = threading.Event()
    thread = threading.Thread(target=_serve, args=(listener, script, stopping), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        thread.join(5)
        listener.close()


def _serve(listener: socket.socket, script: Script, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection, suppress(OSError):
            connection.settimeout(5)
            _read_request(connection)
            connection.sendall(script(connection))


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            missing = int(line.split(b":")[1]) - len(body)
            while missing > 0:
                missing -= len(connection.recv(65536))


def answer(status: str, body: bytes = b"{}", **headers: str) -> bytes:
    """Returns a complete answer; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def drip(connection: socket.socket, data: bytes, pause: float = 0.05) -> bytes:
    """Sends data byte by byte, so that no single wait is long."""
    for position in range(len(data)):
        connection.sendall(data[position : position + 1])
        time.sleep(pause)
    return b""
