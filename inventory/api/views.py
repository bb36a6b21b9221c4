"""What every endpoint does before and after its own work: rights, rate, idempotency, tags of versions.

A view says which rows it shows and which operation it calls. Whose rows they are is decided in `visibility`, what a
repeat is answered in `inventory.answers`.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar, cast

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ValidationError
from rest_framework.viewsets import GenericViewSet

from config.api.etags import check_match, etag_of
from config.api.fields import StrictSerializer
from config.api.parsing import is_unfit
from config.api.problems import NO_SCOPE, NOT_FOUND, TEST_KEY, Problem
from inventory.access import Caller, may_test
from inventory.answers import Answer, digest_of, once
from inventory.api import problems as inventory_problems  # registers itself
from inventory.api.visibility import visible
from inventory.ledger import Context

__all__ = ["Changes", "Lists", "MerchantView", "Reads", "inventory_problems", "step"]

SAFE: Final = frozenset({"GET", "HEAD"})
LONGEST_KEY: Final = 128
#: What requests of one idempotency key make is made once.
_MADE: Final = uuid.UUID("5ad1b1a5-4b2c-4f0e-9a53-0f4a3f0c7b11")
#: Headers of an answer that a repeat is given again.
_KEPT_HEADERS: Final = ("ETag", "Location")
_shapes: Final[dict[tuple[type[BaseSerializer[Any]], tuple[Any, ...]], BaseSerializer[Any]]] = {}

Row = TypeVar("Row", bound=Model)
Handler = Callable[..., Response]


class MerchantView(GenericViewSet[Any]):
    """An endpoint of a merchant's own things."""

    #: What the scopes call it.
    resource: ClassVar[str] = ""
    #: How operations are named in the description of the API.
    name_of_rows: ClassVar[str] = ""
    model: ClassVar[type[Model]]
    filterset_class: ClassVar[Any] = None
    #: Whether lists begin with the largest id.
    newest_first: ClassVar[bool] = False
    #: Query parameters beyond those of filters and pages.
    parameters: ClassVar[frozenset[str]] = frozenset()
    #: Statuses of refusals that no other endpoint answers with.
    further_statuses: ClassVar[tuple[int, ...]] = ()
    #: Members of an answer that a repeat is not given again.
    told_once: ClassVar[frozenset[str]] = frozenset()
    #: Whether a write is one transaction, with the answer that a repeat is given.
    is_one_transaction: ClassVar[bool] = True
    #: Whether a write says something in its body; one that does not is refused what would be ignored.
    has_body: ClassVar[bool] = True
    #: Whether the operations lock the row in the address before all else but themselves, so that it may be locked here.
    locks_row_first: ClassVar[bool] = False
    http_method_names = ["get", "head", "post", "patch"]
    lookup_value_regex = "[1-9][0-9]{0,17}"

    # -- before

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return cast(Caller, self.request.auth)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Checks rights, rate and query, and has a write worked on once for its idempotency key."""
        super().initial(request, *args, **kwargs)
        if not hasattr(self, (request.method or "").lower()):
            return
        self._check_query(request)
        if request.method not in SAFE:
            _read_body(request)
        if not self.has_body:
            self.body(StrictSerializer)
        if request.method not in SAFE and self.is_one_transaction:
            name = (request.method or "").lower()
            setattr(self, name, partial(self._once, getattr(self, name)))

    def check_permissions(self, request: Request) -> None:
        """Refuses who has no key, or one without the scope."""
        if not isinstance(request.auth, Caller):
            raise exceptions.NotAuthenticated("No key was sent.")
        verb = "read" if request.method in SAFE else "write"
        if not request.auth.may(self.resource, verb):
            raise Problem(NO_SCOPE, f"The key lacks the scope {self.resource}:{verb}.")
        if request.auth.is_test and verb == "write" and not may_test(request.auth.merchant_id):
            raise Problem(TEST_KEY, "The merchant has a live channel, which writes would reach.")

    def check_throttles(self, request: Request) -> None:
        """Refuses a request beyond the key's rate; it was counted when the key was recognised."""
        if self.caller.is_over_rate:
            raise exceptions.Throttled(self.caller.seconds_left)

    def _check_query(self, request: Request) -> None:
        """Refuses parameters that would be ignored, wholly or in part, and what no database holds. Raises `ValidationError`."""
        singles = self._page_parameters() | self._filter_parameters()
        wrong = {}
        for name, values in request.query_params.lists():
            if is_unfit(str(name)):
                wrong["query"] = ["A parameter's name holds a NUL or half a character."]
            elif any(map(is_unfit, values)):
                wrong[name] = ["It holds a NUL or half a character."]
            elif name not in singles and name not in self.parameters:
                wrong[name] = ["There is no such parameter here."]
            elif "" in values:
                wrong[name] = ["Give it a value, or leave it out."]
            elif len(values) > 1 and name not in self.parameters:
                wrong[name] = ["Name it once."]
        if wrong:
            raise ValidationError(wrong)

    def _page_parameters(self) -> set[str]:
        return {"cursor", "limit"} if self.action == "list" else set()

    def _filter_parameters(self) -> set[str]:
        filters = getattr(self, "filterset_class", None)
        return set(filters.base_filters) if filters is not None and self.action == "list" else set()

    # -- a write

    def _once(self, handler: Handler, request: Request, *args: Any, **kwargs: Any) -> HttpResponse | Response:
        """Works on a write in one transaction, or answers a repeat as the first request was answered."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            with transaction.atomic():
                return handler(request, *args, **kwargs)
        if not 0 < len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
            raise ValidationError({"Idempotency-Key": [f"1 to {LONGEST_KEY} visible ASCII characters."]})
        with once(self.caller.merchant_id, key, _digest_of(request)) as answer:
            if answer.is_repeat:
                return _repeated(answer)
            response = handler(request, *args, **kwargs)
            self._keep(answer, response)
        return response

    def _keep(self, answer: Answer, response: Response) -> None:
        data = response.data
        if self.told_once and isinstance(data, dict):
            data = {name: None if name in self.told_once else value for name, value in data.items()}
        answer.status = response.status_code
        answer.body = "" if data is None else JSONRenderer().render(data).decode()
        answer.headers = {name: response[name] for name in _KEPT_HEADERS if name in response}

    def signed(self, row: Row) -> Row:
        """Returns a row whose history will name the key that saves it."""
        row._change_reason = self.caller.change_reason  # type: ignore[attr-defined]
        return row

    def context(self, **more: Any) -> Context:
        """Returns what the ledger is told of this request; its key follows from the idempotency key."""
        key = self.request.headers.get("Idempotency-Key") or str(uuid.uuid4())
        named = {"actor": self.caller.actor, "source": "api", **more}
        return Context(self.caller.merchant_id, f"api:{key}", **named)

    def made_once(self) -> uuid.UUID:
        """Returns the key of what this request makes: the same where it is repeated, however long after.

        A key that is used again for another request, when the first answer is forgotten, makes something else.
        """
        return uuid.uuid5(_MADE, f"{self.context().key} {_digest_of(self.request)}")

    # -- after

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Says what is left of the key's rate, and has nobody in between keep the answer."""
        answered = super().finalize_response(request, response, *args, **kwargs)
        answered["Cache-Control"] = "no-store"
        caller = getattr(request, "_auth", None)
        if isinstance(caller, Caller):
            answered["RateLimit-Limit"] = str(caller.rate)
            answered["RateLimit-Remaining"] = str(max(caller.rate - caller.used, 0))
            answered["RateLimit-Reset"] = str(caller.seconds_left)
        return answered

    # -- rows

    def rows(self, model: type[Row]) -> QuerySet[Row]:
        """Returns the rows of a model that the key may see."""
        return visible(self.caller, model)

    def get_queryset(self) -> QuerySet[Any]:
        """Returns the rows of this endpoint."""
        if getattr(self, "swagger_fake_view", False):
            return self.model._default_manager.none()
        return self.related(self.rows(self.model))

    def related(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Brings along what rows are shown with."""
        return rows

    def found(self, pk: str, model: type[Row] | None = None) -> Row:
        """Returns a row by the id in the address. Raises `Problem`: 404, and 412 where the caller saw another version."""
        rows = self.get_queryset() if model is None else self.rows(model)
        is_matched = model is None and self.request.method not in SAFE and "If-Match" in self.request.headers
        if is_matched and self.locks_row_first:
            rows = rows.select_for_update(no_key=True, of=("self",))
        row = rows.filter(pk=int(pk)).first()
        if row is None:
            raise Problem(NOT_FOUND)
        if is_matched:
            check_match(self.request, etag_of(self.get_serializer(row).data))
        return cast(Row, row)

    def ids_of(self, model: type[Model], wanted: Sequence[int], field: str) -> list[int]:
        """Returns these ids, each once. Raises `Problem` (404) with the first that the key does not see."""
        known = set(self.rows(model).filter(pk__in=wanted).values_list("pk", flat=True))
        for index, identity in enumerate(wanted):
            if identity not in known:
                raise Problem(NOT_FOUND, field=f"{field}[{index}]")
        return sorted(known)

    def body(self, serializer: type[BaseSerializer[Any]], **options: Any) -> dict[str, Any]:
        """Returns the checked body. Raises `ValidationError`."""
        return dict(_shape(serializer, options).run_validation(self.request.data))

    def shown(self, row: Any, *, status: int = HTTPStatus.OK) -> Response:
        """Returns a row as it is now, with its tag."""
        fresh = self.get_queryset().get(pk=row.pk)
        data = self.get_serializer(fresh).data
        return Response(data, status=status, headers={"ETag": etag_of(data)})


def step(
    body: type[BaseSerializer[Any]] | None,
    answer: Any,
    *,
    on_row: bool = True,
    status: int = HTTPStatus.OK,
    **more: Any,
) -> Callable[[Handler], Any]:
    """Makes a method an endpoint of its own, by POST: what it takes and what it answers."""

    def decorate(method: Handler) -> Any:
        more["has_body"] = body is not None
        made = action(detail=on_row, methods=["post"], filterset_class=None, **more)(method)
        return extend_schema(request=body, responses={int(status): answer})(made)

    return decorate


def _shape(serializer: type[BaseSerializer[Any]], options: dict[str, Any]) -> BaseSerializer[Any]:
    """Returns what checks bodies of one shape: it keeps nothing of a body, and making it takes longer than checking."""
    key = serializer, tuple(sorted(options.items()))
    shape = _shapes.get(key)
    if shape is None:
        shape = _shapes[key] = serializer(**options)
    return shape


def _read_body(request: Request) -> bytes:
    """Returns the body as it was sent.

    Raises `RequestDataTooBig`, `UnreadablePostError` where it ends too early, and `ParseError` for one without a length,
    which would be read as empty.
    """
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        raise exceptions.ParseError("Send the body with a Content-Length, not in chunks.")
    return request._request.body


def _digest_of(request: Request) -> str:
    """Returns what tells a repeat of a request from another one."""
    return digest_of((request.method or "").encode(), request.get_full_path().encode(), _read_body(request))


def _repeated(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    if not answer.body:
        del response["Content-Type"]
    for name, value in {**answer.headers, "Idempotent-Replayed": "true"}.items():
        response[name] = value
    return response


class Lists(MerchantView):
    """Endpoints that list rows, page by page."""

    def list(self, request: Request) -> Response:
        """Lists rows, page by page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class Reads(Lists):
    """Endpoints that also show one row."""

    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows one row; its `ETag` names this version of it."""
        data = self.get_serializer(self.found(pk)).data
        return Response(data, headers={"ETag": etag_of(data)})


class Changes(Reads):
    """Endpoints on which people's edits are made: `If-Match` has those refused that are made of something else."""

    #: What may be changed, all of it optional.
    change_class: ClassVar[type[BaseSerializer[Any]]]

    def locked(self, pk: str) -> Any:
        """Returns a row under lock, unless it is not what the caller saw. Raises `Problem`."""
        locked = self.rows(self.model).select_for_update(no_key=True).filter(pk=int(pk)).first()
        if locked is None:
            raise Problem(NOT_FOUND)
        if "If-Match" in self.request.headers:
            self.found(pk)
        return locked

    def change(self, row: Any, wanted: dict[str, Any]) -> None:
        """Makes the change, under the row's lock; one that changes nothing is not noted."""
        if all(getattr(row, name) == value for name, value in wanted.items()):
            return
        for name, value in wanted.items():
            setattr(row, name, value)
        row.clean()
        row.save()

    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes what is named, and leaves the rest."""
        row = self.signed(self.locked(pk))
        self.change(row, self.body(self.change_class, partial=True))
        return self.shown(row)
