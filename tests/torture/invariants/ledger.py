"""The ledger: never negative, gapless, replayable, and written once."""

from typing import Final

from django.db import DatabaseError, connection, transaction

from inventory.proof import prove
from tests.torture.invariants.evidence import Evidence, checksums_of_movements, rows, unlike
from tests.torture.verdict import Violation, violated

_NEGATIVE: Final = """
SELECT v.sku, s.on_hand, s.reserved, s.unavailable
FROM inventory_stocklevel s JOIN inventory_variant v ON v.id = s.variant_id
WHERE s.on_hand < 0 OR s.on_hand < s.reserved + s.unavailable
"""

_RESERVED: Final = """
SELECT v.sku, s.reserved, coalesce(held.units, 0)
FROM inventory_stocklevel s
JOIN inventory_variant v ON v.id = s.variant_id
LEFT JOIN (
    SELECT level_id, sum(open_quantity) AS units FROM inventory_reservation
    WHERE open_quantity > 0 GROUP BY level_id
) held ON held.level_id = s.id
WHERE s.reserved <> coalesce(held.units, 0)
"""

_GAPS: Final = """
SELECT v.sku, s.version, moved.count
FROM inventory_stocklevel s
JOIN inventory_variant v ON v.id = s.variant_id
JOIN (SELECT level_id, count(*) FROM inventory_stockmovement GROUP BY level_id) moved ON moved.level_id = s.id
WHERE s.version <> moved.count
"""

_RECEIVED: Final = """
SELECT v.sku, place.code, sum(m.on_hand_delta)::bigint
FROM inventory_stockmovement m
JOIN inventory_stockoperation o ON o.id = m.operation_id AND o.source = 'api' AND o.verb = 'receive'
JOIN inventory_stocklevel s ON s.id = m.level_id
JOIN inventory_variant v ON v.id = s.variant_id
JOIN inventory_location place ON place.id = s.location_id
WHERE o.merchant_id = %s
GROUP BY 1, 2
"""

_TAKEN: Final = """
SELECT reference, sum(quantity)::bigint FROM inventory_reservation
WHERE merchant_id = %s AND reference LIKE 'cart-%%' GROUP BY 1
"""

_TAMPERING: Final = (
    "UPDATE inventory_stockmovement SET on_hand_delta = on_hand_delta WHERE id = (SELECT min(id) FROM inventory_stockmovement)",
    "DELETE FROM inventory_stockmovement WHERE id = (SELECT max(id) FROM inventory_stockmovement)",
)


def available_is_never_negative() -> list[Violation]:
    """Looks for levels that promise more than they have."""
    return violated(
        "available-is-never-negative", "{count} levels promise more than they have", rows(_NEGATIVE)
    )


def levels_reserve_what_is_held() -> list[Violation]:
    """Compares what is reserved with what is held."""
    what = "{count} levels reserve other units than are held"
    return violated("levels-reserve-what-is-held", what, rows(_RESERVED))


def versions_are_gapless() -> list[Violation]:
    """Compares the versions of the levels with the number of their movements; of one instant, as all statements are."""
    return violated("ledger-replays", "{count} levels have other movements than versions", rows(_GAPS))


def replays(evidence: Evidence) -> list[Violation]:
    """Replays the whole ledger."""
    *_, proof = prove()
    return violated("ledger-replays", "{count} divergences", [str(each) for each in proof.divergences])


def is_append_only(evidence: Evidence) -> list[Violation]:
    """Tries to tamper, and compares what was written early with what is there now."""
    cases: list[str] = []
    for statement in _TAMPERING:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
                transaction.set_rollback(True)
        except DatabaseError:
            continue
        cases.append(f"not refused: {statement}")
    early = evidence.early_movements
    now = checksums_of_movements(list(early))
    cases += [
        f"movement {key} is not as it was in the middle of the run"
        for key in early
        if now.get(key) != early[key]
    ]
    return violated("ledger-is-append-only", "{count} times history could be changed", cases)


def done_once(evidence: Evidence) -> list[Violation]:
    """Compares what the API acknowledged with what the ledger has of it."""
    account = evidence.world.clerk.account
    merchant = evidence.world.merchant.pk
    received = {(sku, place): units for sku, place, units in rows(_RECEIVED, [merchant])}
    cases = unlike(received, account.received, "{key[0]} at {key[1]}: {ours} received, {theirs} acknowledged")
    taken = dict(rows(_TAKEN, [merchant]))
    for cart in account.carts:
        asked = sum(quantity for _, quantity in cart.lines)
        if taken.pop(cart.reference, 0) != asked:
            cases.append(f"{cart.reference}: asked for {asked}, held more or less")
    cases += [
        f"{reference}: held {units} and never acknowledged" for reference, units in sorted(taken.items())
    ]
    return violated("done-once-for-its-key", "{count} acts were done otherwise than once", cases)
