"""Statements of production code, run over tables in memory.

So the simulation drives the very text that PostgreSQL runs, at a rate that no server reaches. One statement at a time: all
its parts see the tables as they were when it began, and what they write is there when it ends, as in PostgreSQL. Locks are
read over, because nothing else runs meanwhile. `test_statements` compares with PostgreSQL itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from itertools import product
from typing import Any, Final

from tests.simulation.expressions import (
    GROUP,
    WINDOWS,
    Expression,
    NotUnderstood,
    Reader,
    Rows,
    cast,
)

Row = dict[str, Any]
Relation = Callable[["Run", Rows], Sequence[Mapping[str, Any]]]
Step = Callable[["Run", list[Rows]], list[Rows]]


@dataclass
class Result:
    """What a statement or a part of it returns."""

    names: Sequence[str] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    #: Rows written, or returned.
    count: int = 0

    def as_rows(self) -> list[Row]:
        """Returns the rows by name."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


@dataclass
class Tables:
    """Tables by name; a row is a dict with all of its columns."""

    by_name: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    #: Table → what a new row holds beside what is inserted.
    defaults: Mapping[str, Row] = field(default_factory=dict)
    _last_id: int = 0
    #: What would bring back the rows as they were when the transaction began; None outside of one.
    _undo: list[Callable[[], object]] | None = None

    def next_id(self) -> int:
        """Returns an id that nothing has; one sequence serves all tables."""
        self._last_id += 1
        return self._last_id

    def new(self, table: str, columns: Row) -> Row:
        """Returns a row with an id of its own that is not in the table yet."""
        known = self.defaults.get(table, {})
        return {**known, **columns} if columns.get("id") else {**known, **columns, "id": self.next_id()}

    def append(self, table: str, row: Row) -> None:
        """Puts a row into its table."""
        rows = self.by_name[table]
        rows.append(row)
        if self._undo is not None:
            self._undo.append(rows.pop)

    def add(self, table: str, **columns: Any) -> Row:
        """Adds a row and returns it."""
        row = self.new(table, columns)
        self.append(table, row)
        return row

    def change(self, row: Row, new: Row) -> None:
        """Changes a row."""
        if self._undo is not None:
            before = {name: row[name] for name in new}
            self._undo.append(lambda: row.update(before))
        row.update(new)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Undoes everything inside where it does not end well; one within another is part of it."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            for step in reversed(self._undo):
                step()
            raise
        finally:
            self._undo = None

    def __getitem__(self, table: str) -> list[Row]:
        return self.by_name[table]


@dataclass
class Run:
    """One statement being run."""

    tables: Tables
    now: datetime
    parameters: Any
    parts: dict[str, list[Row]] = field(default_factory=dict)
    #: What is written once the statement is over.
    writes: list[Callable[[], object]] = field(default_factory=list)
    _values: dict[int, set[Any]] = field(default_factory=dict)

    def values_of(self, query: "Statement") -> set[Any]:
        """Returns the values of an `IN (SELECT …)`, which looks at nothing outside of itself, and is run once."""
        if id(query) not in self._values:
            self._values[id(query)] = {row[0] for row in query(self, {}).rows}
        return self._values[id(query)]


class _Nothing(dict[str, Any]):
    """The row of a LEFT JOIN that found none."""

    def __missing__(self, key: str) -> None:
        return None


Statement = Callable[[Run, Rows], Result]


def run(sql: str, parameters: Any, tables: Tables, *, now: datetime) -> Result:
    """Runs one statement at an instant."""
    going = Run(tables, now, parameters)
    result = compiled(sql)(going, {})
    for write in going.writes:
        write()
    return result


@lru_cache(maxsize=500)
def compiled(sql: str) -> Statement:
    """Reads a statement; raises `NotUnderstood` for what the simulation does not know."""
    reader = StatementReader(sql)
    statement = reader.statement()
    if reader.kind != "end":
        raise NotUnderstood(reader.next)
    return statement


@dataclass(frozen=True)
class _Series:
    """An item of a list that gives a row for each of its values."""

    values: Expression


#: What stands in the list of a query; a text is an alias of which all columns are meant.
Item = Expression | _Series | str


@dataclass
class _Select:
    """A query as it was read."""

    items: list[tuple[str, Item]]
    steps: list[Step] = field(default_factory=list)
    where: Expression | None = None
    groups: list[Expression] = field(default_factory=list)
    having: Expression | None = None
    is_distinct: bool = False
    sums_up: bool = False
    windows: list[tuple[str, list[tuple[Expression, bool]]]] = field(default_factory=list)
    order: list[tuple[Expression, bool]] = field(default_factory=list)
    limit: Expression | None = None

    def __call__(self, run: Run, rows: Rows) -> Result:
        found = [rows]
        for step in self.steps:
            found = step(run, found)
        if self.where is not None:
            found = [each for each in found if self.where(run, each) is True]
        if self.sums_up or self.groups:
            found = self._grouped(run, rows, found)
        if self.having is not None:
            found = [each for each in found if self.having(run, each) is True]
        if self.windows:
            found = self._numbered(run, found)
        if self.order:
            found = _sorted(run, found, self.order)
        if self.limit is not None:
            found = found[: self.limit(run, rows)]
        result = _returned(run, self.items, found)
        return _distinct(result) if self.is_distinct else result

    def _grouped(self, run: Run, outer: Rows, found: list[Rows]) -> list[Rows]:
        groups: dict[tuple[Any, ...], list[Rows]] = {}
        for each in found:
            groups.setdefault(tuple(key(run, each) for key in self.groups), []).append(each)
        if not groups and not self.groups:
            groups[()] = []
        return [{**(of[0] if of else outer), GROUP: {"of": of}} for of in groups.values()]

    def _numbered(self, run: Run, found: list[Rows]) -> list[Rows]:
        numbers: list[dict[str, int]] = [{} for _ in found]
        for window, (name, order) in enumerate(self.windows):
            keys = [tuple(_sort_value(key(run, each)) for key, _ in order) for each in found]
            ranks = {key: n for n, key in enumerate(sorted(set(keys)), start=1)}
            position = {index: n for n, index in enumerate(sorted(range(len(keys)), key=keys.__getitem__), 1)}
            for index, key in enumerate(keys):
                numbers[index][str(window)] = ranks[key] if name == "dense_rank" else position[index]
        return [{**each, WINDOWS: number} for each, number in zip(found, numbers, strict=True)]


def _sort_value(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _sorted(run: Run, found: list[Rows], order: Sequence[tuple[Expression, bool]]) -> list[Rows]:
    for key, is_falling in reversed(order):
        found = sorted(found, key=lambda each: _sort_value(key(run, each)), reverse=is_falling)
    return found


def _returned(run: Run, items: Sequence[tuple[str, Item]], found: Sequence[Rows]) -> Result:
    if all(callable(value) for _, value in items):
        values: Any = [value for _, value in items]
        rows = [tuple([value(run, seen) for value in values]) for seen in found]
        return Result([name for name, _ in items], rows, len(rows))
    names: list[str] = []
    for name, value in items:
        if isinstance(value, str):
            shown = _starred(value, found[0]) if found else {}
            names += shown
        else:
            names.append(name)
    rows = [row for seen in found for row in _lines(run, items, seen)]
    return Result(names, rows, len(rows))


def _lines(run: Run, items: Sequence[tuple[str, Item]], seen: Rows) -> Iterator[tuple[Any, ...]]:
    """Gives the rows that one row in sight leads to: one, or as many as its series has values."""
    columns: list[list[Any]] = []
    for _, value in items:
        if isinstance(value, str):
            columns += [[each] for each in _starred(value, seen).values()]
        else:
            columns.append(value.values(run, seen) if isinstance(value, _Series) else [value(run, seen)])
    return product(*columns)


def _starred(alias: str, seen: Rows) -> Mapping[str, Any]:
    """Returns the columns of `alias.*`, or of all rows in sight."""
    if alias:
        return seen[alias]
    return {k: v for name, row in seen.items() if not name.startswith("#") for k, v in row.items()}


class StatementReader(Reader):
    """Reads whole statements."""

    def statement(self) -> Statement:
        """Reads a statement with what stands before it under WITH."""
        parts: list[tuple[str, Statement]] = []
        if self.accept("WITH"):
            parts = self.list_of(self._part)
        main = self._main()
        if not parts:
            return main

        def statement(run: Run, rows: Rows) -> Result:
            for name, part in parts:
                run.parts[name] = part(run, rows).as_rows()
            return main(run, rows)

        return statement

    def _part(self) -> tuple[str, Statement]:
        name = self.take()
        self.expect("AS")
        self.accept("MATERIALIZED")
        self.expect("(")
        part = self.statement()
        self.expect(")")
        return name, part

    def _main(self) -> Statement:
        if self.peek("SELECT"):
            return self.query()
        if self.accept("UPDATE"):
            return self._update()
        if self.accept("INSERT", "INTO"):
            return self._insert()
        raise NotUnderstood(self.next)

    # -- queries
    def query(self) -> Statement:
        """Reads a SELECT, or several with UNION between them."""
        first = self._select()
        others: list[tuple[bool, Statement]] = []
        while self.accept("UNION"):
            keeps_all = self.accept("ALL")
            others.append((keeps_all, self._select()))
        return _united(first, others) if others else first

    def _select(self) -> _Select:
        outer = self.sums_up, self.windows
        self.sums_up, self.windows = False, []
        self.expect("SELECT")
        is_distinct = self.accept("DISTINCT")
        found = _Select([] if self._ends_list() else self.list_of(self._item), is_distinct=is_distinct)
        if self.accept("FROM"):
            found.steps = self._from()
        if self.accept("WHERE"):
            found.where = self.expression()
        if self.accept("GROUP", "BY"):
            found.groups = self.list_of(lambda: self._group(found.items))
        if self.accept("HAVING"):
            found.having = self.expression()
        if self.accept("ORDER", "BY"):
            found.order = self.list_of(self.sort_key)
        if self.accept("LIMIT"):
            found.limit = self.expression()
        self._locks()
        found.sums_up, found.windows = self.sums_up, self.windows
        self.sums_up, self.windows = outer
        return found

    def _group(self, items: list[tuple[str, Item]]) -> Expression:
        """Reads what to group by; a number stands for an item of the list."""
        if self.kind != "number":
            return self.expression()
        value = items[int(self.take()) - 1][1]
        if isinstance(value, str | _Series):
            raise NotUnderstood(str(value))
        return value

    def _ends_list(self) -> bool:
        return self.next in ("FROM", "WHERE", ")", "")

    def _locks(self) -> None:
        if not self.accept("FOR"):
            return
        self.accept("NO", "KEY")
        self.expect("UPDATE")
        if self.accept("OF"):
            self.list_of(self.take)
        self.accept("SKIP", "LOCKED")

    def _item(self) -> tuple[str, Item]:
        if self.accept("*"):
            return "*", ""
        if (
            self.kind == "word"
            and self._tokens[self._at + 1][1] == "."
            and self._tokens[self._at + 2][1] == "*"
        ):
            alias = self.take()
            self._at += 2
            return "*", alias
        start = self._at
        if self.accept("unnest", "("):
            series = _Series(self.expression())
            self.expect(")")
            return "unnest", series
        value = self.expression()
        # A column is named for itself, a cast of it too.
        words = [text for kind, text in self._tokens[start : self._at] if kind == "word"]
        name = self.take() if self.accept("AS") else (words[-1] if words else "?")
        return name, value

    def _from(self) -> list[Step]:
        steps = [self._joined("cross")]
        while True:
            if self.accept(",") or self.accept("CROSS", "JOIN"):
                steps.append(self._joined("cross"))
            elif self.accept("LEFT", "JOIN"):
                steps.append(self._joined("left"))
            elif self.accept("JOIN"):
                steps.append(self._joined("inner"))
            else:
                return steps

    def _joined(self, kind: str) -> Step:
        self.accept("LATERAL")
        alias, relation = self._relation()
        condition: Expression | None = None
        if kind != "cross":
            if self.accept("USING"):
                self.expect("(")
                condition = _same(alias, self.take())
                self.expect(")")
            else:
                self.expect("ON")
                key = self._key(alias)
                condition = None if key is not None and not self.accept("AND") else self.expression()
                return _join(alias, relation, condition, key, is_outer=kind == "left")
        return _join(alias, relation, condition, None, is_outer=kind == "left")

    def _key(self, alias: str) -> "_Key | None":
        """Reads `alias.column = other.column`, either way round, where a condition begins with it and goes on with AND."""
        texts = [text for _, text in self._tokens[self._at : self._at + 8]]
        if len(texts) < 8 or (texts[1], texts[3], texts[5]) != (".", "=", "."):
            return None
        if texts[7] not in _BEHIND_KEY or alias not in (texts[0], texts[4]):
            return None
        self._at += 7
        here, there = (texts[0:3:2], texts[4:7:2])
        here, there = (here, there) if here[0] == alias else (there, here)
        return _Key(here[1], there[0], there[1])

    def _relation(self) -> tuple[str, Relation]:
        if self.accept("("):
            is_values = self.accept("VALUES")
            relation = self._values() if is_values else _rows_of(self.statement())
            self.expect(")")
            alias, names = self._alias("")
            return alias, _renamed(relation, names)
        name = self.take()
        if not self.accept("("):
            return self._alias(name)[0], _table(name)
        arguments = self.list_of(self.expression)
        self.expect(")")
        columns: list[tuple[str, str]] = []
        alias = self.take() if self.accept("AS") else name
        if self.accept("("):
            columns = self.list_of(self._column_of_function)
            self.expect(")")
        return alias, _function(name, arguments, columns)

    def _column_of_function(self) -> tuple[str, str]:
        name = self.take()
        return name, "" if self.next in (",", ")") else self.type_name()

    def _alias(self, name: str) -> tuple[str, list[str]]:
        """Reads what a relation is called, and its columns; by itself it is called `name`."""
        is_named = self.accept("AS") or (self.kind == "word" and not self.next.isupper())
        alias = self.take() if is_named else name
        columns: list[str] = []
        if is_named and self.accept("("):
            columns = self.list_of(self.take)
            self.expect(")")
        return alias, columns

    def _values(self) -> Relation:
        lines = self.list_of(self._line)
        return lambda run, rows: [
            {str(n): value(run, rows) for n, value in enumerate(line)} for line in lines
        ]

    def _line(self) -> list[Expression]:
        self.expect("(")
        found = self.list_of(self.expression)
        self.expect(")")
        return found

    # -- writing
    def _update(self) -> Statement:
        table = self.take()
        alias = self._alias(table)[0]
        self.expect("SET")
        changes = self.list_of(self._change)
        steps = self._from() if self.accept("FROM") else []
        where, key = None, None
        if self.accept("WHERE"):
            key = self._key(alias)
            where = None if key is not None and not self.accept("AND") else self.expression()
        returned = self.list_of(self._item) if self.accept("RETURNING") else []

        def update(run: Run, rows: Rows) -> Result:
            seen: list[Rows] = []
            others = _walk(run, [rows], steps)
            for row in run.tables[table] if others else ():
                for each in others:
                    if key is not None and not key.joins(row, each):
                        continue
                    here = {**each, alias: row}
                    if where is not None and where(run, here) is not True:
                        continue
                    new = {name: value(run, here) for name, value in changes}
                    run.writes.append(partial(run.tables.change, row, new))
                    seen.append({**here, alias: {**row, **new}})
                    break
            result = _returned(run, returned, seen) if returned else Result()
            result.count = len(seen)
            return result

        return update

    def _change(self) -> tuple[str, Expression]:
        name = self.take()
        self.expect("=")
        return name, self.expression()

    def _insert(self) -> Statement:
        table = self.take()
        alias = self._alias_of_insert(table)
        self.expect("(")
        columns = self.list_of(self.take)
        self.expect(")")
        if self.accept("VALUES"):
            lines: Statement = _as_result(self._values())
        else:
            lines = self.statement()
        conflict = self._conflict() if self.accept("ON", "CONFLICT") else None
        returned = self.list_of(self._item) if self.accept("RETURNING") else []

        def insert(run: Run, rows: Rows) -> Result:
            seen: list[Rows] = []
            for values in lines(run, rows).rows:
                new = run.tables.new(table, dict(zip(columns, values, strict=True)))
                known = conflict.find(run, run.tables[table], new) if conflict else None
                if known is None:
                    run.writes.append(partial(run.tables.append, table, new))
                    seen.append({**rows, alias: new})
                elif conflict is not None:
                    changed = conflict.apply(run, {**rows, alias: known, "excluded": new}, alias)
                    seen += [changed] if changed is not None else []
            result = _returned(run, returned, seen) if returned else Result()
            result.count = len(seen)
            return result

        return insert

    def _alias_of_insert(self, table: str) -> str:
        return self.take() if self.accept("AS") else table

    def _conflict(self) -> "_Conflict":
        keys: list[str] = []
        if self.accept("("):
            keys = self.list_of(self.take)
            self.expect(")")
        # The condition of a partial index: whoever is in conflict fulfils it.
        among = self.expression() if self.accept("WHERE") else None
        self.expect("DO")
        if self.accept("NOTHING"):
            return _Conflict(keys, among, [], None)
        self.expect("UPDATE", "SET")
        changes = self.list_of(self._change)
        where = self.expression() if self.accept("WHERE") else None
        return _Conflict(keys, among, changes, where)


@dataclass
class _Conflict:
    """What becomes of a row that is there already."""

    keys: list[str]
    among: Expression | None
    changes: list[tuple[str, Expression]]
    where: Expression | None

    def find(self, run: Run, table: list[Row], new: Row) -> Row | None:
        """Returns the row with the same key."""
        twins = (row for row in table if self.keys and all(row[key] == new[key] for key in self.keys))
        return next((row for row in twins if self.among is None or self.among(run, {"": row})), None)

    def apply(self, run: Run, here: Rows, alias: str) -> Rows | None:
        """Changes the row, and returns it as it is then; None where nothing is to be done."""
        if not self.changes or (self.where is not None and self.where(run, here) is not True):
            return None
        row: Any = here[alias]
        new = {name: value(run, here) for name, value in self.changes}
        run.writes.append(partial(run.tables.change, row, new))
        return {**here, alias: {**row, **new}}


def _walk(run: Run, found: list[Rows], steps: Sequence[Step]) -> list[Rows]:
    for step in steps:
        found = step(run, found)
    return found


@dataclass(frozen=True)
class _Key:
    """Rows are joined whose column is that of a row in sight."""

    column: str
    other: str
    other_column: str

    def joins(self, row: Mapping[str, Any], rows: Rows) -> bool:
        """Tells whether a row belongs to those in sight."""
        value = row[self.column]
        return value is not None and value == rows[self.other][self.other_column]


#: What may follow a key: anything else would make it part of a larger expression.
_BEHIND_KEY: Final = frozenset(
    {
        "AND",
        "JOIN",
        "LEFT",
        "CROSS",
        "WHERE",
        "ORDER",
        "GROUP",
        "LIMIT",
        "FOR",
        "RETURNING",
        ")",
        ",",
        "UNION",
        "",
    }
)


def _join(
    alias: str, relation: Relation, condition: Expression | None, key: _Key | None, *, is_outer: bool
) -> Step:
    def join(run: Run, found: list[Rows]) -> list[Rows]:
        return list(joined(run, found))

    def joined(run: Run, found: list[Rows]) -> Iterator[Rows]:
        for rows in found:
            has_met = False
            found_here = relation(run, rows)
            if key is not None:
                value = rows[key.other][key.other_column]
                found_here = (
                    [row for row in found_here if row[key.column] == value] if value is not None else []
                )
            for row in found_here:
                met = {**rows, alias: row}
                if condition is None or condition(run, met) is True:
                    has_met = True
                    yield met
            if is_outer and not has_met:
                yield {**rows, alias: _Nothing()}

    return join


def _united(first: Statement, others: Sequence[tuple[bool, Statement]]) -> Statement:
    def united(run: Run, rows: Rows) -> Result:
        found = first(run, rows)
        for keeps_all, other in others:
            more = other(run, rows)
            found = Result(found.names or more.names, found.rows + more.rows, found.count + more.count)
            found = found if keeps_all else _distinct(found)
        return found

    return united


def _distinct(result: Result) -> Result:
    rows = list(dict.fromkeys(result.rows))
    return Result(result.names, rows, len(rows))


def _same(alias: str, column: str) -> Expression:
    def same(run: Run, rows: Rows) -> bool:
        others = [row for name, row in rows.items() if name != alias and column in row]
        return any(row[column] == rows[alias][column] for row in others)

    return same


def _table(name: str) -> Relation:
    def table(run: Run, rows: Rows) -> Sequence[Mapping[str, Any]]:
        return run.parts[name] if name in run.parts else run.tables[name]

    return table


def _rows_of(query: Statement) -> Relation:
    return lambda run, rows: query(run, rows).as_rows()


def _as_result(relation: Relation) -> Statement:
    return lambda run, rows: Result(rows=[tuple(row.values()) for row in relation(run, rows)])


def _renamed(relation: Relation, columns: list[str]) -> Relation:
    if not columns:
        return relation
    return lambda run, rows: [dict(zip(columns, row.values(), strict=True)) for row in relation(run, rows)]


def _function(name: str, arguments: list[Expression], columns: list[tuple[str, str]]) -> Relation:
    names = [column for column, _ in columns]
    if name == "generate_series":
        return lambda run, rows: [
            {name: number} for number in range(arguments[0](run, rows), arguments[1](run, rows) + 1)
        ]
    if name == "unnest":
        return lambda run, rows: [
            dict(zip(names, values, strict=True))
            for values in zip(*[argument(run, rows) for argument in arguments], strict=True)
        ]
    if name == "jsonb_to_recordset":
        return lambda run, rows: [
            {column: cast(each.get(column), kind) for column, kind in columns}
            for each in arguments[0](run, rows)
        ]
    raise NotUnderstood(name)
