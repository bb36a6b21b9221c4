"""How well the record fits what is found: 1 − Σ|variance| / Σ counted, by place."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection


@dataclass(frozen=True, slots=True)
class CountAccuracy:
    """What the counts of one place found, in base units."""

    location_id: int
    #: Lines counted, one for each count of a variant.
    lines: int
    counted: int
    #: Sum of the differences, up and down alike.
    variance: int

    @property
    def accuracy(self) -> float | None:
        """1 − Σ|variance| / Σ counted; below 0 where more was wrong than there was, None where nothing was found."""
        return accuracy_of(self.counted, self.variance)


def accuracy_of(counted: int, variance: int) -> float | None:
    """Returns 1 − variance / counted; None where nothing was counted."""
    return 1 - variance / counted if counted else None


#: A sheet says what was counted; of other counts it is what was on hand after them.
_ACCURACY: Final = """
SELECT s.location_id, count(*), sum(coalesce(line.counted_quantity, m.on_hand_after))::bigint,
       sum(abs(m.on_hand_delta))::bigint
FROM inventory_stockmovement m
JOIN inventory_stocklevel s ON s.id = m.level_id
LEFT JOIN inventory_countsheet sheet ON sheet.operation_id = m.operation_id
LEFT JOIN inventory_countsheetline line ON line.sheet_id = sheet.id AND line.variant_id = s.variant_id
WHERE m.kind = 'count' AND s.location_id = ANY(%s::bigint[]) AND s.merchant_id = %s
  AND m.recorded_at >= coalesce(%s::timestamptz, '-infinity')
GROUP BY s.location_id
"""


def count_accuracy(
    merchant_id: int, location_ids: Collection[int], *, since: datetime | None = None
) -> dict[int, CountAccuracy]:
    """Returns the accuracy of these places, by id, over all counts recorded since; a place never counted is left out."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCURACY, [sorted(location_ids), merchant_id, since])
        return {row[0]: CountAccuracy(*row) for row in cursor.fetchall()}
