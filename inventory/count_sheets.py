"""Stocktakes as sheets: printed, counted, reviewed, counted again where in doubt, approved in one operation.

**The variance of a line is judged against the level at the time of counting**, not when the sheet was printed or approved:
what was sold or received before the count is no variance, and what moves between the count and the approval stays as it
is. Approval adds the variance to what is on hand by then, less what has entered the record of it meanwhile: units of it that
left were found *beyond record* already, and another count may have been approved. A later count of the same goods stands.
Where less than nothing would be left, more has left since than the count had found: the rest is found beyond record, with a
conflict that asks for a recount. "At the time" means what the ledger knew then (recorded time).
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from inventory.documents import check_places_of_goods, lock_document
from inventory.errors import InvalidStockRequest
from inventory.holds import fill_owed, release_expired
from inventory.ledger import Context, Outcome, domain_errors, perform
from inventory.locking import LockedLevel, lock_levels
from inventory.models import CountSheet, CountSheetLine, StockLevel
from inventory.models.counts import CountSheetState
from inventory.posting import Posting
from inventory.validation import check_quantities, check_text
from inventory.variances import add_variances

#: Lines for variants that the sheet does not have yet, with what was on hand when it was printed.
_ADD_LINES: Final = """
INSERT INTO inventory_countsheetline (sheet_id, variant_id, expected_quantity, counted_by, is_recount_wanted)
SELECT sheet.id, given.id, coalesce(m.on_hand_after, 0), '', false
FROM inventory_countsheet sheet
CROSS JOIN unnest(%s::bigint[]) AS given(id)
LEFT JOIN inventory_stocklevel s
    ON s.merchant_id = sheet.merchant_id AND s.variant_id = given.id AND s.location_id = sheet.location_id
LEFT JOIN LATERAL (
    SELECT on_hand_after FROM inventory_stockmovement
    WHERE level_id = s.id AND recorded_at <= sheet.printed_at ORDER BY version DESC LIMIT 1
) m ON true
WHERE sheet.id = %s
ORDER BY given.id
ON CONFLICT (sheet_id, variant_id) DO NOTHING
"""

_ENTER: Final = """
UPDATE inventory_countsheetline line
SET previous_quantity = line.counted_quantity, counted_quantity = c.counted, counted_by = %s,
    counted_at = moment.at, level_quantity = coalesce(m.on_hand_after, 0), level_version = coalesce(m.version, 0),
    is_recount_wanted = false, entry_key = %s
FROM (SELECT coalesce(%s::timestamptz, clock_timestamp()) AS at) moment
CROSS JOIN unnest(%s::bigint[], %s::bigint[]) AS c(variant_id, counted)
LEFT JOIN inventory_stocklevel s
    ON s.merchant_id = %s AND s.variant_id = c.variant_id AND s.location_id = %s
LEFT JOIN LATERAL (
    SELECT on_hand_after, version FROM inventory_stockmovement
    WHERE level_id = s.id AND recorded_at <= moment.at ORDER BY version DESC LIMIT 1
) m ON true
WHERE line.sheet_id = %s AND line.variant_id = c.variant_id
  AND (%s::uuid IS NULL OR line.entry_key IS DISTINCT FROM %s::uuid)
"""


def print_sheet(
    merchant_id: int,
    location_id: int,
    variant_ids: Collection[int] | None = None,
    *,
    key: uuid.UUID,
    title: str = "",
    is_blind: bool = False,
) -> CountSheet:
    """Makes the sheet of a place, once for its key: of these variants, or of all that were ever kept there."""
    check_text("title", title)
    check_places_of_goods(merchant_id, variant_ids or (), location=[location_id])
    chosen = _kept_at(merchant_id, location_id) if variant_ids is None else sorted(set(variant_ids))
    if not chosen:
        raise InvalidStockRequest("variants", "nothing to count; choose variants, or a place that has some.")
    with domain_errors(), transaction.atomic():
        sheet, is_new = CountSheet.objects.get_or_create(
            merchant_id=merchant_id,
            key=key,
            defaults={
                "location_id": location_id,
                "title": title,
                "is_blind": is_blind,
                "printed_at": timezone.now(),
            },
        )
        if is_new:
            _execute(_ADD_LINES, [chosen, sheet.pk])
    return sheet


def enter_counts(
    merchant_id: int,
    sheet_id: int,
    counted: Mapping[int, int],
    *,
    counted_by: str = "",
    counted_at: datetime | None = None,
    key: uuid.UUID | None = None,
) -> None:
    """Enters what was counted of variants, all units on hand, reserved ones too; again, it replaces what was entered.

    `counted_at` None: now. Under the same `key` a line is entered once. A variant that the sheet does not name, but
    somebody found, is added to it.
    """
    check_quantities("counted", list(counted.values()), smallest=0)
    check_text("counted_by", counted_by)
    with domain_errors(), transaction.atomic():
        sheet = _lock_open(merchant_id, sheet_id)
        _check_moment(sheet, counted_at)
        check_places_of_goods(merchant_id, counted.keys(), location=[sheet.location_id])
        # Under the levels' locks nothing is half recorded, so that level and moment agree.
        lock_levels(merchant_id, counted.keys(), [sheet.location_id])
        _execute(_ADD_LINES, [sorted(counted), sheet_id])
        columns = [list(counted.keys()), list(counted.values())]
        place = [merchant_id, sheet.location_id, sheet_id]
        _execute(_ENTER, [counted_by, key, counted_at, *columns, *place, key, key])


def want_recount(merchant_id: int, sheet_id: int, variant_ids: Collection[int]) -> int:
    """Asks for another count of lines; the sheet is not approved before. Returns how many lines that concerns."""
    with domain_errors(), transaction.atomic():
        sheet = _lock_open(merchant_id, sheet_id)
        counted = sheet.lines.filter(variant_id__in=variant_ids, counted_quantity__isnull=False)
        return counted.update(is_recount_wanted=True)


def cancel_sheet(merchant_id: int, sheet_id: int) -> None:
    """Gives a sheet up; nothing of it reaches the ledger."""
    with domain_errors(), transaction.atomic():
        sheet = _lock_open(merchant_id, sheet_id)
        sheet.state = CountSheetState.CANCELLED
        sheet.save()


def approve_sheet(context: Context, sheet_id: int) -> Outcome:
    """Records all that was counted in one operation; lines that were not counted stay as they are.

    Refused while a line waits to be counted again. Units that are gone break the newest reservations into conflicts.
    """

    def work(posting: Posting) -> None:
        sheet = _lock_open(posting.merchant_id, sheet_id)
        lines = _counted(sheet)
        place = sheet.location_id
        variants = {line.variant_id for line in lines}
        posting.lock(variants, {place}, create={(variant, place) for variant in variants})
        release_expired(posting)
        levels = [posting.levels[line.variant_id, place] for line in lines]
        missing = _missing(levels, lines)
        add_variances(posting, list(zip(levels, missing, strict=True)), reference=sheet.number)
        fill_owed(posting)
        sheet.state, sheet.approved_at = CountSheetState.APPROVED, timezone.now()
        sheet.operation_id = posting.operation_id
        sheet.save()

    named = replace(context, document=context.document or f"CS-{sheet_id}")
    return perform(named, "count", ["sheet", sheet_id], work)


def _counted(sheet: CountSheet) -> list[CountSheetLine]:
    """Returns the lines that were counted. Refuses a sheet that nobody counted, or that waits for a recount."""
    lines = list(sheet.lines.filter(counted_quantity__isnull=False).select_related("variant").order_by("id"))
    if not lines:
        raise InvalidStockRequest("lines", "nothing has been counted yet; enter counts, or cancel the sheet.")
    if waiting := [line.variant.sku for line in lines if line.is_recount_wanted]:
        named = ", ".join(waiting[:5]) + (" …" if len(waiting) > 5 else "")
        raise InvalidStockRequest("lines", f"{len(waiting)} wait to be counted again ({named}).")
    return lines


#: What entered the record since each line was counted, and is no movement of goods: units found because they left, what
#: other counts corrected, and whether one of them was made later.
_CORRECTED_SINCE: Final = """
SELECT given.level_id,
       coalesce(sum(m.on_hand_delta) FILTER (WHERE m.reason = 'beyond_record'), 0)::bigint,
       coalesce(sum(m.on_hand_delta) FILTER (WHERE m.kind = 'count'), 0)::bigint,
       bool_or(m.kind = 'count' AND coalesce(other.counted_at > given.counted_at, true))
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS given (level_id, version, counted_at)
JOIN inventory_stocklevel s ON s.id = given.level_id
JOIN inventory_stockmovement m ON m.level_id = given.level_id AND m.version > given.version
    AND (m.kind = 'count' OR m.reason = 'beyond_record')
LEFT JOIN inventory_countsheet sheet ON sheet.operation_id = m.operation_id
LEFT JOIN inventory_countsheetline other ON other.sheet_id = sheet.id AND other.variant_id = s.variant_id
GROUP BY given.level_id
"""


def _missing(levels: Sequence[LockedLevel], lines: Sequence[CountSheetLine]) -> list[int]:
    """Returns what of each line's variance is not in the record yet; under the levels' locks, in one statement."""
    columns: list[Any] = [
        [level.id for level in levels],
        [line.level_version for line in lines],
        [line.counted_at for line in lines],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_CORRECTED_SINCE, columns)
        since = {row[0]: row[1:] for row in cursor.fetchall()}
    return [
        _still_missing(line.variance, *since.get(level.id, (0, 0, False)))
        for level, line in zip(levels, lines, strict=True)
    ]


def _still_missing(variance: int, beyond: int, corrected: int, is_superseded: bool) -> int:
    if is_superseded:
        return 0
    rest = variance - corrected
    return rest - min(max(rest, 0), max(beyond, 0))


def _lock_open(merchant_id: int, sheet_id: int) -> CountSheet:
    sheet = lock_document(CountSheet, merchant_id, sheet_id)
    if sheet.state != CountSheetState.OPEN:
        raise InvalidStockRequest(
            "state", f"{sheet} is {sheet.get_state_display().lower()}; print a new sheet."
        )
    return sheet


def _check_moment(sheet: CountSheet, counted_at: datetime | None) -> None:
    if counted_at is not None and not sheet.printed_at <= counted_at <= timezone.now():
        raise InvalidStockRequest("counted_at", "must lie between the printing of the sheet and now.")


def _kept_at(merchant_id: int, location_id: int) -> list[int]:
    levels = StockLevel.objects.filter(merchant_id=merchant_id, location_id=location_id)
    return list(levels.order_by("variant_id").values_list("variant_id", flat=True))


def _execute(sql: str, parameters: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
