"""Computes the facts anew from the first movement and order, and says what that changed: nothing, unless something is broken.

Piece by piece: each is forgotten and counted again in one transaction, so that readers see either the old or the new one and a
process that dies leaves whole pieces. A rebuild that finds a difference has found a bug.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from analytics.facts.movements import count_movements_of, forget_movements
from analytics.facts.sales import count_orders
from analytics.locks import Task, alone

#: Variants whose ids are looked at in one transaction, and orders.
VARIANTS_AT_ONCE: Final = 2_000
ORDERS_AT_ONCE: Final = 5_000

#: What makes up a row, without its own id.
_COLUMNS: Final = {
    "analytics_stockfact": "variant_id, location_id, channel_id, recorded_on, received, shipped, returned, transferred, "
    "adjusted, held, released",
    "analytics_stockday": "variant_id, location_id, recorded_on, first_at, last_at, first_version, version, "
    "opening_available, on_hand, available, out_for",
    "analytics_salesfact": "channel_id, variant_id, currency, ordered_on, lines, orders, ordered, cancelled, shipped, "
    "returned, unpriced, amount, cancelled_amount, returned_amount",
}


@dataclass(slots=True)
class Rebuild:
    """What a rebuild did so far."""

    #: Pieces done, and how many there are.
    pieces: int = 0
    pieces_total: int = 0
    movements: int = 0
    orders: int = 0
    #: Rows that the facts had and should not have had, or the other way round.
    differing: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether the facts were what they should have been."""
        return self.differing == 0


Note = Callable[[Rebuild], None]


def rebuild(merchant_id: int, *, is_check: bool = False, note: Note = lambda _: None) -> Rebuild:
    """Counts all of a merchant's movements and orders anew; with `is_check` it only compares and leaves all as it was.

    What had not been counted yet is counted first: it is no difference.
    """
    variants, orders = _variant_spans(merchant_id), _channel_ids(merchant_id)
    done = Rebuild(pieces_total=len(variants) + len(orders))
    for span in variants:
        _rebuild_variants(merchant_id, span, done, is_check=is_check)
        note(done)
    for channel_id in orders:
        _rebuild_channel(merchant_id, channel_id, done, is_check=is_check)
        note(done)
    return done


def _rebuild_variants(merchant_id: int, span: tuple[int, int], done: Rebuild, *, is_check: bool) -> None:
    where = "merchant_id = %s AND variant_id BETWEEN %s AND %s"
    parameters = [merchant_id, *span]
    with alone(Task.COUNTING):
        _count_all(span)
        with (
            _compared("analytics_stockfact", where, parameters, done),
            _compared("analytics_stockday", where, parameters, done),
        ):
            forget_movements(merchant_id, span)
            done.movements += _count_all(span)
        transaction.set_rollback(is_check)
    done.pieces += 1


def _count_all(span: tuple[int, int]) -> int:
    total = 0
    while count := count_movements_of(span):
        total += count
    return total


def _rebuild_channel(merchant_id: int, channel_id: int, done: Rebuild, *, is_check: bool) -> None:
    with alone(Task.COUNTING):
        for order_ids in _order_ids(channel_id, noted=True):
            count_orders(order_ids)
        with _compared(
            "analytics_salesfact", "merchant_id = %s AND channel_id = %s", [merchant_id, channel_id], done
        ):
            _run(
                "DELETE FROM analytics_salesfact WHERE merchant_id = %s AND channel_id = %s",
                merchant_id,
                channel_id,
            )
            _run("DELETE FROM analytics_countedline WHERE channel_id = %s", channel_id)
            for order_ids in _order_ids(channel_id):
                count_orders(order_ids)
                done.orders += len(order_ids)
        transaction.set_rollback(is_check)
    done.pieces += 1


@contextmanager
def _compared(table: str, where: str, parameters: list[Any], done: Rebuild) -> Iterator[None]:
    """Counts the rows that are others after the block than before."""
    columns = _COLUMNS[table]
    rows = f"SELECT {columns} FROM {table} WHERE {where}"  # noqa: S608  # names of our own
    _run(f"CREATE TEMPORARY TABLE {table}_was AS {rows}", *parameters)
    yield
    was = f"SELECT {columns} FROM {table}_was"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (({was} EXCEPT {rows}) UNION ALL ({rows} EXCEPT {was})) other",  # noqa: S608
            [*parameters, *parameters],
        )
        done.differing += cursor.fetchone()[0]
    _run(f"DROP TABLE {table}_was")


def _run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)


def _variant_spans(merchant_id: int) -> list[tuple[int, int]]:
    """Returns first and last ids that divide the merchant's variants into pieces."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(id), max(id) FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS piece"
            " FROM inventory_variant WHERE merchant_id = %s) each GROUP BY piece ORDER BY 1",
            [VARIANTS_AT_ONCE, merchant_id],
        )
        return [(first, last) for first, last in cursor.fetchall()]


def _channel_ids(merchant_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM channels_channel WHERE merchant_id = %s ORDER BY id", [merchant_id])
        return [identity for (identity,) in cursor.fetchall()]


def _order_ids(channel_id: int, *, noted: bool = False) -> Iterator[list[int]]:
    """Yields the ids of a channel's orders in pieces; of those only that are noted as changed, if asked."""
    also = "AND id IN (SELECT order_id FROM analytics_orderchange)" if noted else ""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id FROM channels_channelorder WHERE channel_id = %s AND id > %s {also}"  # noqa: S608
                " ORDER BY id LIMIT %s",
                [channel_id, last, ORDERS_AT_ONCE],
            )
            ids = [identity for (identity,) in cursor.fetchall()]
        if not ids:
            return
        last = ids[-1]
        yield ids
