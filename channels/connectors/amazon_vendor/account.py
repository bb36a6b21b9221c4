"""What a vendor's settings say: the vendor code, the programmes it takes part in, its warehouses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from channels.connectors.amazon_vendor.identities import RETAIL_PLACE
from channels.connectors.base import PlatformLocation
from channels.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class VendorAccount:
    """A vendor code and what is done with it."""

    vendor_code: str
    takes_retail_orders: bool
    #: Warehouses of direct fulfilment: Amazon's id → a name; empty where the vendor does not take part.
    warehouses: Mapping[str, str]
    acknowledges_orders: bool
    #: How long an order that is short waits before it is answered; None: until people decide.
    patience: timedelta | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "VendorAccount":
        """Reads checked settings. Raises `Misconfigured`."""
        found = cls(
            str(settings["vendor_code"]).strip(),
            bool(settings["takes_retail_orders"]),
            _warehouses(str(settings["warehouses"])),
            bool(settings["acknowledges_orders"]),
            patience_of(settings),
        )
        if not found.takes_retail_orders and not found.warehouses:
            raise Misconfigured(
                "The account takes no retail orders and names no warehouse of direct fulfilment: "
                "switch one on, or enter the other."
            )
        return found

    def places(self) -> list[PlatformLocation]:
        """Returns the warehouses that are told numbers, and the place that Amazon's own orders are served from."""
        found = [PlatformLocation(identity, name) for identity, name in self.warehouses.items()]
        if self.takes_retail_orders:
            found.append(PlatformLocation(RETAIL_PLACE, "Retail purchase orders", is_sellable=False))
        return found


def patience_of(settings: Mapping[str, Any]) -> timedelta | None:
    """Returns how long an order that is short waits before it is answered; None: until people decide."""
    if not settings["rejects_shortages"]:
        return None
    return timedelta(hours=max(int(settings["shortage_hours"]), 0))


def _warehouses(text: str) -> dict[str, str]:
    """Reads `ABCD, EFGH=Our name for it`. Raises `Misconfigured`."""
    found: dict[str, str] = {}
    for each in text.replace(";", ",").split(","):
        identity, _, name = (part.strip() for part in each.partition("="))
        if not identity:
            continue
        if identity == RETAIL_PLACE or identity in found or "/" in identity:
            raise Misconfigured(f"{identity} cannot be the id of a warehouse, or is named twice.")
        found[identity] = name or identity
    return found
