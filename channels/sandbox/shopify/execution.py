"""Checks and executes GraphQL documents against a table of types, as the Admin API does, costs included.

Costs: scalar 0, object 1, connection 2 + its size × what a node costs, mutation 10
(shopify.dev, "API limits"). The wording of errors follows the vendor's server (graphql-ruby).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from channels.sandbox.shopify.definitions import Call, FieldType, GraphQLFault, Schema, Typed, fault
from channels.sandbox.shopify.language import (
    Directive,
    Document,
    EnumValue,
    Field,
    Inline,
    Operation,
    Selection,
    Variable,
)

MUTATION_COST: Final = 10
_CONNECTION_COST: Final = 2
_SCALARS: Final[Mapping[str, tuple[type, ...]]] = {
    "Int": (int,),
    "ID": (str, int),
    "String": (str,),
    "Boolean": (bool,),
    "URL": (str,),
    "DateTime": (str,),
    "Decimal": (str, int, float),
    "Money": (str, int, float),
}
_META: Final = "__typename"
_DIRECTIVES: Final = frozenset({"skip", "include", "idempotent"})


class Execution:
    """One operation of a document with its variables: validated at once, costed, then run."""

    def __init__(self, schema: Schema, document: Document, name: str, variables: Mapping[str, Any]) -> None:
        self.schema = schema
        self.document = document
        self.operation = self._choose(name)
        self.root = "Mutation" if self.operation.kind == "mutation" else "QueryRoot"
        self._errors: list[dict[str, Any]] = []
        self._declared = {each.name for each in self.operation.variables}
        self._check(self.root, self.operation.selections, [f"{self.operation.kind} {name}".strip()])
        if self._errors:
            raise GraphQLFault(*self._errors)
        self.variables = self._coerced(variables)
        self.actual_cost = 0

    def _choose(self, name: str) -> Operation:
        found = [each for each in self.document.operations if not name or each.name == name]
        if len(found) != 1:
            raise GraphQLFault(
                {"message": f'No operation named "{name}"' if name else "An operation name is required"}
            )
        return found[0]

    # -- validation
    def _check(self, type_name: str, selections: tuple[Selection, ...], path: list[str]) -> None:
        for selection in selections:
            if isinstance(selection, Field):
                self._check_field(type_name, selection, [*path, selection.alias])
                continue
            on, inner = self._inside(selection)
            if on and on not in self.schema.objects and on not in self.schema.interfaces:
                self._complain(
                    selection,
                    path,
                    f"No such type {on}, so it can't be a fragment condition",
                    "undefinedType",
                )
            elif not self.schema.overlaps(on, type_name):
                message = f"Fragment on {on} can't be spread inside {type_name}"
                self._complain(selection, path, message, "cannotSpreadFragment")
            else:
                self._check(on or type_name, inner, [*path, f"... on {on}"])

    def _check_field(self, type_name: str, selection: Field, path: list[str]) -> None:
        if selection.name == _META:
            return
        found = self._field(type_name, selection.name)
        if found is None:
            message = f"Field '{selection.name}' doesn't exist on type '{type_name}'"
            more = {"typeName": type_name, "fieldName": selection.name}
            self._complain(selection, path, message, "undefinedField", **more)
            return
        self._check_arguments(found, selection, path)
        for directive in selection.directives:
            if directive.name not in _DIRECTIVES:
                message = f"Directive @{directive.name} is not defined"
                self._complain(selection, path, message, "undefinedDirective", directiveName=directive.name)
        is_object = found.named in self.schema.objects or found.named in self.schema.interfaces
        if is_object and selection.selections is None:
            message = (
                f"Field must have selections (field '{selection.name}' returns {found.named} but has no selections. "
                f"Did you mean '{selection.name} {{ ... }}'?)"
            )
            self._complain(selection, path, message, "selectionMismatch")
        elif selection.selections is not None and not is_object:
            message = (
                f"Selections can't be made on scalars (field '{selection.name}' returns {found.named} "
                "but has selections)"
            )
            self._complain(selection, path, message, "selectionMismatch")
        elif selection.selections is not None:
            self._check(found.named, selection.selections, path)

    def _check_arguments(self, found: FieldType, selection: Field, path: list[str]) -> None:
        for name, value in selection.arguments.items():
            if name not in found.arguments:
                message = f"Field '{selection.name}' doesn't accept argument '{name}'"
                self._complain(selection, path, message, "argumentNotAccepted", argumentName=name)
            for variable in _variables_in(value):
                if variable not in self._declared:
                    message = f"Variable ${variable} is used by {self.operation.name} but not declared"
                    self._complain(selection, path, message, "variableNotDefined", variableName=variable)
        missing = [
            name
            for name, kind in found.arguments.items()
            if kind.endswith("!") and name not in selection.arguments
        ]
        if missing:
            message = f"Field '{selection.name}' is missing required arguments: {', '.join(missing)}"
            self._complain(selection, path, message, "missingRequiredArguments")

    def _complain(self, where: Selection, path: list[str], message: str, code: str, **more: Any) -> None:
        at = [{"line": where.line, "column": where.column}]
        self._errors.append({**fault(message, code, **more), "locations": at, "path": path})

    def _field(self, type_name: str, name: str) -> FieldType | None:
        if type_name in self.schema.interfaces:
            return FieldType("ID!", lambda source, call: source) if name == "id" else None
        return self.schema.objects[type_name].get(name)

    def _inside(self, selection: Selection) -> tuple[str, tuple[Selection, ...]]:
        """The condition and the selections of a fragment."""
        if isinstance(selection, Inline):
            return selection.on, selection.selections
        fragment = self.document.fragments.get(selection.name)
        if fragment is None:
            raise GraphQLFault(
                fault(f"Fragment {selection.name} was used, but not defined", "useAndDefineFragment")
            )
        return fragment.on, fragment.selections

    # -- variables and arguments
    def _coerced(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for definition in self.operation.variables:
            if definition.name in given:
                value = given[definition.name]
            elif definition.has_default:
                value = _plain(definition.default, {})
            elif not definition.type.endswith("!"):
                continue
            else:
                value = None
            problem = self._problem(definition.type, value)
            if problem:
                path, explanation = problem
                where = f" for {'.'.join(path)}" if path else ""
                message = (
                    f"Variable ${definition.name} of type {definition.type} was provided invalid value"
                    f"{where} ({explanation})"
                )
                problems = [{"path": path, "explanation": explanation}]
                raise GraphQLFault(fault(message, "INVALID_VARIABLE", value=value, problems=problems))
            found[definition.name] = value
        return found

    def _problem(self, kind: str, value: Any) -> tuple[list[str], str] | None:
        """Says where and why a value is none of this type; None when it is."""
        if value is None:
            return ([], "Expected value to not be null") if kind.endswith("!") else None
        kind = kind.removesuffix("!")
        if kind.startswith("["):
            items = value if isinstance(value, list) else [value]
            return self._first_problem((str(at), kind[1:-1], item) for at, item in enumerate(items))
        if kind in self.schema.inputs:
            return self._input_problem(kind, value)
        if kind in self.schema.enums:
            known = self.schema.enums[kind]
            is_fine = isinstance(value, str) and (known is None or value in known)
            return (
                None
                if is_fine
                else ([], f'Expected "{value}" to be one of: {", ".join(sorted(known or ()))}')
            )
        return None if _is_scalar(kind, value) else ([], f"Could not coerce value {value!r} to {kind}")

    def _input_problem(self, kind: str, value: Any) -> tuple[list[str], str] | None:
        fields = self.schema.inputs[kind]
        if not isinstance(value, dict):
            return [], f"Expected {value!r} to be a key-value object"
        for name in value:
            if name not in fields:
                return [name], f"Field is not defined on {kind}"
        return self._first_problem((name, inner, value.get(name)) for name, inner in fields.items())

    def _first_problem(self, parts: Iterator[tuple[str, str, Any]]) -> tuple[list[str], str] | None:
        for name, kind, value in parts:
            problem = self._problem(kind, value)
            if problem:
                return [name, *problem[0]], problem[1]
        return None

    def arguments(self, found: FieldType, selection: Field) -> dict[str, Any]:
        """The arguments of a field as plain values, checked against their types."""
        values = _plain(selection.arguments, self.variables)
        for name, value in values.items():
            problem = self._problem(found.arguments[name], value)
            if problem:
                message = (
                    f"Argument '{name}' on Field '{selection.name}' has an invalid value ({problem[1]})."
                )
                raise GraphQLFault(fault(message, "argumentLiteralsIncompatible", path=problem[0]))
        return dict(values)

    # -- cost
    def requested_cost(self) -> int:
        """Points this operation may cost at most."""
        return self._cost(self.root, self.operation.selections)

    def _cost(self, type_name: str, selections: tuple[Selection, ...]) -> int:
        total = 0
        for selection in selections:
            if not self._is_wanted(selection.directives):
                continue
            if isinstance(selection, Field):
                total += self._field_cost(type_name, selection)
            else:
                on, inner = self._inside(selection)
                total += self._cost(on or type_name, inner)
        return total

    def _field_cost(self, type_name: str, selection: Field) -> int:
        found = None if selection.name == _META else self._field(type_name, selection.name)
        if found is None or selection.selections is None or found.is_free:
            return 0
        inner = self._cost(found.named, selection.selections)
        if type_name == "Mutation":
            return MUTATION_COST + inner
        arguments = _plain(selection.arguments, self.variables)
        if found.named.endswith("Connection"):
            return _CONNECTION_COST + int(arguments.get("first") or arguments.get("last") or 0) * max(
                inner, 1
            )
        if _is_wrapping(found.named):
            return inner
        return (1 + inner) * len(arguments.get("ids", (None,)))

    # -- running
    def run(self, context: Any) -> dict[str, Any]:
        """Executes and returns the data; raises `GraphQLFault` when a resolver finds the call impossible."""
        self.actual_cost = 0
        return self._object(self.root, None, self.operation.selections, context)

    def object_of(
        self, type_name: str, source: Any, selections: tuple[Selection, ...], context: Any
    ) -> dict[str, Any]:
        """Executes a selection on one object, wherever it came from."""
        return self._object(type_name, source, selections, context)

    def _object(
        self, type_name: str, source: Any, selections: tuple[Selection, ...], context: Any
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for selection in self._merged(type_name, selections):
            if selection.name == _META:
                result[selection.alias] = type_name
                continue
            found = self.schema.objects[type_name][selection.name]
            directives = {each.name: _plain(each.arguments, self.variables) for each in selection.directives}
            call = Call(context, self.arguments(found, selection), directives)
            value = found.resolve(source, call)
            result[selection.alias] = self._complete(found, value, selection.selections, context)
        return result

    def _complete(
        self, found: FieldType, value: Any, selections: tuple[Selection, ...] | None, context: Any
    ) -> Any:
        if value is None or selections is None:
            return value
        if isinstance(value, list):
            return [self._complete(found, item, selections, context) for item in value]
        name = found.named
        if isinstance(value, Typed):
            name, value = value.type, value.source
        if name.endswith("Payload"):
            self.actual_cost += MUTATION_COST
        elif not (found.is_free or _is_wrapping(name)):
            self.actual_cost += 1
        return self._object(name, value, selections, context)

    def _merged(self, type_name: str, selections: tuple[Selection, ...]) -> Iterable[Field]:
        """The fields of a selection; those asked for twice become one with the selections of both."""
        fields: dict[str, Field] = {}
        for selection in self._fields(type_name, selections):
            known = fields.get(selection.alias)
            if known is not None and known.selections is not None and selection.selections is not None:
                selection = replace(known, selections=known.selections + selection.selections)
            fields[selection.alias] = selection
        return fields.values()

    def _fields(self, type_name: str, selections: tuple[Selection, ...]) -> Iterator[Field]:
        """Yields the fields that apply to a type, fragments opened, `@skip` and `@include` obeyed."""
        for selection in selections:
            if not self._is_wanted(selection.directives):
                continue
            if isinstance(selection, Field):
                yield selection
                continue
            on, inner = self._inside(selection)
            if on in ("", type_name) or type_name in self.schema.interfaces.get(on, ()):
                yield from self._fields(type_name, inner)

    def _is_wanted(self, directives: tuple[Directive, ...]) -> bool:
        for directive in directives:
            if directive.name in ("skip", "include"):
                condition = bool(_plain(directive.arguments.get("if"), self.variables))
                if condition == (directive.name == "skip"):
                    return False
        return True


def _is_wrapping(name: str) -> bool:
    """Tells whether objects of a type only wrap others, and cost nothing themselves."""
    return name == "PageInfo" or name.endswith(("Edge", "Connection"))


def _variables_in(value: Any) -> Iterator[str]:
    if isinstance(value, Variable):
        yield value.name
    elif isinstance(value, dict):
        for item in value.values():
            yield from _variables_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _variables_in(item)


def _plain(value: Any, variables: Mapping[str, Any]) -> Any:
    """Puts variables in; object fields and arguments whose variable was not given are left out."""
    if isinstance(value, Variable):
        return variables.get(value.name)
    if isinstance(value, EnumValue):
        return value.name
    if isinstance(value, dict):
        return {
            name: _plain(item, variables)
            for name, item in value.items()
            if not (isinstance(item, Variable) and item.name not in variables)
        }
    if isinstance(value, list):
        return [_plain(item, variables) for item in value]
    return value


def _is_scalar(kind: str, value: Any) -> bool:
    if kind not in _SCALARS or (isinstance(value, bool) and kind != "Boolean"):
        return False
    if kind == "Int":
        return isinstance(value, int) and -(2**31) <= value < 2**31
    return isinstance(value, _SCALARS[kind])
