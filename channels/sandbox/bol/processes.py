"""Process statuses: what bol accepts at first and does a little later."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.bol.rest import V10, body_of, moment, not_found, page_of, versioned, violation
from channels.sandbox.httpd import Answer, Request

if TYPE_CHECKING:
    from channels.sandbox.bol.shop import BolSandbox

MOST_QUERIES: Final = 1000


@dataclass(slots=True)
class Process:
    """One accepted call and what became of it."""

    id: str
    event_type: str
    description: str
    created_at: float
    entity_id: str = ""
    status: str = "PENDING"
    error: str = ""

    def document(self, base_url: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "processStatusId": self.id,
            "eventType": self.event_type,
            "description": self.description,
            "status": self.status,
            "createTimestamp": moment(self.created_at),
            "links": [
                {"rel": "self", "href": f"{base_url}/shared/process-status/{self.id}", "method": "GET"}
            ],
        }
        if self.entity_id:
            found["entityId"] = self.entity_id
        if self.error:
            found["errorMessage"] = self.error
        return found


class Processes:
    """The `/shared/process-status` resource."""

    def __init__(self, shop: "BolSandbox") -> None:
        self._shop = shop
        self._by_id: dict[str, Process] = {}

    def accept(
        self, event_type: str, description: str, do: Callable[[Process], str], *, entity_id: str = ""
    ) -> Answer:
        """Answers 202 and does the thing soon; `do` returns an error message, or nothing when it went well."""
        number = self._shop.records.next_number()
        process = Process(str(100_000_000 + number), event_type, description, time.time(), entity_id)
        self._by_id[process.id] = process

        def finish() -> None:
            with self._shop.records.lock:
                process.error = do(process)
                process.status = "FAILURE" if process.error else "SUCCESS"
            self._shop.subscriptions.send("PROCESS_STATUS", event_type, process.id)

        self._shop.later(self._shop.processing_seconds(), finish)
        return versioned(202, process.document(self._shop.base_url), V10)

    def read(self, process_id: str) -> Answer:
        process = self._by_id.get(process_id)
        if process is None:
            raise not_found(f"process status for id {process_id}")
        return versioned(200, process.document(self._shop.base_url), V10)

    def listing(self, request: Request) -> Answer:
        """The processes of an entity, by kind of event."""
        query = request.query
        for name in ("entity-id", "event-type"):
            if name not in query:
                raise violation(name, "is required")
        wanted = (query["entity-id"], query["event-type"])
        found = [each for each in self._by_id.values() if (each.entity_id, each.event_type) == wanted]
        return self._answer(list(page_of(request, found)))

    def bulk(self, request: Request) -> Answer:
        """Up to 1,000 processes by id; unknown ones are left out."""
        queries = body_of(request).get("processStatusQueries")
        if not isinstance(queries, list) or not 0 < len(queries) <= MOST_QUERIES:
            raise violation("processStatusQueries", f"size must be between 1 and {MOST_QUERIES}")
        ids = [str(each.get("processStatusId")) for each in queries]
        return self._answer([self._by_id[process_id] for process_id in ids if process_id in self._by_id])

    def _answer(self, found: list[Process]) -> Answer:
        documents = [process.document(self._shop.base_url) for process in found]
        return versioned(200, {"processStatuses": documents}, V10)
