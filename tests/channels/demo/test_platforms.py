"""The demo starts the platforms that it is asked for, each under its name and on a port of its own."""

from argparse import ArgumentTypeError

import pytest

from channels.connectors import CONNECTORS
from channels.demo.catalogue import LOCATIONS
from channels.demo.platforms import DEFAULT, PLATFORMS, platforms
from channels.demo.shops import shops
from channels.sandbox import SANDBOXES


def test_every_platform_has_a_connector_and_a_simulated_shop() -> None:
    assert set(PLATFORMS) <= set(CONNECTORS)
    assert set(PLATFORMS) <= set(SANDBOXES)
    assert {code for entry in PLATFORMS.values() for code in entry.places or ()} <= {
        code for code, *_ in LOCATIONS
    }


def test_without_a_choice_there_are_three_shops() -> None:
    assert [(shop.kind, shop.port) for shop in shops(9000)] == [
        ("shopify", 9000),
        ("woocommerce", 9001),
        ("bol", 9002),
    ]
    assert DEFAULT == ("shopify", "woocommerce", "bol")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("bol", ("bol",)),
        (" bol , shopify,bol", ("shopify", "bol")),
        ("all", tuple(PLATFORMS)),
        ("bol,all", tuple(PLATFORMS)),
    ],
)
def test_platforms_are_chosen_by_name(text: str, kinds: tuple[str, ...]) -> None:
    assert platforms(text) == kinds


def test_a_platform_keeps_its_port_whichever_others_are_started() -> None:
    assert {shop.kind: shop.port for shop in shops(9000, ["bol"])} == {"bol": 9002}
    assert len({shop.port for shop in shops(9000, list(PLATFORMS))}) == len(PLATFORMS)


@pytest.mark.parametrize("text", ["", " , ", "ebay", "bol,ebay", "Bol"])
def test_what_is_no_platform_is_refused_in_words(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="all"):
        platforms(text)
