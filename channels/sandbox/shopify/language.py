"""Reads GraphQL documents: the executable part of the October 2021 language, without the schema part.

Source: GraphQL specification, section 2 (Language).
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""
    (?P<ignored>[\s,﻿]+|\#[^\n\r]*)
  | (?P<block>\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\")
  | (?P<string>"(?:[^"\\\n\r]|\\.)*")
  | (?P<float>-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))
  | (?P<int>-?(?:0|[1-9]\d*))
  | (?P<name>[_A-Za-z][_0-9A-Za-z]*)
  | (?P<mark>\.\.\.|[!$&()\[\]:=@{}|])
    """,
    re.VERBOSE,
)


class SyntaxFault(Exception):
    """The document is not GraphQL; the message says where."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A reference to a variable inside a value."""

    name: str


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A bare name used as a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Directive:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    alias: str
    arguments: dict[str, Any]
    directives: tuple[Directive, ...]
    selections: "tuple[Selection, ...] | None"
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Spread:
    """`...Name`."""

    name: str
    directives: tuple[Directive, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Inline:
    """`... on Type { … }`; `on` is empty without a type."""

    on: str
    directives: tuple[Directive, ...]
    selections: "tuple[Selection, ...]"
    line: int
    column: int


Selection = Field | Spread | Inline


@dataclass(frozen=True, slots=True)
class VariableDefinition:
    name: str
    #: As written: `[ID!]!`.
    type: str
    default: Any
    has_default: bool


@dataclass(frozen=True, slots=True)
class Operation:
    kind: str
    name: str
    variables: tuple[VariableDefinition, ...]
    selections: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    name: str
    on: str
    selections: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Document:
    operations: list[Operation] = field(default_factory=list)
    fragments: dict[str, Fragment] = field(default_factory=dict)


@lru_cache(maxsize=256)
def parse(text: str) -> Document:
    """Reads a document; raises `SyntaxFault`. Callers send the same few again and again, so they are kept."""
    return _Parser(_tokens(text)).document()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, line, line_start = 0, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SyntaxFault(
                f"Parse error on {text[position]!r} (error) at [{line}, {position - line_start + 1}]"
            )
        kind, piece = str(match.lastgroup), match.group()
        if kind != "ignored":
            tokens.append(Token(kind, piece, line, position - line_start + 1))
        if "\n" in piece:
            line += piece.count("\n")
            line_start = position + piece.rindex("\n") + 1
        position = match.end()
    tokens.append(Token("end", "", line, position - line_start + 1))
    return tokens


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def document(self) -> Document:
        document = Document()
        while self._here.kind != "end":
            if self._here.text == "fragment":
                fragment = self._fragment()
                document.fragments[fragment.name] = fragment
            else:
                document.operations.append(self._operation())
        if not document.operations:
            raise SyntaxFault("Unexpected end of document")
        return document

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _fail(self) -> SyntaxFault:
        here = self._here
        return SyntaxFault(f'Parse error on "{here.text}" ({here.kind}) at [{here.line}, {here.column}]')

    def _next(self) -> Token:
        token = self._here
        self._at += 1
        return token

    def _skip(self, mark: str) -> bool:
        if self._here.kind == "mark" and self._here.text == mark:
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._fail()

    def _name(self) -> str:
        if self._here.kind != "name":
            raise self._fail()
        return self._next().text

    def _operation(self) -> Operation:
        if self._here.text == "{":
            return Operation("query", "", (), self._selections())
        kind = self._name()
        if kind not in ("query", "mutation"):
            self._at -= 1
            raise self._fail()
        name = self._name() if self._here.kind == "name" else ""
        variables = self._variable_definitions() if self._skip("(") else ()
        self._directives()
        return Operation(kind, name, variables, self._selections())

    def _variable_definitions(self) -> tuple[VariableDefinition, ...]:
        found = []
        while not self._skip(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            kind = self._type()
            has_default = self._skip("=")
            found.append(VariableDefinition(name, kind, self._value() if has_default else None, has_default))
            self._directives()
        return tuple(found)

    def _type(self) -> str:
        if self._skip("["):
            kind = f"[{self._type()}]"
            self._expect("]")
        else:
            kind = self._name()
        return f"{kind}!" if self._skip("!") else kind

    def _fragment(self) -> Fragment:
        self._name()
        name = self._name()
        if self._name() != "on":
            raise self._fail()
        on = self._name()
        self._directives()
        return Fragment(name, on, self._selections())

    def _selections(self) -> tuple[Selection, ...]:
        self._expect("{")
        found: list[Selection] = [self._selection()]
        while not self._skip("}"):
            found.append(self._selection())
        return tuple(found)

    def _selection(self) -> Selection:
        here = self._here
        if self._skip("..."):
            if self._here.kind == "name" and self._here.text != "on":
                return Spread(self._name(), self._directives(), here.line, here.column)
            on = self._name() and self._name() if self._here.text == "on" else ""
            return Inline(on, self._directives(), self._selections(), here.line, here.column)
        alias = name = self._name()
        if self._skip(":"):
            name = self._name()
        arguments = self._arguments()
        directives = self._directives()
        selections = self._selections() if self._here.text == "{" else None
        return Field(name, alias, arguments, directives, selections, here.line, here.column)

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._skip("("):
            while not self._skip(")"):
                name = self._name()
                self._expect(":")
                found[name] = self._value()
        return found

    def _directives(self) -> tuple[Directive, ...]:
        found = []
        while self._skip("@"):
            found.append(Directive(self._name(), self._arguments()))
        return tuple(found)

    def _value(self) -> Any:
        if self._skip("$"):
            return Variable(self._name())
        if self._skip("["):
            items = []
            while not self._skip("]"):
                items.append(self._value())
            return items
        if self._skip("{"):
            return self._object()
        return self._scalar()

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._skip("}"):
            name = self._name()
            self._expect(":")
            found[name] = self._value()
        return found

    def _scalar(self) -> Any:
        token = self._next()
        if token.kind == "string":
            return json.loads(token.text)
        if token.kind == "block":
            return token.text[3:-3].replace('\\"""', '"""').strip()
        if token.kind == "int":
            return int(token.text)
        if token.kind == "float":
            return float(token.text)
        if token.kind == "name":
            return {"true": True, "false": False, "null": None}.get(token.text, EnumValue(token.text))
        self._at -= 1
        raise self._fail()
