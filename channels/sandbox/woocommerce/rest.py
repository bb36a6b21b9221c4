"""The manners of the WordPress REST API: errors, pages, filters by time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.woocommerce.documents import instant

LARGEST_PAGE: Final = 100
_DEFAULT_PAGE: Final = 10


class RestError(Exception):
    """An error as the API words it."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"code": code, "message": message, "data": {"status": status, **data}}

    def answer(self) -> Answer:
        return json_answer(self.status, self.document)


def invalid_id(status: int, what: str = "product") -> RestError:
    """What an unknown id is answered with: 404 when read, 400 when written."""
    return RestError(status, f"woocommerce_rest_{what}_invalid_id", "Invalid ID.")


def invalid_parameter(name: str, reason: str) -> RestError:
    return RestError(
        400, "rest_invalid_param", f"Invalid parameter(s): {name}", params={name: f"{name} {reason}"}
    )


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises `RestError`."""
    try:
        data = request.json()
    except ValueError:
        raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.") from None
    if not isinstance(data, dict):
        raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.")
    return data


def number_parameter(query: Mapping[str, str], name: str, default: int, *, largest: int | None = None) -> int:
    """Reads a positive number of the query; raises `RestError`."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise invalid_parameter(name, "is not of type integer.")
    if int(text) < 1 or (largest is not None and int(text) > largest):
        raise invalid_parameter(name, f"must be between 1 (inclusive) and {largest} (inclusive)")
    return int(text)


def changed_between(query: Mapping[str, str]) -> Callable[[float, float], bool]:
    """Returns a test of (created, modified) against the time filters of a query; raises `RestError`."""
    is_gmt = query.get("dates_are_gmt", "").lower() in ("true", "1")
    bounds: dict[str, float] = {}
    for name in ("after", "before", "modified_after", "modified_before"):
        if name in query:
            try:
                bounds[name] = instant(query[name], is_gmt=is_gmt)
            except ValueError:
                raise invalid_parameter(name, "Invalid date.") from None
    after, before = bounds.get("after", -1.0), bounds.get("before", float("inf"))
    modified_after = bounds.get("modified_after", -1.0)
    modified_before = bounds.get("modified_before", float("inf"))

    def holds(created_at: float, modified_at: float) -> bool:
        is_modified_then = modified_after < int(modified_at) < modified_before
        return is_modified_then and after < int(created_at) < before

    return holds


def modified_since(query: Mapping[str, str]) -> float:
    """The lower bound on the last change, for reading the book's log of changes from there."""
    if "modified_after" not in query:
        return 0.0
    is_gmt = query.get("dates_are_gmt", "").lower() in ("true", "1")
    try:
        return instant(query["modified_after"], is_gmt=is_gmt)
    except ValueError:
        raise invalid_parameter("modified_after", "Invalid date.") from None


def page(
    request: Request,
    base_url: str,
    found: Sequence[Any],
    id_of: Callable[[Any], int],
    show: Callable[[Any], Any],
) -> Answer:
    """Sorts by id, cuts the page, and says how many there are."""
    query = request.query
    per_page = number_parameter(query, "per_page", _DEFAULT_PAGE, largest=LARGEST_PAGE)
    number = number_parameter(query, "page", 1)
    if query.get("orderby", "date") not in ("date", "id", "include", "title", "slug", "modified"):
        raise invalid_parameter("orderby", "is not one of date, id, include, title, slug.")
    ordered = sorted(found, key=id_of, reverse=query.get("order", "desc") != "asc")
    start = int(query["offset"]) if query.get("offset", "").isdigit() else (number - 1) * per_page
    pages = -(-len(ordered) // per_page)
    headers = {"X-WP-Total": str(len(ordered)), "X-WP-TotalPages": str(pages)}
    if number < pages:
        following = urlencode({**query, "page": str(number + 1)})
        headers["Link"] = f'<{base_url}{request.path}?{following}>; rel="next"'
    names = query.get("_fields", "").split(",") if query.get("_fields") else None
    documents = [_reduced(show(each), names) for each in ordered[start : start + per_page]]
    return json_answer(200, documents, headers)


def _reduced(document: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    return document if names is None else {name: document[name] for name in names if name in document}
