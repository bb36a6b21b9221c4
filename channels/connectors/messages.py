"""Reads webhook bodies for every connector: authentic first, then strictly parsed, then reduced.

What cannot be read raises `BadMessage` with a reason that names the place; nothing is guessed.
"""

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias

from channels.connectors.base import InboundRequest
from channels.errors import BadMessage, BadSignature

#: Larger than an order of a thousand lines.
LARGEST_BODY: Final = 5 * 1024 * 1024
#: No platform nests half as deep.
DEEPEST_NESTING: Final = 64
#: Ids and counts of every platform fit into 64 bits with a sign.
LARGEST_INTEGER: Final = 2**63 - 1
#: More units than any shelf or order line holds.
LARGEST_QUANTITY: Final = 1_000_000_000

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
# Only escapes can bring a NUL or half a character into a body that is valid UTF-8 and valid JSON.
_RISKY_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

#: An allow-list of fields: None keeps a scalar (or a list of scalars), a table keeps an object or a list of
#: objects.
Fields: TypeAlias = Mapping[str, "Fields | None"]


# -- authenticity


def check_hmac(body: bytes, signature: str, secrets: Sequence[str]) -> None:
    """Checks a base64 HMAC-SHA256 of the raw body against every live secret. Raises `BadSignature`."""
    if not signature or not secrets:
        raise BadSignature
    given = signature.strip().encode("utf-8", "replace")
    matches = [hmac.compare_digest(sign(body, secret).encode(), given) for secret in secrets]
    if not any(matches):
        raise BadSignature


def sign(body: bytes, secret: str) -> str:
    """Returns the base64 HMAC-SHA256 of a body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def digest_of(*parts: str | bytes) -> str:
    """Returns a dedupe key made from what identifies a state; 64 hexadecimal characters."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


# -- strict JSON


def read_object(request: InboundRequest) -> dict[str, Any]:
    """Returns the JSON object in a message's body. Raises `BadMessage`."""
    _check_content_type(request.headers.get("content-type", ""))
    value = parse_json(request.body)
    if not isinstance(value, dict):
        raise BadMessage("The body is not a JSON object.")
    return value


def parse_json(body: bytes) -> Any:
    """Parses JSON and accepts nothing that two readers could understand differently. Raises `BadMessage`.

    Refused are bodies that are too large, nested too deeply, cut off or not UTF-8, names given twice, NaN and
    Infinity, numbers beyond 64 bits or the range of a float, NUL, and lone surrogates.
    """
    if len(body) > LARGEST_BODY:
        raise BadMessage(f"The body is larger than {LARGEST_BODY} bytes.")
    if not body.strip():
        raise BadMessage("The body is empty.")
    value = _parse(_decode(body))
    _check_depth(value)
    if _RISKY_ESCAPE.search(body):
        _check_texts(value)
    return value


def _check_content_type(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadMessage(f"The content type is {media_type[:100] or 'missing'}, not application/json.")


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadMessage(f"The body is not UTF-8 (at byte {error.start}).") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_names,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_integer,
        )
    except RecursionError:
        raise BadMessage("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        reason = "ends too early" if is_cut else f"is not JSON: {error.msg}"
        raise BadMessage(f"The body {reason} (line {error.lineno}, column {error.colno}).") from None


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadMessage("The body gives the same name twice in one object.")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise BadMessage(f"The body holds {text}, which is no JSON number.")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadMessage("The body holds a number beyond every range.")
    return number


def _bounded_integer(text: str) -> int:
    number = int(text) if len(text) <= 20 else LARGEST_INTEGER + 1
    if not -LARGEST_INTEGER <= number <= LARGEST_INTEGER:
        raise BadMessage("The body holds a whole number beyond 64 bits.")
    return number


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST_NESTING):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return
    raise BadMessage(f"The body is nested more than {DEEPEST_NESTING} levels deep.")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name, child in value.items():
            _check_text(name)
            _check_texts(child)
    elif isinstance(value, list):
        for child in value:
            _check_texts(child)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise BadMessage("The body holds a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadMessage("The body holds half a character (a lone surrogate).")


# -- reduction


def reduce_fields(payload: Mapping[str, Any], fields: Fields, path: str = "") -> dict[str, Any]:
    """Returns the allow-listed fields of a message; everything else, customer data foremost, is dropped.

    Raises `BadMessage` where a kept field has another shape than declared.
    """
    return {
        name: _reduce(payload[name], nested, f"{path}{name}")
        for name, nested in fields.items()
        if name in payload
    }


def _reduce(value: Any, nested: Fields | None, path: str) -> Any:
    if value is None:
        return None
    if nested is None:
        return _scalar(value, path)
    if isinstance(value, list):
        return [_reduce(each, nested, path) for each in value]
    if isinstance(value, dict):
        return reduce_fields(value, nested, f"{path}.")
    raise BadMessage(f"{path} is not an object.")


def _scalar(value: Any, path: str) -> Any:
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, dict | list) for each in values):
        raise BadMessage(f"{path} is not a single value.")
    return value


# -- single values


def read_objects(payload: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns a list of objects; empty where it is absent or null. Raises `BadMessage`."""
    value = payload.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadMessage(f"{name} is not a list of objects.")
    return value


def read_id(payload: Mapping[str, Any], name: str) -> str:
    """Returns an id, which platforms write as a number or a text. Raises `BadMessage` where it is missing."""
    found = read_text(payload, name)
    if not found or len(found) > 200:
        raise BadMessage(f"{name} is missing or longer than 200 characters.")
    return found


def read_part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns an object within; empty where it is absent or null. Raises `BadMessage` for anything else."""
    value = payload.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise BadMessage(f"{name} is not an object.")


def read_text(payload: Mapping[str, Any], name: str) -> str:
    """Returns a text; empty where it is absent or null. Whole numbers are written out."""
    value = payload.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadMessage(f"{name} is not a text.")


def read_count(payload: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Returns a number of units, 0 to 1,000,000,000. Raises `BadMessage` for anything else.

    `default` stands for an absent or null field; without one it is required.
    """
    number = read_integer(payload, name, default)
    if number < 0:
        raise BadMessage(f"{name} is negative.")
    return number


def read_integer(payload: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Returns a whole number within ±1,000,000,000; also from a text of ASCII digits. Raises `BadMessage`."""
    value = payload.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadMessage(f"{name} is not a whole number.")
    if abs(value) > LARGEST_QUANTITY:
        raise BadMessage(f"{name} is beyond ±{LARGEST_QUANTITY}.")
    return value


def read_decimal(payload: Mapping[str, Any], name: str) -> Decimal | None:
    """Returns an amount of money as it is written; None where it is absent, null or empty."""
    text = str(payload[name]) if payload.get(name) not in (None, "") else ""
    return Decimal(text) if _DECIMAL_NUMBER.fullmatch(text) else None


def read_instant(payload: Mapping[str, Any], name: str) -> datetime:
    """Returns an ISO 8601 instant with its time zone. Raises `BadMessage`."""
    text = read_text(payload, name)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadMessage(f"{name} is not a time: {text[:40]!r}.") from None
    if instant.tzinfo is None:
        raise BadMessage(f"{name} has no time zone.")
    return instant
