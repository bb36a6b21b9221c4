"""What the pages of documents share: read-only rows, made and moved on by forms and actions that run operations."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin_panels import Panel, page_of
from config.admin_site import HistoryAdmin
from inventory.admin.movements import movement_row
from inventory.admin.references import linked
from inventory.errors import StockError
from inventory.models import StockMovement

#: Lines and operations that a page shows.
ROWS = 200


class DocumentAdmin(HistoryAdmin):
    """A document: never edited in place."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks moves stock."""
        return request.user.has_perm("inventory.move_stock")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: a document changes by what happens to it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: what was made stays to be seen."""
        return False

    def has_move_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks moves stock."""
        return request.user.has_perm("inventory.move_stock")

    def run_each(
        self, request: HttpRequest, documents: QuerySet[Any], what: str, act: Callable[[Any], object]
    ) -> None:
        """Runs an operation on each document, says what was refused and why, and reports."""
        done, skipped = 0, Counter[str]()
        for document in documents:
            try:
                act(document)
                done += 1
            except StockError as error:
                messages.error(request, f"{document}: {error}")
                skipped["refused"] += 1
        self.report(request, done, what, skipped)


def movements_panel(operation_ids: Collection[int]) -> Panel:
    """Shows the newest movements of a document's operations."""
    movements = StockMovement.objects.filter(operation_id__in=operation_ids).order_by("-id")
    found = list(
        movements.select_related("level__variant", "level__location", "operation", "reservation")[:ROWS]
    )
    references = linked(each.reservation.reference for each in found if each.reservation)
    rows = []
    for each in found:
        recorded, location, kind, reason, on_hand, reserved, unavailable, *_, operation = movement_row(
            each, references
        )
        sku = page_of(each.level.variant)
        rows.append((recorded, operation, sku, location, kind, reason, on_hand, reserved, unavailable))
    headers = (
        "Recorded", "Operation", "SKU", "Location", "What", "Why", "On hand", "Reserved", "Unavailable",
    )  # fmt: skip
    note = f"The newest {ROWS}." if len(rows) == ROWS else ""
    return Panel("What the ledger recorded", headers, rows, empty="Nothing has moved yet.", note=note)
