"""What we post is signed as Standard Webhooks has it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from channels.errors import BadSignature
from channels.standard_webhooks import check_signature, new_secret, signed_headers

SENT_AT = datetime(2021, 2, 25, 2, 15, 30, tzinfo=UTC)


def test_the_signature_is_over_id_time_stamp_and_body() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signed_headers([secret], "msg_1", SENT_AT, body)
    timestamp = str(int(SENT_AT.timestamp()))
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    expected = hmac.new(key, f"msg_1.{timestamp}.".encode() + body, hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(expected).decode()}",
    }


def test_the_vector_of_the_reference_libraries() -> None:
    """The one that the vendors' own test suites use: id, time stamp, body and secret with a known signature."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_replaced_both_sign() -> None:
    old, new = new_secret(), new_secret()
    both = signed_headers([new, old], "msg_1", SENT_AT, b"{}")["webhook-signature"].split(" ")
    assert both == [
        signed_headers([secret], "msg_1", SENT_AT, b"{}")["webhook-signature"] for secret in (new, old)
    ]


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert all(len(base64.b64decode(each.removeprefix("whsec_"))) == 32 for each in secrets)


def test_a_secret_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        signed_headers(["whsec_***"], "msg_1", SENT_AT, b"{}")


# -- what others signed

SECRET = new_secret()
SIGNED = signed_headers([SECRET], "msg_1", SENT_AT, b"{}")


def test_a_message_is_accepted_with_any_live_secret_and_beside_versions_that_nobody_knows() -> None:
    given = {**SIGNED, "webhook-signature": f"v1a,AAAA v1,AAAA {SIGNED['webhook-signature']}"}
    live = [new_secret(), "no secret at all", SECRET]
    assert check_signature(live, given, b"{}", now=SENT_AT + timedelta(minutes=4)) == "msg_1"


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, b"{} "),
        ({"webhook-id": "msg_2"}, b"{}"),
        ({"webhook-id": ""}, b"{}"),
        ({"webhook-timestamp": str(int(SENT_AT.timestamp()) + 1)}, b"{}"),
        ({"webhook-timestamp": "-1"}, b"{}"),
        ({"webhook-timestamp": "9" * 30}, b"{}"),
        ({"webhook-signature": ""}, b"{}"),
        ({"webhook-signature": SIGNED["webhook-signature"].replace("v1,", "v2,")}, b"{}"),
        ({"webhook-signature": "v1,\u00e9"}, b"{}"),
    ],
)
def test_a_message_that_was_changed_is_refused(changes: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        check_signature([SECRET], SIGNED | changes, body, now=SENT_AT)


def test_a_message_that_is_sent_again_later_is_refused() -> None:
    with pytest.raises(BadSignature, match="clocks"):
        check_signature([SECRET], SIGNED, b"{}", now=SENT_AT + timedelta(minutes=6))


def test_without_a_secret_nothing_is_authentic() -> None:
    with pytest.raises(BadSignature):
        check_signature([], SIGNED, b"{}", now=SENT_AT)
