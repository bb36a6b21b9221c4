"""Secrets that can be looked for: planted wherever one is kept, and recognised in whatever shape they come back."""

import base64
import json
import pickle
import re
import threading
from binascii import hexlify
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Final
from urllib.parse import unquote_plus

from django.contrib.sessions.models import Session
from django.db import connection
from django_q.models import OrmQ

from channels.key_rotation import columns

#: Letters and digits alone, so that no quoting changes it.
MARK: Final = "xKanarienvogel7391"
_serial = count(1)


def canary(name: str) -> str:
    """Returns a secret of its own that can be looked for."""
    return f"{MARK}{name.replace('_', '')}{next(_serial):04d}"


def shapes() -> dict[str, str]:
    """Returns what to look for: the mark as it is, in hexadecimal, and in base64 at each of its three positions."""
    plain = MARK.encode()
    found = {"plain": MARK, "hex": hexlify(plain).decode()}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain).decode().rstrip("=")
        # The first and last letters also hold bits of what stands beside it.
        found[f"base64 at {before}"] = encoded[(before * 8 + 5) // 6 : -1]
    return found


def traces_in(text: str) -> list[str]:
    """Returns in which shapes a secret stands in a text."""
    lower = text.lower()
    return [name for name, shape in shapes().items() if shape.lower() in lower]


def plant_everywhere() -> list[str]:
    """Replaces every stored secret of every model by one that can be looked for; returns the columns. Each has rows."""
    planted = []
    for column in columns():
        rows = list(column.model._base_manager.all())
        assert rows, f"{column.model._meta.label} has no row: add one to tests/back_office.py"
        for row in rows:
            setattr(row, column.name, _replaced(getattr(row, column.name), column.name))
            row.save(update_fields=[column.name])
        planted.append(f"{column.model._meta.label}.{column.name}")
    return planted


def _replaced(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, key) for key, each in value.items()} or {"planted": canary(name)}
    if isinstance(value, list):
        return [_replaced(each, name) for each in value] or [{"secret": canary(name), "valid_until": None}]
    return canary(name) if isinstance(value, str) and not _is_instant(value) else value


def _is_instant(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def traces_in_database() -> list[str]:
    """Returns tables and shapes in which a secret stands somewhere in the database, queued jobs and sessions unpacked."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
        )
        tables = [table for (table,) in cursor.fetchall()]
        anywhere = "|".join(re.escape(shape) for shape in shapes().values())
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} AS t WHERE t::text ~* %s", [anywhere])
            texts = " ".join(text for (text,) in cursor.fetchall())
            found += [f"{table}: {trace}" for trace in traces_in(texts)]
    packed = [str(session.get_decoded()) for session in Session.objects.all()]
    packed += [_unpacked(row.payload) for row in OrmQ.objects.all()]
    return sorted([*found, *(f"packed: {trace}" for text in packed for trace in traces_in(text))])


def _unpacked(payload: str) -> str:
    """Returns what a queued job holds: ours are plain text, those of schedules are signed pickles."""
    parts = [payload]
    for part in payload.split(":"):
        try:
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            parts.append(str(pickle.loads(raw)))  # noqa: S301  # made by this test run
        except Exception:  # noqa: BLE001, S112  # most parts are none
            continue
    return " ".join(parts)


class _Parrot(BaseHTTPRequestHandler):
    """Quotes whatever it was sent, in every place in which a platform would say what is wrong."""

    statuses = (401, 400, 403, 422, 200, 404, 500)
    asked = count()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        said = [self.path, *map(str, self.headers.values()), body]
        said += [
            _decoded(each.partition(" ")[2]) for each in self.headers.values() if each.startswith("Basic ")
        ]
        text = " ".join([*said, *map(unquote_plus, said)])
        slots = ("message", "code", "detail", "title", "error", "error_description", "name", "id", "reason")
        content: dict[str, Any] = dict.fromkeys(slots, text)
        content["errors"] = [{**content, "extensions": {"code": text}}]
        content["violations"] = [dict(content)]
        raw = json.dumps(content).encode()
        self.send_response(self.statuses[next(self.asked) % len(self.statuses)])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _decoded(text: str) -> str:
    return base64.b64decode(text + "==").decode("utf-8", "replace")


@contextmanager
def parrot() -> Iterator[str]:
    """Runs a platform that quotes back what it was sent; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Parrot)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
