"""Transactions: a write is taken in first and done later, if ever; its status says so."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import not_found
from channels.sandbox.httpd import Answer, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_vendor.shop import AmazonVendorSandbox

PROCESSING: Final = "Processing"
SUCCESS: Final = "Success"
FAILURE: Final = "Failure"

#: Does the work, and returns what was wrong with it: (code, message).
Work = Callable[[], list[tuple[str, str]]]


@dataclass(slots=True)
class Transaction:
    """How far a write is."""

    programme: str
    status: str = PROCESSING
    errors: list[tuple[str, str]] = field(default_factory=list)


class Transactions:
    """All transactions of both programmes."""

    def __init__(self, shop: "AmazonVendorSandbox") -> None:
        self._shop = shop
        self.by_id: dict[str, Transaction] = {}

    def begin(self, programme: str, work: Work) -> str:
        """Takes a write in; returns the transaction's id."""
        identity = str(uuid.uuid4())
        made = self.by_id[identity] = Transaction(programme)
        if not self._shop.happens(self._shop.faults.accepted_is_lost_rate):
            self._shop.later(self._shop.processing_seconds(), lambda: self._end(made, work))
        return identity

    def _end(self, made: Transaction, work: Work) -> None:
        with self._shop.records.lock:
            if self._shop.happens(self._shop.faults.accepted_fails_rate):
                made.errors = [("InternalFailure", "The transaction could not be processed.")]
            else:
                made.errors = work()
            made.status = FAILURE if made.errors else SUCCESS

    def read(self, programme: str, identity: str) -> Answer:
        found = self.by_id.get(identity)
        if found is None or found.programme != programme:
            raise not_found("Transaction")
        errors: Any = [{"code": code, "message": message} for code, message in found.errors]
        status: dict[str, Any] = {"transactionId": identity, "status": found.status}
        if errors:
            status["errors"] = errors if programme == "retail" else {"errors": errors}
        body = {"transactionStatus": status}
        return json_answer(200, {"payload": body} if programme == "retail" else body)
