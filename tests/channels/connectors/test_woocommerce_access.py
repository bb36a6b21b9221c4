"""Who a WooCommerce shop lets in, and what its errors mean."""

from collections.abc import Iterator

import pytest

from channels.accounts import open_connector
from channels.connectors.woocommerce.api import NotThere, error_for
from channels.connectors.woocommerce.oauth import signed_parameters
from channels.errors import ConnectorError, Misconfigured, Rejected, Throttled, TransientError, Unauthorised
from channels.sandbox.profiles import INSTANT
from channels.sandbox.woocommerce import WooCommerceSandbox
from tests.channels.connectors.shops import connect, make_channel


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT) as shop:
        yield shop


def test_a_signature_is_the_one_of_the_standard() -> None:
    """Computed apart, with openssl, from the base string of RFC 5849 (3.4.1)."""
    signed = signed_parameters(
        "get",
        "http://shop.example/wp-json/wc/v3/products",
        {"search": "café & co", "include": "1,2"},
        ("ck_1", "cs_1"),
        timestamp=1_700_000_000,
        nonce="abc",
    )
    assert signed["oauth_signature"] == "e0LZDYkB5WeT86oYULmMjr/4t8J68grv9TFbitQW2+c="
    assert signed["search"] == "café & co"


def test_each_call_is_signed_anew() -> None:
    first, second = (signed_parameters("GET", "http://shop.example/", {}, ("ck", "cs")) for _ in range(2))
    assert first["oauth_nonce"] != second["oauth_nonce"]


@pytest.mark.django_db
def test_a_signed_call_is_let_in_with_any_parameters(sandbox: WooCommerceSandbox) -> None:
    connector = connect(sandbox)
    assert connector.check() == sandbox.name
    assert connector.read_levels([]) == []
    assert connector.fetch_orders("").orders == ()


@pytest.mark.django_db
def test_wrong_credentials_are_unauthorised(sandbox: WooCommerceSandbox) -> None:
    connector = connect(sandbox, consumer_secret="cs_wrong")
    with pytest.raises(Unauthorised):
        connector.check()


@pytest.mark.django_db
def test_an_address_without_woocommerce_is_misconfigured_and_deletes_no_order(
    sandbox: WooCommerceSandbox,
) -> None:
    channel = make_channel(sandbox)
    channel.settings = {"base_url": f"{sandbox.base_url}/blog"}
    channel.save()
    with pytest.raises(Misconfigured):
        open_connector(channel).fetch_order("7000001")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "woocommerce_rest_cannot_view", Unauthorised),
        (403, "woocommerce_rest_cannot_edit", Unauthorised),
        (404, "woocommerce_rest_shop_order_invalid_id", NotThere),
        (400, "woocommerce_rest_product_invalid_id", NotThere),
        (404, "rest_no_route", Misconfigured),
        (413, "woocommerce_rest_request_entity_too_large", Rejected),
        (400, "rest_invalid_param", Rejected),
        (429, "too_many", Throttled),
        (500, "internal_server_error", TransientError),
        (404, "", TransientError),
    ],
)
def test_an_error_of_the_shop_has_one_meaning(status: int, code: str, expected: type[ConnectorError]) -> None:
    assert type(error_for(status, code, "message")) is expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fault", ["html_rate", "error_in_200_rate", "throttle_rate", "error_rate", "drop_rate"]
)
def test_a_shop_that_answers_nonsense_fails_for_a_moment(sandbox: WooCommerceSandbox, fault: str) -> None:
    connector = connect(sandbox)
    sandbox.set_faults(**{fault: 1.0})
    with pytest.raises(TransientError):
        connector.fetch_orders("")
    with pytest.raises(TransientError):
        list(connector.fetch_listings())
    with pytest.raises(TransientError):
        connector.fetch_order("7000001")
