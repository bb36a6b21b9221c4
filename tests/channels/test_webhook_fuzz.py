"""Whatever is posted to the webhook door of any platform: never an error 500, and nothing is stored that is not authentic."""

import copy
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels import accounts
from channels.deliveries import process_due
from channels.models import ChannelOrder, ShelfObservation, WebhookDelivery
from channels.models.inbound import DeliveryState
from tests.channels.recorded import Recorded, recorded
from tests.channels.senders import KINDS, Sender, sender_of
from tests.channels.shop import Shop, open_shop
from tests.properties import examples

pytestmark = [pytest.mark.django_db, pytest.mark.property]

#: Answers to what cannot be authentic; 200 is a ping, which is stored nowhere.
REFUSED = frozenset({200, 400, 401, 415})
#: Answers to what is authentic, whatever it says.
TAKEN = frozenset({200, 400})

#: What a header can hold on its way here.
header_texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=90
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "0", "-1", "9" * 30, "1e9", "NaN", "null", "2026-11-21T12:00:00", "0001-01-01T00:00:00Z", "\x00"]
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
content_types = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
    ]
)
usual = settings(
    max_examples=examples(48), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=KINDS)
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    accounts.forget_channels()
    with sender_of(request.param) as sender:
        yield sender


@pytest.fixture
def shop(sender: Sender) -> Shop:
    shop = open_shop({"MUG": 9})
    sender.connect(shop)
    return shop


@pytest.fixture
def messages(sender: Sender, shop: Shop) -> list[Recorded]:
    """Valid messages of the platform: as its simulated shop sends them, and as the tests write them."""
    return [Recorded(sender.topic, sender.message()), *recorded(sender.kind)]


def is_untouched() -> bool:
    return not any(model.objects.exists() for model in (WebhookDelivery, ChannelOrder, ShelfObservation))


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns where there is something in a message that can be spoilt."""
    inner: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(found for name, each in inner for found in paths_of(each, (*path, name)))]


def spoil(draw: Any, message: Any) -> Any:
    """Changes, drops or doubles some places of a message."""
    spoilt = copy.deepcopy(message)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(paths_of(spoilt)[1:] or [("a",)]))
        place = spoilt
        for step in way:
            place = place[step]
        match draw(st.sampled_from(["change", "drop", "double"])):
            case "drop":
                place.pop(last, None) if isinstance(place, dict) else place.pop(last)
            case "double" if isinstance(place, list):
                place.append(copy.deepcopy(place[last]))
            case _:
                place[last] = draw(values)
    return spoilt


@usual
@given(data=st.data())
def test_what_nobody_signed_is_refused_and_stored_nowhere(
    client: Client, sender: Sender, shop: Shop, data: st.DataObject
) -> None:
    genuine = json.dumps(sender.message()).encode()
    body = data.draw(
        st.one_of(st.binary(max_size=300), st.just(genuine), values.map(lambda v: json.dumps(v).encode()))
    )
    headers = {name: data.draw(header_texts) for name in sender.headers(genuine) if data.draw(st.booleans())}
    answer = client.post(
        f"/webhooks/{shop.channel.public_id}/",
        data=body,
        content_type=data.draw(content_types),
        headers=headers,
    )
    assert answer.status_code in REFUSED, answer.content
    assert is_untouched()


@usual
@given(data=st.data())
def test_one_bit_more_or_less_is_another_message(
    client: Client, sender: Sender, shop: Shop, data: st.DataObject
) -> None:
    body = bytearray(json.dumps(sender.message()).encode())
    signed = sender.headers(bytes(body))
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    answer = sender.send(client, shop.channel, bytes(body), **signed)
    assert answer.status_code == 401
    assert is_untouched()


@usual
@given(body=st.one_of(st.binary(max_size=300), values.map(lambda value: json.dumps(value).encode())))
def test_whatever_is_signed_is_taken_or_refused(
    client: Client, sender: Sender, shop: Shop, body: bytes
) -> None:
    answer = sender.send(client, shop.channel, body)
    # Without a body there is no content type.
    assert answer.status_code in (TAKEN if body else {*TAKEN, 415}), answer.content


@usual
@given(data=st.data())
def test_a_spoilt_message_is_taken_or_refused_and_what_is_taken_is_worked_off(
    client: Client, sender: Sender, shop: Shop, messages: list[Recorded], data: st.DataObject
) -> None:
    message = data.draw(st.sampled_from(messages))
    sender.topic = message.topic or sender.topic
    body = json.dumps(spoil(data.draw, message.body)).encode()
    answer = sender.send(client, shop.channel, body)
    # Whose a message of a queue is stands in the message itself.
    assert answer.status_code in TAKEN | ({401} if sender.is_queued else set()), answer.content
    process_due()
    # What the door takes a worker can read: only a person or a later fetch may find it wrong.
    assert not WebhookDelivery.objects.filter(state=DeliveryState.RECEIVED, attempts__gt=0).exists()


def test_the_simulated_shops_send_what_is_spoilt_here(sender: Sender, messages: list[Recorded]) -> None:
    if sender.is_queued:
        pytest.skip(f"{sender.kind} posts nothing: its messages are fetched.")
    assert len(messages) > 1


def test_signatures_are_compared_in_constant_time_with_every_live_secret(
    client: Client, sender: Sender, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of platforms that share a secret; those that sign with a key of their own are verified by `cryptography`."""
    if not hasattr(sender, "secret"):
        pytest.skip(f"{sender.kind} shares no secret.")
    shop.channel.credentials = {
        **shop.channel.credentials,
        "previous_webhook_secrets": [{"secret": "older", "valid_until": "2999-01-01T00:00:00+00:00"}],
    }
    shop.channel.save()
    compared: list[tuple[Any, Any]] = []
    genuine = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return genuine(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    accounts.forget_channels()
    assert sender.send(client, shop.channel, sender.message()).status_code == 200
    # Also where the first one fits: how long it takes says nothing about which.
    assert len(compared) >= 2
