"""No secret reaches the log, by whichever way it comes."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings

from config import logs

CANARY = "canary-5f1d9c"


@pytest.fixture
def json_logs(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Logging as a machine reads it, on the stderr that the test captures."""
    logs.configure({"format": "json", "level": "INFO"})
    yield
    logs.configure(settings.LOGGING)


def logged(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    line = capsys.readouterr().err.strip().splitlines()[-1]
    record: dict[str, object] = json.loads(line)
    return record


@pytest.mark.parametrize(
    "key",
    ["token", "access_token", "X-Shopify-Access-Token", "client_secret", "password", "Authorization",
     "credentials",
     "consumer_key", "api_key", "Cookie", "X-WC-Webhook-Signature"],
)  # fmt: skip
def test_what_a_key_calls_secret_is_not_logged(
    json_logs: None, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    structlog.get_logger("test").info("call", headers=[{key: CANARY}], **{key: CANARY})
    record = logged(capsys)
    assert CANARY not in json.dumps(record)
    assert record[key] == "[redacted]"


def test_numbers_about_tokens_are_logged(json_logs: None, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("test").info("bucket", tokens_left=7, keyed=True)
    record = logged(capsys)
    assert record.items() >= {"tokens_left": 7, "keyed": True, "level": "info", "event": "bucket"}.items()


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}0123",
        f"postgresql://me:{CANARY}@db/stock",
        "shpat_0123456789abcdef",
        "cs_0123456789abcdef0123",
    ],
)
def test_what_looks_like_a_secret_is_not_logged_in_a_message_of_any_library(
    json_logs: None, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    logging.getLogger("some.library").warning("sent %s", text)
    record = logged(capsys)
    assert "[redacted]" in str(record["event"])
    assert CANARY not in json.dumps(record)
    assert "0123456789abcdef" not in json.dumps(record)


def test_a_registered_secret_is_not_logged_even_in_a_traceback(
    json_logs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.register_secret("plain-looking-value")
    try:
        raise ValueError("refused plain-looking-value")
    except ValueError:
        structlog.get_logger("test").exception("call_failed")
    record = logged(capsys)
    assert "plain-looking-value" not in json.dumps(record)
    assert "ValueError: refused [redacted]" in str(record["exception"])


def test_a_registered_secret_is_cut_out_as_it_stands_in_an_address_too() -> None:
    logs.register_secret("a b/c+d=e")
    for form in ("a b/c+d=e", "a%20b%2Fc%2Bd%3De", "a+b%2Fc%2Bd%3De"):
        assert logs.redact_text(f"https://shop.example/?key={form}&x=1") == (
            "https://shop.example/?key=[redacted]&x=1"
        )


def test_of_two_secrets_of_which_one_holds_the_other_nothing_is_left() -> None:
    logs.register_secret("short-one")
    logs.register_secret("short-one-with-more")
    assert logs.redact_text("short-one-with-more") == "[redacted]"


def test_only_so_many_secrets_are_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_registered", {})
    monkeypatch.setattr(logs, "_MOST_REGISTERED", 3)
    for number in range(5):
        logs.register_secret(f"token-{number}")
    assert logs.redact_text("token-0 token-4") == "token-0 [redacted]"
    logs.register_secret("token-0")
    assert logs.redact_text("token-0 token-4") == "[redacted] [redacted]"
