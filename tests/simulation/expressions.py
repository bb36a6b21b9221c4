"""Expressions of SQL, read from a statement's text and turned into Python functions of the rows in sight.

Only what the statements of the simulated parts use. Keywords are upper case, names lower case, as they are written here
everywhere. NULL is None, with its logic of three values; instants are `datetime`, intervals `timedelta`.
"""

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.statements import Run

#: Alias → row.
Rows = dict[str, Mapping[str, Any]]
Expression = Callable[["Run", Rows], Any]

_TOKEN: Final = re.compile(
    r"\s+|--[^\n]*"
    r"|(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<parameter>%s|%\(\w+\)s)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>::|<=|>=|<>|=>|\|\||>>|[-+*/^<>=(),.\[\]])"
)
#: Under which rows of windows and groups lie among the rows in sight.
WINDOWS: Final = "#windows"
GROUP: Final = "#group"

_INTERVAL: Final = re.compile(r"(\d+) (microsecond|second|minute|hour|day)s?")


class NotUnderstood(Exception):
    """A statement uses more of SQL than the simulation knows."""


def tokens_of(sql: str) -> list[tuple[str, str]]:
    """Splits a statement into (kind, text)."""
    found, position = [], 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:
            raise NotUnderstood(sql[position : position + 40])
        if match.lastgroup:
            found.append((match.lastgroup, match.group()))
        position = match.end()
    return [*found, ("end", "")]


def _divided(one: Any, other: Any) -> Any:
    is_whole = isinstance(one, int) and isinstance(other, int)
    return int(one / other) if is_whole else one / other


#: What signs do with values that are not NULL.
_SIGNS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "^": lambda one, other: float(one) ** float(other),
    ">>": operator.rshift,
    "||": lambda one, other: f"{one}{other}",
}
#: Of numbers the largest, of instants the first: each is used for one of them alone.
_ENDLESS: Final[Mapping[str, Any]] = {
    "infinity": math.inf,
    "-infinity": datetime.min.replace(tzinfo=UTC),
}
#: From what binds least to what binds most, below comparisons.
_LEVELS: Final = (("||", ">>"), ("+", "-"), ("*", "/"), ("^",))
_COMPARING: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})


def _list(value: Any, kind: str) -> Any:
    if isinstance(value, str):
        inner = value.strip("{}")
        value = [None if each == "NULL" else each.strip('"') for each in inner.split(",")] if inner else []
    return [cast(each, kind) for each in value]


def _instant(value: Any) -> Any:
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value


def _day(value: Any) -> Any:
    return value.date() if isinstance(value, datetime) else value


#: Type → what a cast makes of a value.
CASTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "bigint": int,
    "int": int,
    "integer": int,
    "smallint": int,
    "float": float,
    "float8": float,
    "numeric": Decimal,
    "boolean": bool,
    "text": str,
    "uuid": lambda value: value,
    "date": _day,
    "timestamptz": _instant,
    "jsonb": lambda value: json.loads(value) if isinstance(value, str) else value,
}


def cast(value: Any, kind: str) -> Any:
    """Returns a value as a type has it."""
    if value is None:
        return None
    return _list(value, kind[:-2]) if kind.endswith("[]") else CASTS[kind](value)


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """The largest or smallest of those that are not NULL."""

    def extreme(*values: Any) -> Any:
        known = [value for value in values if value is not None]
        return choose(known) if known else None

    return extreme


_greatest, _least = _extreme(max), _extreme(min)

_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "coalesce": _coalesce,
    "greatest": _greatest,
    "least": _least,
    "set_config": lambda name, value, is_local: value,
    "pg_get_serial_sequence": lambda table, column: table,
    "jsonb_build_array": lambda *values: list(values),
}

_AGGREGATES: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "count": len,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "sum": lambda values: sum(values) if values else None,
    "bool_or": lambda values: any(values) if values else None,
    "array_agg": lambda values: values or None,
    "jsonb_agg": lambda values: values or None,
    "jsonb_object_agg": lambda values: {str(key): value for key, value in values} or None,
}


class Reader:
    """Reads one statement from its beginning to its end."""

    def __init__(self, sql: str) -> None:
        self._tokens = tokens_of(sql)
        self._at = 0
        self._parameters = 0
        #: Of the query being read: whether it sums up, and the orders of its windows.
        self.sums_up = False
        self.windows: list[tuple[str, list[tuple[Expression, bool]]]] = []

    # -- tokens
    @property
    def next(self) -> str:
        """The text of the next token."""
        return self._tokens[self._at][1]

    @property
    def kind(self) -> str:
        """Its kind."""
        return self._tokens[self._at][0]

    def peek(self, *texts: str) -> bool:
        """Tells whether the next tokens are these."""
        return all(
            self._tokens[min(self._at + n, len(self._tokens) - 1)][1] == text for n, text in enumerate(texts)
        )

    def take(self) -> str:
        """Goes behind the next token and returns it."""
        text = self.next
        self._at += 1
        return text

    def accept(self, *texts: str) -> bool:
        """Goes behind these tokens where they come next."""
        if not self.peek(*texts):
            return False
        self._at += len(texts)
        return True

    def expect(self, *texts: str) -> None:
        """Goes behind these tokens, which have to come next."""
        if not self.accept(*texts):
            found = " ".join(text for _, text in self._tokens[self._at : self._at + 8])
            raise NotUnderstood(f"{' '.join(texts)} expected, found {found}")

    def list_of(self, read: Callable[[], Any]) -> list[Any]:
        """Reads one or more of something, with commas between them."""
        found = [read()]
        while self.accept(","):
            found.append(read())
        return found

    def type_name(self) -> str:
        """Reads the name of a type."""
        name = self.take()
        return f"{name}[]" if self.accept("[", "]") else name

    # -- expressions
    def expression(self) -> Expression:
        """Reads an expression."""
        return self._chain("OR", lambda: self._chain("AND", self._negation, _all), _any)

    def _chain(
        self, word: str, read: Callable[[], Expression], join: Callable[[list[Expression]], Expression]
    ) -> Expression:
        found = [read()]
        while self.accept(word):
            found.append(read())
        return found[0] if len(found) == 1 else join(found)

    def _negation(self) -> Expression:
        if not self.accept("NOT"):
            return self._comparison()
        inner = self._negation()
        return lambda run, rows: _not(inner(run, rows))

    def _comparison(self) -> Expression:
        left = self._binary(0)
        while True:
            if self.kind == "sign" and self.next in _COMPARING:
                left = self._compared(left)
            elif self.accept("IS"):
                left = self._is(left)
            elif self.accept("IN"):
                left = self._among(left)
            elif self.accept("NOT", "IN"):
                left = _negated(self._among(left))
            elif self.accept("BETWEEN"):
                left = self._between(left)
            else:
                return left

    def _compared(self, left: Expression) -> Expression:
        apply = _SIGNS[self.take()]
        if self.accept("ANY"):
            self.expect("(")
            many = self.expression()
            self.expect(")")
            return lambda run, rows: any(apply(left(run, rows), each) for each in many(run, rows) or ())
        return _applied(apply, left, self._binary(0))

    def _is(self, left: Expression) -> Expression:
        is_not = self.accept("NOT")
        if self.accept("NULL"):
            found: Expression = lambda run, rows: left(run, rows) is None  # noqa: E731
        else:
            self.expect("DISTINCT", "FROM")
            right = self._binary(0)
            found = lambda run, rows: left(run, rows) != right(run, rows)  # noqa: E731
        return _negated(found) if is_not else found

    def _among(self, left: Expression) -> Expression:
        self.expect("(")
        if self.peek("SELECT"):
            query = self.query()
            self.expect(")")
            return lambda run, rows: left(run, rows) in run.values_of(query)
        many = self.list_of(self.expression)
        self.expect(")")

        def among(run: "Run", rows: Rows) -> Any:
            value = left(run, rows)
            if value is None:
                return None
            others = [each(run, rows) for each in many]
            return True if value in others else None if None in others else False

        return among

    def _between(self, value: Expression) -> Expression:
        low = self._binary(0)
        self.expect("AND")
        high = self._binary(0)
        return _all([_applied(operator.ge, value, low), _applied(operator.le, value, high)])

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self.kind == "sign" and self.next in _LEVELS[level]:
            left = _applied(_SIGNS[self.take()], left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if self.accept("-"):
            inner = self._unary()
            return lambda run, rows: None if (value := inner(run, rows)) is None else -value
        found = self._primary()
        while True:
            if self.accept("::"):
                found = _casting(found, self.type_name())
            elif self.accept("AT", "TIME", "ZONE"):
                self.expect("'UTC'")  # instants are in UTC as they are
            else:
                return found

    def _primary(self) -> Expression:
        if self.kind == "word":
            return self._word()
        if self.kind == "parameter":
            return self._parameter()
        if self.accept("("):
            found = self._scalar(self.query()) if self.peek("SELECT") else self.expression()
            self.expect(")")
            return found
        kind, text = self.kind, self.take()
        if kind == "number":
            return _constant(float(text) if "." in text else int(text))
        if kind == "text":
            value = text[1:-1].replace("''", "'")
            return _constant(_ENDLESS.get(value, value))
        raise NotUnderstood(text)

    def _parameter(self) -> Expression:
        text = self.take()
        if text != "%s":
            name = text[2:-2]
            return lambda run, rows: run.parameters[name]
        number = self._parameters
        self._parameters += 1
        return lambda run, rows: run.parameters[number]

    def _word(self) -> Expression:
        word = self.take()
        if word in ("true", "false", "NULL"):
            return _constant({"true": True, "false": False, "NULL": None}[word])
        if word == "CASE":
            return self._case()
        if word == "EXISTS":
            self.expect("(")
            query = self.query()
            self.expect(")")
            return lambda run, rows: bool(query(run, rows).rows)
        if word == "ARRAY":
            self.expect("(")
            query = self.query()
            self.expect(")")
            return lambda run, rows: [row[0] for row in query(run, rows).rows]
        if word == "interval":
            return _constant(_interval(self.take()))
        if self.accept("("):
            return self._call(word)
        if self.accept("."):
            name = self.take()
            return lambda run, rows: rows[word][name]
        return _column(word)

    def _case(self) -> Expression:
        branches = []
        while self.accept("WHEN"):
            condition = self.expression()
            self.expect("THEN")
            branches.append((condition, self.expression()))
        otherwise = self.expression() if self.accept("ELSE") else _constant(None)
        self.expect("END")

        def case(run: "Run", rows: Rows) -> Any:
            for condition, value in branches:
                if condition(run, rows):
                    return value(run, rows)
            return otherwise(run, rows)

        return case

    def _call(self, name: str) -> Expression:
        if name == "extract":
            self.expect("epoch", "FROM")
            inner = self.expression()
            self.expect(")")
            return lambda run, rows: None if (v := inner(run, rows)) is None else v.total_seconds()
        if self.accept("*"):
            self.expect(")")
            self.sums_up = True
            return lambda run, rows: len(rows[GROUP]["of"])
        if name in _AGGREGATES:
            return self._aggregate(name)
        named: list[str] = []
        arguments = [] if self.peek(")") else self.list_of(lambda: self._argument(named))
        self.expect(")")
        if name == "nextval":
            return lambda run, rows: run.tables.next_id()
        if name == "clock_timestamp":
            return lambda run, rows: run.now
        if name == "make_interval":
            return _interval_of(named, arguments)
        if self.accept("OVER"):
            return self._window(name)
        return _called(_FUNCTIONS[name], arguments)

    def _argument(self, named: list[str]) -> Expression:
        if self.kind == "word" and self._tokens[self._at + 1][1] == "=>":
            named.append(self.take())
            self.take()
        return self.expression()

    def _aggregate(self, name: str) -> Expression:
        apply, value = _AGGREGATES[name], self.expression()
        if name == "jsonb_object_agg":
            self.expect(",")
            value = _pair(value, self.expression())
        order = self.list_of(self.sort_key) if self.accept("ORDER", "BY") else []
        self.expect(")")
        condition = _constant(True)
        if self.accept("FILTER", "("):
            self.expect("WHERE")
            condition = self.expression()
            self.expect(")")
        self.sums_up = True

        def aggregate(run: "Run", rows: Rows) -> Any:
            of = [each for each in rows[GROUP]["of"] if condition(run, each)]
            if order:
                of.sort(key=lambda each: [key(run, each) for key, _ in order])
            values = [value(run, each) for each in of]
            return apply([each for each in values if each is not None])

        return aggregate

    def _window(self, name: str) -> Expression:
        self.expect("(", "ORDER", "BY")
        self.windows.append((name, self.list_of(self.sort_key)))
        self.expect(")")
        number = len(self.windows) - 1
        return lambda run, rows: rows[WINDOWS][str(number)]

    def sort_key(self) -> tuple[Expression, bool]:
        """Reads what to sort by, and whether it falls."""
        key = self.expression()
        return key, not self.accept("ASC") and self.accept("DESC")

    def _scalar(self, query: Callable[["Run", Rows], Any]) -> Expression:
        def scalar(run: "Run", rows: Rows) -> Any:
            found = query(run, rows).rows
            return found[0][0] if found else None

        return scalar

    def query(self) -> Callable[["Run", Rows], Any]:
        """Reads a query within the statement."""
        raise NotImplementedError


def _constant(value: Any) -> Expression:
    return lambda run, rows: value


def _column(name: str) -> Expression:
    def column(run: "Run", rows: Rows) -> Any:
        for row in reversed(rows.values()):
            if name in row:
                return row[name]
        raise NotUnderstood(f"no column {name}")

    return column


def _pair(key: Expression, value: Expression) -> Expression:
    return lambda run, rows: (key(run, rows), value(run, rows))


def _not(value: Any) -> Any:
    return None if value is None else not value


def _all(conditions: list[Expression]) -> Expression:
    """False where one is, else unknown where one is, else true."""

    def every(run: "Run", rows: Rows) -> Any:
        found: Any = True
        for condition in conditions:
            value = condition(run, rows)
            if value is False:
                return False
            if value is None:
                found = None
        return found

    return every


def _any(conditions: list[Expression]) -> Expression:
    """True where one is, else unknown where one is, else false."""

    def some(run: "Run", rows: Rows) -> Any:
        found: Any = False
        for condition in conditions:
            value = condition(run, rows)
            if value is True:
                return True
            if value is None:
                found = None
        return found

    return some


def _negated(inner: Expression) -> Expression:
    return lambda run, rows: _not(inner(run, rows))


def _applied(apply: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    def applied(run: "Run", rows: Rows) -> Any:
        one, other = left(run, rows), right(run, rows)
        return None if one is None or other is None else apply(one, other)

    return applied


def _casting(inner: Expression, kind: str) -> Expression:
    return lambda run, rows: cast(inner(run, rows), kind)


def _called(apply: Callable[..., Any], arguments: list[Expression]) -> Expression:
    return lambda run, rows: apply(*[argument(run, rows) for argument in arguments])


def _interval(text: str) -> timedelta:
    match = _INTERVAL.fullmatch(text[1:-1])
    if match is None:
        raise NotUnderstood(text)
    return timedelta(**{f"{match[2]}s": int(match[1])})


def _interval_of(named: list[str], arguments: list[Expression]) -> Expression:
    units = [{"secs": "seconds", "days": "days"}[name] for name in named]

    def interval(run: "Run", rows: Rows) -> Any:
        values = [argument(run, rows) for argument in arguments]
        return None if None in values else timedelta(**dict(zip(units, values, strict=True)))

    return interval
