"""Webhook bodies are read one way only, and keep no customer data."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.connectors import messages
from channels.connectors.base import InboundRequest
from channels.errors import BadMessage, BadSignature


def request(body: bytes, content_type: str = "application/json") -> InboundRequest:
    return InboundRequest({"content-type": content_type}, body, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a": 1', "ends too early"),
        (b'{"a": "b', "ends too early"),
        (b"<html>", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b'{"a": 1, "a": 2}', "same name twice"),
        (b'{"a": {"b": 1, "b": 1}}', "same name twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e400}', "beyond every range"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": -9223372036854775808}', "64 bits"),
        (b'{"a": 1' + b"0" * 10_000 + b"}", "64 bits"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": "\x00"}', "not JSON"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"a": ["\\udc00\\ud800"]}', "half a character"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        ('{"a": １２}'.encode(), "not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested more than"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "' + b"x" * messages.LARGEST_BODY + b'"}', "larger than"),
    ],
)
def test_a_body_that_could_be_understood_in_two_ways_is_refused_with_its_reason(
    body: bytes, reason: str
) -> None:
    with pytest.raises(BadMessage, match=reason):
        messages.read_object(request(body))


@pytest.mark.parametrize("content_type", ["", "text/html", "application/x-www-form-urlencoded", "json"])
def test_a_body_of_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(BadMessage, match="content type"):
        messages.read_object(request(b"{}", content_type))


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.shop.v10+json"])
def test_json_is_read_whatever_its_media_type_is_called(content_type: str) -> None:
    assert messages.read_object(request('{"a": "é😀 \\ud83d\\ude00"}'.encode(), content_type)) == {
        "a": "é😀 😀"
    }


def test_ids_beyond_what_a_float_holds_are_read_exactly() -> None:
    assert messages.parse_json(b'{"id": 9100000000000000001}') == {"id": 9100000000000000001}


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_but_bad_message(body: bytes) -> None:
    with contextlib.suppress(BadMessage):
        messages.parse_json(body)


def test_reduction_keeps_only_the_fields_on_the_list() -> None:
    fields: messages.Fields = {"id": None, "lines": {"sku": None}, "address": {"country": None}, "tags": None}
    payload = {
        "id": 1,
        "email": "a@example.com",
        "lines": [{"sku": "A", "note": "for Ann"}, None],
        "address": {"country": "NL", "city": "Delft"},
        "tags": ["x"],
    }
    assert messages.reduce_fields(payload, fields) == {
        "id": 1,
        "lines": [{"sku": "A"}, None],
        "address": {"country": "NL"},
        "tags": ["x"],
    }


@pytest.mark.parametrize("payload", [{"id": {"email": "a"}}, {"id": [{"email": "a"}]}, {"lines": "text"}])
def test_a_kept_field_of_another_shape_is_refused_rather_than_stored(payload: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        messages.reduce_fields(payload, {"id": None, "lines": {"sku": None}})


def test_a_signature_made_with_any_live_secret_is_accepted() -> None:
    signature = messages.sign(b"body", "old")
    messages.check_hmac(b"body", signature, ["new", "old"])


@pytest.mark.parametrize(
    ("body", "signature", "secrets"),
    [
        (b"body!", messages.sign(b"body", "new"), ["new"]),
        (b"body", messages.sign(b"body", "older"), ["new"]),
        (b"body", "", ["new"]),
        (b"body", "é", ["new"]),
        (b"body", "\udc80", ["new"]),
        (b"body", messages.sign(b"body", ""), []),
    ],
)
def test_any_other_signature_is_refused(body: bytes, signature: str, secrets: list[str]) -> None:
    with pytest.raises(BadSignature):
        messages.check_hmac(body, signature, secrets)


@pytest.mark.parametrize(("value", "count"), [(3, 3), ("3", 3), (3.0, 3), (0, 0), (10**9, 10**9)])
def test_counts_are_read_from_whole_numbers(value: object, count: int) -> None:
    assert messages.read_count({"n": value}, "n") == count


@pytest.mark.parametrize(
    "value", [-1, "-1", "１２", "1.0", "1e3", " 1", "", True, 1.5, 1e308, 2**63, [], None]
)
def test_anything_else_is_no_count(value: object) -> None:
    with pytest.raises(BadMessage):
        messages.read_count({"n": value}, "n")


def test_instants_need_their_time_zone() -> None:
    assert messages.read_instant({"at": "2026-11-21T12:00:00+01:00"}, "at") == datetime(
        2026, 11, 21, 11, tzinfo=UTC
    )
    for text in ("2026-11-21T12:00:00", "soon", "", None, 5):
        with pytest.raises(BadMessage):
            messages.read_instant({"at": text}, "at")


def test_a_price_that_cannot_be_read_is_left_out() -> None:
    assert messages.read_decimal({"price": "9.95"}, "price") == Decimal("9.95")
    unreadable: list[object] = ["free", "1e9", "NaN", "９", None, "", {}]
    for value in unreadable:
        assert messages.read_decimal({"price": value}, "price") is None
