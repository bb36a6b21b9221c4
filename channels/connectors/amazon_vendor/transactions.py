"""Transactions: Amazon takes a write in first, works on it, and says later whether it was done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.amazon_vendor.identities import DIRECT, RETAIL
from channels.connectors.messages import read_part, read_text
from channels.errors import OutcomeUnknown

_PATHS: Final = {
    RETAIL: ("/vendor/transactions/v1/transactions", "retail-transaction"),
    DIRECT: ("/vendor/directFulfillment/transactions/2021-12-28/transactions", "direct-transaction"),
}
_SUCCESS: Final = "Success"
_FAILURE: Final = "Failure"


@dataclass(frozen=True, slots=True)
class Transaction:
    """How far a transaction is."""

    is_done: bool
    has_failed: bool
    #: What is wrong, in Amazon's words; one text for each error.
    errors: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """All that is wrong with it."""
        return "; ".join(self.errors)[:1000] or "Amazon says no more than that it failed."


def taken(answer: Mapping[str, Any]) -> str:
    """Returns the id of the transaction that a write became. Raises `OutcomeUnknown`."""
    identity = read_text(read_part(answer, "payload") or answer, "transactionId")
    if not identity:
        raise OutcomeUnknown("Amazon took the write in, but named no transaction to follow.")
    return identity


def ask(api: SellingPartnerApi, programme: str, identity: str) -> Transaction:
    """Asks how far a transaction is; one whose status is not known is not done."""
    path, bucket = _PATHS[programme]
    body = api.read(f"{path}/{quote(identity, safe='')}", bucket=bucket)
    found = read_part(read_part(body, "payload") or body, "transactionStatus")
    status = read_text(found, "status")
    return Transaction(
        status in (_SUCCESS, _FAILURE), status == _FAILURE, tuple(_errors(found.get("errors")))
    )


def _errors(given: Any) -> list[str]:
    """Reads the errors: a list, or an object around one."""
    listed = given.get("errors") if isinstance(given, dict) else given
    return [
        " ".join(
            filter(None, (read_text(e, "message"), f"({read_text(e, 'code')})", read_text(e, "details")))
        )
        for e in (listed if isinstance(listed, list) else [])
        if isinstance(e, dict)
    ]
