"""The transport against servers that misbehave: deadlines, caps, addresses, errors, logs."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from structlog.testing import capture_logs

from channels.connectors.base import LimitReading, RateLimit, Response
from channels.errors import (
    Misconfigured,
    OutcomeUnknown,
    Throttled,
    TransientError,
)
from channels.models import Channel, RateBucket
from channels.transport import HttpClient, check_url
from tests.channels.connectors.servers import answer, drip, server

LIMITS = {"calls": RateLimit(capacity=100, refill_per_second=10)}


def client(channel: Channel, deadline: float = 5.0, **options: Any) -> HttpClient:
    return HttpClient(channel.pk, limits=options.pop("limits", LIMITS), deadline=deadline, **options)


def always(data: bytes) -> Callable[[socket.socket], bytes]:
    return lambda connection: data


def test_an_answer_is_read_and_refusals_are_left_to_the_connector(channel: Channel) -> None:
    with server(always(answer("404 Not Found", b'{"code": "gone"}', X_Thing="1"))) as url:
        found = client(channel).request("GET", f"{url}/orders/1", bucket="calls")
    assert (found.status, found.headers["x-thing"], found.json()) == (404, "1", {"code": "gone"})


def test_every_call_spends_from_the_shared_bucket(channel: Channel) -> None:
    with server(always(answer("200 OK"))) as url:
        for _ in range(3):
            client(channel).request("GET", url, bucket="calls", cost=10)
    assert RateBucket.objects.get(channel=channel).tokens == pytest.approx(70, abs=5)


def test_without_tokens_nothing_is_sent(channel: Channel) -> None:
    calls: list[int] = []

    def count(connection: socket.socket) -> bytes:
        calls.append(1)
        return answer("200 OK")

    scarce = {"calls": RateLimit(capacity=1, refill_per_second=0.01)}
    with server(count) as url:
        client(channel, limits=scarce).request("GET", url, bucket="calls")
        with pytest.raises(Throttled) as caught:
            client(channel, limits=scarce).request("GET", url, bucket="calls")
    assert caught.value.retry_after == pytest.approx(100, rel=0.1)
    assert len(calls) == 1


def test_a_call_waits_for_its_turn_where_there_is_time(channel: Channel) -> None:
    scarce = {"calls": RateLimit(capacity=1, refill_per_second=10)}
    with server(always(answer("200 OK"))) as url:
        answers = [client(channel, limits=scarce).request("GET", url, bucket="calls") for _ in range(3)]
    assert [each.status for each in answers] == [200, 200, 200]


def test_a_call_needs_a_declared_limit(channel: Channel) -> None:
    with pytest.raises(KeyError):
        client(channel).request("GET", "http://127.0.0.1:9", bucket="other")


def test_what_an_answer_tells_about_limits_is_learnt(channel: Channel) -> None:
    def read(bucket: str, response: Response) -> LimitReading:
        return LimitReading(capacity=float(response.headers["X-Limit"]), refill_per_second=7, tokens=11)

    with server(always(answer("200 OK", X_Limit="40"))) as url:
        client(channel, read_limits=read).request("GET", url, bucket="calls")
    kept = RateBucket.objects.get(channel=channel)
    assert (kept.capacity, kept.refill_per_second, kept.tokens) == (40, 7, 11)


# -- deadlines


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_platform_that_never_answers_is_given_up_at_the_deadline(channel: Channel, method: str) -> None:
    def silent(connection: socket.socket) -> bytes:
        connection.recv(1)
        return b""

    started = time.monotonic()
    with server(silent) as url, pytest.raises(TransientError) as caught:
        client(channel, deadline=0.4).request(method, url, bucket="calls")
    assert isinstance(caught.value, OutcomeUnknown) == (method == "POST")
    assert "No complete answer" in str(caught.value)
    assert time.monotonic() - started < 4


def test_headers_that_drip_do_not_hold_a_call_beyond_its_deadline(channel: Channel) -> None:
    padded = answer("200 OK", b"{}", X_Pad="x" * 200)
    with (
        server(lambda connection: drip(connection, padded)) as url,
        pytest.raises(OutcomeUnknown, match="No complete answer"),
    ):
        client(channel, deadline=0.5).request("POST", url, bucket="calls")


def test_a_body_that_drips_does_not_either(channel: Channel) -> None:
    def script(connection: socket.socket) -> bytes:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        return drip(connection, b'{"a": "' + b"x" * 200 + b'"}')

    with server(script) as url, pytest.raises(OutcomeUnknown, match="No complete answer"):
        client(channel, deadline=0.5).request("POST", url, bucket="calls")


def test_calls_inside_a_budget_share_its_deadline(channel: Channel) -> None:
    def slow(connection: socket.socket) -> bytes:
        time.sleep(0.3)
        return answer("200 OK")

    spender = client(channel, deadline=30)
    with server(slow) as url, spender.budget(0.5):
        spender.request("GET", url, bucket="calls")
        with pytest.raises(TransientError, match="No complete answer"):
            spender.request("GET", url, bucket="calls")
        with pytest.raises(Throttled, match="nothing was sent"):
            spender.request("GET", url, bucket="calls")


# -- answers


def test_an_answer_beyond_the_cap_is_not_read_to_its_end(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.transport.LARGEST_ANSWER", 100_000)
    with server(always(answer("200 OK", b" " * 200_000))) as url:
        with pytest.raises(TransientError, match="larger than"):
            client(channel).request("GET", url, bucket="calls")
        with pytest.raises(OutcomeUnknown, match="larger than"):
            client(channel).request("POST", url, bucket="calls")


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>Maintenance</html>", "text/html"), (b"", "application/json"), (b"{", "text/x")],
)
def test_html_or_nothing_where_json_was_expected_is_worth_another_try(
    channel: Channel, body: bytes, kind: str
) -> None:
    with server(always(answer("200 OK", body, Content_Type=kind))) as url:
        with pytest.raises(TransientError) as caught:
            client(channel).request("GET", url, bucket="calls").json()
        assert not isinstance(caught.value, OutcomeUnknown)
        with pytest.raises(OutcomeUnknown):
            client(channel).request("POST", url, bucket="calls").json()


def test_a_byte_order_mark_before_json_is_passed_over(channel: Channel) -> None:
    with server(always(answer("200 OK", b'\xef\xbb\xbf{"a": 1}'))) as url:
        assert client(channel).request("GET", url, bucket="calls").json() == {"a": 1}


@pytest.mark.parametrize(
    "status", ["500 Oops", "502 Bad Gateway", "504 Gateway Timeout", "520 Odd", "408 Late"]
)
def test_a_server_error_leaves_a_write_in_doubt(channel: Channel, status: str) -> None:
    with server(always(answer(status, b"<html>"))) as url:
        with pytest.raises(OutcomeUnknown, match=status[:3]):
            client(channel).request("PUT", url, bucket="calls")
        with pytest.raises(TransientError) as caught:
            client(channel).request("POST", url, bucket="calls", writes=False)
        assert not isinstance(caught.value, OutcomeUnknown)


def test_a_platform_that_is_not_available_did_nothing(channel: Channel) -> None:
    unavailable = answer("503 Unavailable", Retry_After="7")
    with server(always(unavailable)) as url, pytest.raises(TransientError) as caught:
        client(channel).request("POST", url, bucket="calls")
    assert not isinstance(caught.value, OutcomeUnknown)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("99999999", 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("１２", None),
    ],
)
def test_a_throttled_call_says_how_long_to_wait_within_reason(
    channel: Channel, header: str, seconds: float | None
) -> None:
    data = answer("429 Too Many Requests", b"{}", Retry_After=header)
    with server(always(data)) as url, pytest.raises(Throttled) as caught:
        client(channel).request("POST", url, bucket="calls")
    assert caught.value.retry_after == seconds
    assert RateBucket.objects.get(channel=channel).blocked_until is not None


def test_a_throttled_call_holds_the_others_too(channel: Channel) -> None:
    with server(always(answer("429 Too Many Requests", Retry_After="60"))) as url:
        for _ in range(2):
            with pytest.raises(Throttled) as caught:
                client(channel).request("GET", url, bucket="calls")
    assert "nothing was sent" in str(caught.value)


def test_a_redirect_is_reported_and_not_followed(channel: Channel) -> None:
    elsewhere: list[int] = []

    def visited(connection: socket.socket) -> bytes:
        elsewhere.append(1)
        return answer("200 OK")

    with (
        server(visited) as other,
        server(always(answer("302 Found", Location=f"{other}/secret"))) as url,
        pytest.raises(Misconfigured, match=r"redirects to 127\.0\.0\.1"),
    ):
        client(channel).request("GET", url, bucket="calls")
    assert not elsewhere


def test_a_connection_lost_before_the_answer_leaves_a_write_in_doubt(channel: Channel) -> None:
    with server(always(b"")) as url:
        with pytest.raises(OutcomeUnknown, match="lost"):
            client(channel).request("POST", url, bucket="calls")
        with pytest.raises(TransientError) as caught:
            client(channel).request("GET", url, bucket="calls")
        assert not isinstance(caught.value, OutcomeUnknown)


def test_a_body_cut_short_is_no_answer(channel: Channel) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"
    with server(always(cut)) as url, pytest.raises(OutcomeUnknown, match="lost"):
        client(channel).request("POST", url, bucket="calls")


def test_a_write_that_found_nobody_did_not_arrive(channel: Channel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        client(channel).request("POST", f"http://127.0.0.1:{port}", bucket="calls")
    assert not isinstance(caught.value, OutcomeUnknown)


# -- addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com",
        "ftp://shop.example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:word@shop.example.com",
        "https://shop.example.com\\@127.0.0.1",
        "https://shop example.com",
        "https://shop.example.com:99999",
        "https://[::1",
        "//shop.example.com",
        "",
    ],
)
def test_addresses_that_are_no_plain_https_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        check_url(url)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]", "0.0.0.0", "100.64.0.1"]
)
def test_an_address_in_a_private_network_is_never_called(channel: Channel, host: str) -> None:
    with pytest.raises(Misconfigured, match="private network"):
        client(channel).request("GET", f"https://{host}/", bucket="calls")


def test_the_loopback_is_only_for_the_sandbox(channel: Channel, settings: LazySettings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = False
    with pytest.raises(Misconfigured, match="https"):
        client(channel).request("GET", "http://127.0.0.1:9/", bucket="calls")
    with pytest.raises(Misconfigured, match="private network"):
        client(channel).request("GET", "https://127.0.0.1:9/", bucket="calls")
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    with pytest.raises(Misconfigured, match="https"):
        client(channel).request("GET", "http://10.0.0.1:9/", bucket="calls")


# -- secrets


def test_neither_logs_nor_errors_hold_what_was_sent(channel: Channel) -> None:
    secret = "shpat_0123456789abcdef"
    sent: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {secret}"},
        "json": {"secret": secret},
        "params": {"key": secret},
    }
    with (
        server(always(answer("500 Oops", secret.encode()))) as url,
        capture_logs() as logs,
        pytest.raises(OutcomeUnknown) as caught,
    ):
        client(channel).request("POST", url, bucket="calls", **sent)
    assert secret not in str(caught.value)
    assert logs
    assert secret not in repr(logs)
    assert logs[0]["call"].startswith("POST 127.0.0.1")
    assert "seconds" in logs[0]


def test_a_header_that_cannot_be_sent_is_not_quoted(channel: Channel) -> None:
    with pytest.raises(Misconfigured) as caught:
        client(channel).request("GET", "http://127.0.0.1:9", bucket="calls", headers={"X-Token": "se\ncret"})
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None
