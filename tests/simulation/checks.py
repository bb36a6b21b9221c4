"""What must hold: at every moment, and once all is quiet."""

from itertools import pairwise
from typing import Any

from inventory.models.conflicts import ConflictCause
from tests.simulation.shops import Line, Order
from tests.simulation.statements import Row
from tests.simulation.world import VARIANTS, Violation, World


def check_always(world: World) -> None:
    """Checks what holds at every moment; raises `Violation`."""
    tables = world.database.tables
    for level in tables["inventory_stocklevel"]:
        if min(level["on_hand"], level["reserved"], _available(level)) < 0:
            raise Violation(f"a level holds {_shown(level)}")
    for level in tables["channels_listinglevel"]:
        if level["wanted"] < level["done"]:
            raise Violation(f"listing level {level['id']} is done with more than was wanted")
    for order in tables["channels_channelorder"]:
        _check_monotone(world, order)
    _check_owed(world)


def _check_owed(world: World) -> None:
    """What waits for goods has them as soon as there are any."""
    tables = world.database.tables
    for conflict in tables["inventory_conflict"]:
        if conflict["open_quantity"] <= 0 or conflict["cause"] == ConflictCause.BEYOND_RECORD:
            continue
        for level in tables["inventory_stocklevel"]:
            is_for_it = level["variant_id"] == conflict["variant_id"]
            if is_for_it and level["location_id"] in conflict["location_ids"] and _available(level) > 0:
                raise Violation(
                    f"{conflict['reference']} is owed units, and {_available(level)} are available"
                )


def _check_monotone(world: World, order: Row) -> None:
    key = order["state_key"]
    before = world.kept_keys.get(order["id"], [])
    if isinstance(key, list) and before and key < before:
        raise Violation(f"order {order['external_id']} went back from {before[0]} to {key[0]}")
    world.kept_keys[order["id"]] = key if isinstance(key, list) else before


def check_quiet(world: World) -> None:
    """Checks what holds once everything has arrived and nothing is due; raises `Violation`."""
    check_always(world)
    check_ledger(world)
    for shop in world.shops.values():
        for order in shop.orders.values():
            for line in order.lines:
                _check_line(world, order, line)
    for level in world.levels():
        _check_shelf(world, level)
    _check_holds(world)


def check_ledger(world: World) -> None:
    """Checks that the movements of each level add up to it, one version after the other and in time order."""
    tables = world.database.tables
    for level in tables["inventory_stocklevel"]:
        moves = [m for m in tables["inventory_stockmovement"] if m["level_id"] == level["id"]]
        if [m["version"] for m in moves] != list(range(1, level["version"] + 1)):
            raise Violation(f"versions of level {level['id']} have gaps")
        if any(a["recorded_at"] > b["recorded_at"] for a, b in pairwise(moves)):
            raise Violation(f"movements of level {level['id']} are not in time order")
        operations = {m["operation_id"]: m["recorded_at"] for m in moves}
        if len(set(operations.values())) < len(operations):
            raise Violation(f"two operations on level {level['id']} bear the same instant")
        for name in ("on_hand", "reserved", "unavailable"):
            if sum(m[f"{name}_delta"] for m in moves) != level[name]:
                raise Violation(f"the movements do not add up to {_shown(level)}")
    for sku, variant in VARIANTS.items():
        _check_units(world, sku, variant)


def _check_units(world: World, sku: str, variant: int) -> None:
    """No unit is lost: what came, less what left, is there; what left beyond the record is a conflict."""
    tables = world.database.tables
    there = sum(row["on_hand"] for row in tables["inventory_stocklevel"] if row["variant_id"] == variant)
    left = sum(
        row["applied_fulfilled"]
        for row in tables["channels_channelorderline"]
        if row["variant_id"] == variant
    )
    beyond = sum(
        row["open_quantity"]
        for row in tables["inventory_conflict"]
        if row["variant_id"] == variant and row["cause"] == ConflictCause.BEYOND_RECORD
    )
    if there != world.received[sku] - left + beyond:
        raise Violation(
            f"{there} {sku} are there: {world.received[sku]} came, {left} left, {beyond} beyond record"
        )


def _check_line(world: World, order: Order, line: Line) -> None:
    """The ledger knows of a line what the shop's own book says, and holds or owes all that is still to be shipped."""
    tables = world.database.tables
    name = f"{order.id}-{line.listing}"
    known = next((r for r in tables["channels_channelorderline"] if r["external_id"] == name), None)
    if known is None:
        raise Violation(f"{name} was never imported")
    applied = known["applied_demand"], known["applied_fulfilled"]
    if applied != (line.demand, line.fulfilled):
        raise Violation(f"{name}: the ledger has {applied}, the shop {line.demand, line.fulfilled}")
    reference = f"order-line:{known['id']}"
    held = _open(tables["inventory_reservation"], reference)
    owed = _open([c for c in tables["inventory_conflict"] if c["cause"] != "beyond_record"], reference)
    if held + owed != line.demand - line.fulfilled:
        raise Violation(f"{name}: {held} held and {owed} owed of {line.demand - line.fulfilled}")


def _check_holds(world: World) -> None:
    """No hold that was confirmed is lost, and none outlives its end."""
    tables = world.database.tables
    for row in tables["inventory_reservation"]:
        if (
            row["expires_at"] is not None
            and row["expires_at"] <= world.server_time()
            and row["open_quantity"]
        ):
            raise Violation(f"hold {row['id']} outlives its end")
        promised = world.confirmed.get(row["id"])
        if promised is not None:
            # A loss may have broken it; then its units are owed, or held anew.
            there = _open(tables["inventory_reservation"], row["reference"])
            there += _open(tables["inventory_conflict"], row["reference"])
            if there < promised:
                raise Violation(f"hold {row['id']} of {promised} has {there} left")


def _open(rows: list[Row], reference: str) -> int:
    return sum(row["open_quantity"] for row in rows if row["reference"] == reference)


def _check_shelf(world: World, level: Row) -> None:
    """A shop shows what it should, and knows nothing else of it."""
    shop, listing = world.shops[level["channel_id"]], world.listing(level)
    target, number = world.exposure(level["id"]).quantity, shop.numbers[listing]
    if number != target:
        raise Violation(f"{listing} shows {number}, and should show {target}")
    if level["dead_at"] is not None or level["wanted"] > level["done"] or level["lease_token"] is not None:
        raise Violation(f"{listing} is not done: {_shown(level)}")
    if shop.able.compare_and_set and level["expected"] != target:
        raise Violation(f"{listing} is expected to show {level['expected']}, not {target}")


def _available(level: Row) -> int:
    return int(level["on_hand"] - level["reserved"] - level["unavailable"])


def _shown(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "", 0, False)}
