"""The platforms we speak to: one package each, and one line here."""

from collections.abc import Mapping
from typing import Final

from channels.connectors.amazon_seller import AmazonSellerConnector
from channels.connectors.amazon_vendor import AmazonVendorConnector
from channels.connectors.base import Connector
from channels.connectors.bol import BolConnector
from channels.connectors.picqer import PicqerConnector
from channels.connectors.shopify import ShopifyConnector
from channels.connectors.square import SquareConnector
from channels.connectors.wholesale import WholesaleConnector
from channels.connectors.woocommerce import WooCommerceConnector
from channels.errors import Misconfigured

#: Every connector by its kind. A channel of a kind that was retired stays readable, but is not spoken to.
CONNECTORS: Final[Mapping[str, type[Connector]]] = {
    "shopify": ShopifyConnector,
    "woocommerce": WooCommerceConnector,
    "bol": BolConnector,
    "square": SquareConnector,
    "wholesale": WholesaleConnector,
    "amazon_seller": AmazonSellerConnector,
    "amazon_vendor": AmazonVendorConnector,
    "picqer": PicqerConnector,
}


def shown_kinds() -> list[str]:
    """Returns the kinds of channels that show numbers to customers; the others keep stock, and are told none."""
    return [kind for kind, connector in CONNECTORS.items() if not connector.capabilities.keeps_stock]


def connector_class(kind: str) -> type[Connector]:
    """Returns the connector of a kind. Raises `Misconfigured` for kinds that are retired or unknown."""
    try:
        return CONNECTORS[kind]
    except KeyError:
        raise Misconfigured(f"There is no connector for channels of the kind {kind!r} (any more).") from None
