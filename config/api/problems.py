"""Everything that the API refuses, as problem+json (RFC 9457): a stable type, the field, and the remedy.

Apps enter their own errors with `register`; one table decides what each is answered with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelError
from django.db import DatabaseError, IntegrityError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions, serializers
from rest_framework.response import Response

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:onecount:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of refusal; its name is the last part of `type` and never changes."""

    name: str
    status: int
    title: str
    remedy: str


_kinds: Final[list[Kind]] = []


def kind(name: str, status: int, title: str, remedy: str) -> Kind:
    """Makes a kind of refusal, which the description of the API names from then on."""
    made = Kind(name, status, title, remedy)
    _kinds.append(made)
    return made


INVALID: Final = kind("invalid-request", 400, "The request cannot be understood", "Correct the named fields.")
UNREADABLE: Final = kind("unreadable-body", 400, "The body is no JSON", "Send one JSON object, in UTF-8.")
NO_KEY: Final = kind("no-key", 401, "No valid key", "Send `Authorization: Bearer <key>` with a key in force.")
NO_SCOPE: Final = kind("missing-scope", 403, "The key may not do this", "Use a key that has the named scope.")
TEST_KEY: Final = kind(
    "test-key",
    403,
    "A test key touches simulated shops only",
    "Use a live key, or a merchant without live channels.",
)
NOT_FOUND: Final = kind(
    "not-found", 404, "There is no such thing", "Check the id, SKU or code that you named."
)
NO_METHOD: Final = kind(
    "method-not-allowed", 405, "Not with this method", "Use a method of the header Allow."
)
EXISTS: Final = kind(
    "already-exists", 409, "It exists already", "Change the one that exists, or choose another name."
)
IN_PROGRESS: Final = kind(
    "request-in-progress",
    409,
    "The same request is being worked on",
    "Send it again with the same key in a moment.",
)
WRONG_STATE: Final = kind("wrong-state", 409, "Its state does not allow this", "Read it again, then decide.")
FORGOTTEN: Final = kind(
    "changes-forgotten",
    410,
    "The feed does not reach back to this cursor",
    "Begin anew: ask without a cursor, read the stock levels, then read on from the cursor you were given.",
)
CHANGED: Final = kind(
    "changed-meanwhile", 412, "Somebody changed it meanwhile", "Read it again, then repeat the change."
)
TOO_LARGE: Final = kind("body-too-large", 413, "The body is too large", "Send it in several requests.")
WRONG_TYPE: Final = kind(
    "unsupported-media-type", 415, "Only JSON is accepted", "Send `Content-Type: application/json`."
)
REFUSED: Final = kind(
    "refused", 422, "This cannot be done as asked", "Change the request as the detail says."
)
KEY_REUSED: Final = kind(
    "idempotency-key-reused",
    422,
    "The idempotency key belongs to another request",
    "Use a new key for a new request.",
)
TOO_MANY: Final = kind("rate-limit", 429, "Too many requests", "Wait as many seconds as Retry-After says.")
FAILED: Final = kind(
    "internal-error", 500, "Something went wrong here", "Try again; tell whoever runs this server."
)
BUSY: Final = kind(
    "busy", 503, "The rows are being changed by somebody else", "Send the same request again in a moment."
)

#: Seconds after which a busy row is worth another try.
_SOON: Final = 1

#: What PostgreSQL says where somebody else holds the rows.
_BUSY_STATES: Final = frozenset({"55P03", "40P01", "40001"})


class Problem(exceptions.APIException):
    """The request is refused."""

    def __init__(
        self, kind: Kind, detail: str = "", *, field: str = "", retry_after: int | None = None, **more: Any
    ) -> None:
        self.kind = kind
        self.status_code = kind.status
        self.field = field
        self.retry_after = retry_after
        #: Further members, such as the shortages.
        self.more = more
        super().__init__(detail or f"{kind.title}.")

    @property
    def body(self) -> dict[str, Any]:
        """The members of the problem."""
        named = {"field": self.field} if self.field else {}
        return {
            "type": f"{_TYPE}{self.kind.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": str(self.detail),
            "remedy": self.kind.remedy,
            **named,
            **self.more,
        }


class FieldErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField(help_text="Its path, such as `lines[2].sku`.")
    message = serializers.CharField()


class ShortageSerializer(serializers.Serializer[Any]):
    """How far one demand goes beyond what is there, in base units."""

    reference = serializers.CharField()
    sku = serializers.CharField()
    requested = serializers.IntegerField()
    available = serializers.IntegerField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Why a request was refused (RFC 9457)."""

    type = serializers.CharField(help_text="A stable name: `urn:onecount:problem:` and the kind.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened this time.")
    remedy = serializers.CharField(help_text="What to do about it.")
    field = serializers.CharField(required=False, help_text="The field that has to be changed.")
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]
    shortages = ShortageSerializer(many=True, required=False)


def refused(message: str, field: str) -> Problem:
    """Returns the refusal of what is wrong with a field; the wrong state of something is no fault of the request."""
    return Problem(WRONG_STATE, message) if field == "state" else Problem(REFUSED, message, field=field)


Translate = Callable[[Any], Problem]
_translations: dict[type[Exception], Translate] = {}
_constraints: dict[str, tuple[str, str]] = {}


def register(error: type[Exception], translate: Translate) -> None:
    """Says how an app's error is answered; errors without an entry of their own go by their nearest base."""
    _translations[error] = translate


def register_constraints(constraints: Mapping[str, tuple[str, str]]) -> None:
    """Says for constraints of the database which field they are about, and what violating them means."""
    _constraints.update(constraints)


def answer(error: Exception, context: Mapping[str, Any]) -> Response:
    """Returns the answer to whatever was raised in a view; what nobody expected is logged and answered with 500."""
    problem = problem_of(error)
    if problem.kind is FAILED:
        log.error("api_request_failed", path=context["request"].path, exc_info=error)
    return respond(problem, error)


def respond(problem: Problem, error: Exception | None = None) -> Response:
    """Returns a problem as an answer."""
    headers: dict[str, str] = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Response(problem.body, status=problem.kind.status, headers=headers, content_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Translates an error."""
    if isinstance(error, Problem):
        return error
    for base in type(error).__mro__:
        if translate := _translations.get(base):
            return translate(error)
    return _of_framework(error) or Problem(FAILED)


def _of_framework(error: Exception) -> Problem | None:
    for bases, translate in _FRAMEWORK:
        if isinstance(error, bases):
            return translate(error)
    return None


def _of_validation(error: exceptions.ValidationError) -> Problem:
    errors = [{"field": field, "message": message} for field, message in flat(error.detail)]
    return _of_errors(errors)


def _of_model(error: ModelError) -> Problem:
    found = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    return _of_errors([{"field": field, "message": text} for field, texts in found.items() for text in texts])


def _of_errors(errors: Sequence[Mapping[str, str]]) -> Problem:
    first = errors[0] if errors else {"field": "", "message": INVALID.title}
    detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    return Problem(INVALID, detail, field=first["field"], errors=list(errors))


def flat(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields what is wrong, field by field, as paths such as `lines[2].sku`."""
    if isinstance(detail, Mapping):
        for name, each in detail.items():
            inner = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            yield from flat(each, f"{path}[{name}]" if isinstance(name, int) else inner)
    elif isinstance(detail, list | tuple):
        nested = any(isinstance(each, Mapping) for each in detail)
        for index, each in enumerate(detail):
            yield from flat(each, f"{path}[{index}]" if nested else path)
    else:
        yield path, str(detail)


def _of_database(error: DatabaseError) -> Problem:
    state = getattr(error.__cause__, "sqlstate", None)
    return Problem(BUSY, retry_after=_SOON) if state in _BUSY_STATES else Problem(FAILED)


def _of_integrity(error: IntegrityError) -> Problem:
    diagnosis = getattr(error.__cause__, "diag", None)
    known = _constraints.get(getattr(diagnosis, "constraint_name", None) or "")
    return Problem(EXISTS, known[1], field=known[0]) if known else Problem(FAILED)


def _of_throttled(error: Any) -> Problem:
    return Problem(TOO_MANY, retry_after=int(error.wait or _SOON))


_FRAMEWORK: Final[Sequence[tuple[Any, Translate]]] = (
    (exceptions.ValidationError, _of_validation),
    (ModelError, _of_model),
    ((exceptions.ParseError, UnreadablePostError), lambda error: Problem(UNREADABLE, str(error))),
    (
        (exceptions.NotAuthenticated, exceptions.AuthenticationFailed),
        lambda error: Problem(NO_KEY, str(error)),
    ),
    ((exceptions.PermissionDenied, PermissionDenied), lambda error: Problem(NO_SCOPE)),
    ((exceptions.NotFound, Http404), lambda error: Problem(NOT_FOUND)),
    (exceptions.MethodNotAllowed, lambda error: Problem(NO_METHOD, str(error))),
    (exceptions.UnsupportedMediaType, lambda error: Problem(WRONG_TYPE, str(error))),
    (exceptions.Throttled, _of_throttled),
    (RequestDataTooBig, lambda error: Problem(TOO_LARGE)),
    (SuspiciousOperation, lambda error: Problem(INVALID, "The query names too many parameters.")),
    (IntegrityError, _of_integrity),
    (DatabaseError, _of_database),
)


def described(status: int) -> str:
    """Returns what a status means here, for the description of the API."""
    names = [f"`{each.name}`" for each in _kinds if each.status == status]
    return f"{HTTPStatus(status).phrase}: {', '.join(names)}"


def examples(status: int) -> dict[str, Any]:
    """Returns how each kind of refusal with this status looks, for the description of the API."""
    return {
        each.name: {"summary": each.title, "value": Problem(each).body}
        for each in _kinds
        if each.status == status
    }
