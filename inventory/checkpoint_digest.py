"""A checkpoint as one digest: whoever computes it again later sees whether the past is still what it was."""

from typing import Final

from django.db import connection

from inventory.models import StockCheckpoint

#: Levels with version and quantities, then what reservations held; each by id, so that the same rows give the same text.
_DIGEST: Final = """
SELECT encode(sha256(
    sha256(convert_to(coalesce((
        SELECT string_agg(concat_ws(',', level_id, version, on_hand, reserved, unavailable), ';' ORDER BY level_id)
        FROM inventory_checkpointlevel WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
    ), ''), 'UTF8'))
    || sha256(convert_to(coalesce((
        SELECT string_agg(concat_ws(',', reservation_id, level_id, quantity), ';' ORDER BY reservation_id)
        FROM inventory_checkpointreservation WHERE merchant_id = %(merchant)s AND checkpoint_id = %(checkpoint)s
    ), ''), 'UTF8'))
), 'hex')
"""


def digest_of(checkpoint: StockCheckpoint) -> str:
    """Returns the SHA-256 of all levels and held reservations of a checkpoint, hexadecimal."""
    with connection.cursor() as cursor:
        cursor.execute(_DIGEST, {"merchant": checkpoint.merchant_id, "checkpoint": checkpoint.pk})
        (digest,) = cursor.fetchone()
    return str(digest)
