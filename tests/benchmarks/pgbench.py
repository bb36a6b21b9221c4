"""The physical reference of the reserve benchmark: pgbench with the statements that one `reserve` sent."""

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import connection, transaction

from config import postgres_installation
from inventory.ledger import Context
from inventory.reservations import Demand, reserve
from tests.benchmarks.programs import ProgramFailed, path_of

if TYPE_CHECKING:
    from tests.benchmarks.reserve import Case, Seed

Statement = tuple[str, Sequence[Any]]


#: What the locking query hands to the statements after it, in place of the arithmetic that Python does.
_LOCKED: Final = (
    "array_agg(id) AS ids, array_agg(variant_id) AS variants, array_agg(version + 1) AS versions, "
    "array_agg(on_hand) AS on_hand, array_agg(reserved + 1) AS reserved, array_agg(unavailable) AS unavailable, "
    "array_agg(on_hand - reserved - unavailable - 1) AS available, max(recorded_at) AS known"
)


def script(seed: "Seed", case: "Case", *, variants: int) -> str:
    """Returns a pgbench script that reserves one order of the case."""
    captured = _capture(seed, case)
    numbers = (
        ["0"] * case.lines
        if case.is_hot
        else [f"(:start + {97 * n}) % {variants}" for n in range(case.lines)]
    )
    head = ["\\set start random(0, 1000000000)", "\\set nonce random(1, 1000000000000000)"]
    head += [f"\\set v{n} {seed.first_variant_id} + {number}" for n, number in enumerate(numbers)]
    return "\n".join([*head, "BEGIN;", *(_translate(s, seed, case) for s in captured), "COMMIT;", ""])


def rate(text: str, *, database: str, clients: int, seconds: float) -> float:
    """Runs the script with this many clients and returns its transactions a second."""
    options = [f"--client={clients}", f"--jobs={clients}", f"--time={max(round(seconds), 1)}"]
    said = _run(text, database, options)
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if found is None:
        raise ProgramFailed(f"pgbench said nothing of its rate: {said[-2000:]}")
    return float(found[1])


def run_once(text: str, *, database: str) -> None:
    """Runs the script for two orders in a row. Raises `ProgramFailed` where a statement fails."""
    _run(text, database, ["--transactions=2"])


def _run(text: str, database: str, options: Sequence[str]) -> str:
    """Runs the script and returns what pgbench prints."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "reserve.sql")
        path.write_text(text)
        command = [_program(), "--no-vacuum", "--protocol=prepared", *options, f"--file={path}", database]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramFailed(f"pgbench failed: {done.stderr[-2000:]}")
    return done.stdout


def _program() -> str:
    """pgbench of the embedded server's release, or the one on the PATH for another server."""
    if settings.EMBEDDED_POSTGRES_HOME is None:
        return path_of("pgbench", package="postgresql-contrib")
    return str(postgres_installation.binaries() / "pgbench")


def _environment() -> dict[str, str]:
    address = connection.settings_dict
    return {
        "PGHOST": address["HOST"],
        "PGPORT": str(address["PORT"] or 5432),
        "PGUSER": address["USER"],
        "PGPASSWORD": address["PASSWORD"],
    }


def _capture(seed: "Seed", case: "Case") -> list[Statement]:
    """Sends one order and returns its statements in order, transaction control left out."""
    captured: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        captured.append((sql, params or ()))
        return execute(sql, params, many, context)

    first = seed.first_variant_id
    order = [Demand(f"line:{n}", first + n, 1, (seed.location_id,)) for n in range(case.lines)]
    with connection.execute_wrapper(note), transaction.atomic():
        reserve(Context(seed.merchant_id, f"captured:{case.name}"), order)
        transaction.set_rollback(True)
    return [(sql, params) for sql, params in captured if "SAVEPOINT" not in sql]


def _translate(statement: Statement, seed: "Seed", case: "Case") -> str:
    """Turns one captured statement into pgbench's, by what it is."""
    sql, params = statement
    if "INSERT INTO inventory_stockoperation" in sql:
        key = "'b' || :client_id || '-' || :nonce"
        # What it returns last has no name of its own.
        return _fill(sql, params, {1: key}) + " AS planned \\gset"
    if "UPDATE channels_listinglevel" in sql:
        return _fill(sql, params, _due_mark_columns(params)) + ";"
    if "FOR NO KEY UPDATE" in sql:
        chosen = {1: "ARRAY[" + ",".join(f":v{n}" for n in range(case.lines)) + "]"}  # after the merchant
        return f"SELECT {_LOCKED} FROM ({_fill(sql, params, chosen)}) s \\gset"
    if "expires_at <= clock_timestamp()" in sql:
        return _fill(sql, params, {0: ":ids"}) + ";"
    if "UPDATE inventory_stockoperation" in sql:
        return _fill(sql, params, _append_columns(params)) + ";"
    raise RuntimeError(f"The benchmark does not know this statement of a reservation: {sql[:200]}")


def _append_columns(params: Sequence[Any]) -> Mapping[int, str]:
    """Positions of `inventory.statements.append_statement` for new reservations, movements and levels."""
    reservation = {5: ":array", 6: ":ids", 7: ":variants"}
    movement = {
        19: ":ids",
        20: ":versions",
        27: ":on_hand",
        28: ":reserved",
        29: ":unavailable",
        30: ":array",
    }
    level = {32: ":ids", 33: ":on_hand", 34: ":reserved", 35: ":unavailable", 36: ":versions"}
    if len(params) != max(level) + 1:
        raise RuntimeError("The append statement has changed: adapt the benchmark's positions.")
    return {0: ":known", 2: ":id", 4: ":id", 17: ":id"} | reservation | movement | level


def _due_mark_columns(params: Sequence[Any]) -> Mapping[int, str]:
    """Positions of `channels.pushes.mark_due`: variants, locations, deltas, what is left, lanes, merchant, kinds."""
    if len(params) != 7:
        raise RuntimeError("The due mark has changed: adapt the benchmark's positions.")
    return {0: ":variants"}


def _fill(sql: str, params: Sequence[Any], replaced: Mapping[int, str]) -> str:
    """Puts pgbench variables in place of some parameters and the captured values in place of the others."""
    values = iter([replaced.get(n, _literal(value)) for n, value in enumerate(params)])
    return re.sub(r"%s", lambda _: next(values), " ".join(sql.split())).replace("%%", "%")


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, list | tuple):
        return "ARRAY[" + ",".join(map(_literal, value)) + "]"
    return "'" + str(value).replace("'", "''") + "'"
