"""Runs: one comparison of a channel, or of a part of it, with what its shelves should show.

    orders first → levels into a staging table → one diff in SQL → second looks at what differs → discrepancies by policy

A run is a row that is asked for, leased by one process, and kept. A process that dies leaves a lease that expires; the run
begins anew.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels import breaker
from channels.accounts import open_connector
from channels.connectors import CONNECTORS, shown_kinds
from channels.connectors.base import Address, Connector, ShelfNumber
from channels.errors import ConnectorError
from channels.importing import import_channel
from channels.models import Channel, ListingLevel
from inventory.models import Tag
from reconciliation import discrepancies, looks
from reconciliation.catching_up import catch_up
from reconciliation.errors import LeaseLost, OrdersUnread, Refused
from reconciliation.findings import findings
from reconciliation.models import ReconciliationRun
from reconciliation.models.discrepancies import RunKind, RunState
from reconciliation.staging import Stage, staged

log = structlog.get_logger(__name__)

#: A lease is renewed at every piece and every look.
LEASE: Final = timedelta(minutes=5)
#: Seconds that one call may wait for its turn and its answer: nobody waits for it.
CALL_SECONDS: Final = 120.0

# A channel whose breaker is open is left alone. A channel is compared by one run at a time: the constraint says so.
_CLAIM: Final = """
UPDATE reconciliation_reconciliationrun run
SET state = 'running', lease_token = %(token)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    started_at = clock_timestamp(), error = ''
WHERE run.id = %(id)s
  AND run.state = 'asked'
  AND NOT EXISTS (
    SELECT FROM reconciliation_reconciliationrun other
    WHERE other.channel_id = run.channel_id AND other.state = 'running' AND other.id <> run.id
  )
"""

Report = Callable[[str], None]


def silent(line: str) -> None:
    """Reports to nobody."""


def ask(
    channel: Channel,
    kind: RunKind = RunKind.ON_DEMAND,
    *,
    tag: Tag | None = None,
    sku: str = "",
    asked_by: str = "",
    schedule_id: int | None = None,
) -> ReconciliationRun:
    """Asks for a run; one of the same scope that waits already is enough. Raises `Refused`."""
    if not channel.is_active or channel.kind not in CONNECTORS:
        raise Refused("channel", f"{channel} is switched off or of a retired kind. Switch it on first.")
    if channel.kind not in shown_kinds():
        raise Refused(
            "channel", f"{channel} keeps stock and shows no numbers. Authorities says where it differs."
        )
    if tag is not None and sku:
        raise Refused("sku", "A run has one scope: give a tag or a SKU.")
    if channel.in_shadow:
        raise Refused("channel", f"{channel} is in shadow mode: its report shows where it differs.")
    waiting = ReconciliationRun.objects.filter(
        channel=channel, kind=kind, tag=tag, sku=sku, state=RunState.ASKED
    )
    return waiting.first() or ReconciliationRun.objects.create(
        channel=channel,
        kind=kind,
        tag=tag,
        sku=sku,
        asked_by=asked_by[:200],
        asked_at=timezone.now(),
        schedule_id=schedule_id,
    )


def open_runs() -> QuerySet[ReconciliationRun]:
    """Returns runs that wait for a process, of channels that work, oldest first."""
    open_until = "channel__health__breaker_open_until"
    works = Q(**{f"{open_until}__isnull": True}) | Q(**{f"{open_until}__lte": timezone.now()})
    asked = ReconciliationRun.objects.filter(
        works, state=RunState.ASKED, channel__is_active=True, channel__in_shadow=False
    )
    return asked.order_by("id")


def release_abandoned() -> int:
    """Has runs whose process died begin anew; returns how many."""
    abandoned = ReconciliationRun.objects.filter(state=RunState.RUNNING, leased_until__lt=timezone.now())
    return abandoned.update(state=RunState.ASKED, lease_token=None, leased_until=None)


def perform(run_id: int, *, report: Report = silent) -> ReconciliationRun | None:
    """Runs what was asked for; returns it with its figures, None where somebody else has it or the channel is busy.

    A platform that fails is noted on the run and on the breaker, and not raised.
    """
    release_abandoned()
    if not _claim(run_id, uuid.uuid4()):
        return None
    run = ReconciliationRun.objects.select_related("channel", "tag").get(pk=run_id)
    try:
        connector = open_connector(run.channel, deadline=CALL_SECONDS, is_background=True)
        _Comparison(run, connector, report).make()
    except LeaseLost:
        log.info("reconciliation_lease_lost", run=run_id)
        return None
    except (ConnectorError, OrdersUnread) as error:
        if isinstance(error, ConnectorError):
            breaker.note_failure(run.channel_id, error)
        run.state, run.error = RunState.FAILED, str(error)[:2000]
    except BaseException:
        _leased(run).update(leased_until=timezone.now())
        raise
    else:
        run.state = RunState.DONE
    _finish(run)
    return run


def _claim(run_id: int, token: uuid.UUID) -> bool:
    parameters: dict[str, Any] = {"id": run_id, "token": token, "seconds": LEASE.total_seconds()}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_CLAIM, parameters)
            return bool(cursor.rowcount)
    except IntegrityError:
        return False  # another run of the channel was claimed in the same moment


def _leased(run: ReconciliationRun) -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.filter(pk=run.pk, lease_token=run.lease_token)


def _finish(run: ReconciliationRun) -> None:
    run.finished_at = timezone.now()
    figures = ("read", "compared", "moving", "drifted", "corrected", "flagged", "missing", "closed")
    values: dict[str, Any] = {name: getattr(run, name) for name in figures}
    _leased(run).update(
        **values,
        state=run.state,
        error=run.error,
        finished_at=run.finished_at,
        lease_token=None,
        leased_until=None,
    )


class _Comparison:
    """One run under way."""

    def __init__(self, run: ReconciliationRun, connector: Connector, report: Report) -> None:
        self._run = run
        self._channel = run.channel
        self._connector = connector
        self._report = report

    def make(self) -> None:
        """Reads, compares, looks again, records."""
        run = self._run
        run.read = 0
        if run.kind == RunKind.FULL:
            self._report("Reading the listings.")
            import_channel(self._channel, self._connector)
            self._still_ours()
        self._report("Reading the orders.")
        catch_up(self._channel, self._connector, timezone.now(), still_ours=self._still_ours)
        with staged(run.channel_id, run.pk) as stage:
            began = timezone.now()
            for read in stage.fill(self._shelves()):
                run.read = read
                self._still_ours()
                self._report(f"{read:,} shelves read.")
            self._compare(stage)
            run.closed = discrepancies.close_right(stage.right_again(), began)

    def _compare(self, stage: Stage) -> None:
        run, diff = self._run, stage.compare()
        run.read, run.compared, run.moving = stage.read, diff.compared, diff.moving
        if run.kind == RunKind.FULL:
            run.missing = stage.count_missing()
        if not diff.suspects:
            return
        self._report(f"{diff.differing:,} of {diff.compared:,} differ; looking again.")
        certain, unsettled = looks.confirm(
            self._channel, self._connector, diff.suspects, still_ours=self._still_ours
        )
        run.moving += unsettled
        run.compared -= unsettled
        found = findings(certain)
        recorded = discrepancies.take_up(found, run_id=run.pk)
        run.drifted = len(found) + diff.differing - len(diff.suspects)
        run.corrected, run.flagged = recorded.correcting, recorded.flagged

    def _shelves(self) -> Iterable[ShelfNumber]:
        """Returns the numbers of the shelves in scope: of the whole channel in one stream, else of each by name."""
        run = self._run
        if run.sku or run.tag_id:
            return _named(self._connector, run)
        return self._connector.fetch_levels()

    def _still_ours(self) -> None:
        """Renews the lease, and notes how far the run is. Raises `LeaseLost`."""
        if not _leased(self._run).update(leased_until=timezone.now() + LEASE, read=self._run.read):
            raise LeaseLost


def _named(connector: Connector, run: ReconciliationRun) -> Iterator[ShelfNumber]:
    levels = ListingLevel.objects.filter(
        channel=run.channel_id, listing__variant__isnull=False, listing__is_active=True
    )
    if run.sku:
        levels = levels.filter(listing__variant__sku=run.sku)
    if run.tag_id:
        levels = levels.filter(listing__variant__taggings__tag=run.tag_id)
    rows = levels.order_by("id").values_list(
        "id",
        "listing__external_id",
        "listing__parent_external_id",
        "channel_location__external_id",
        "listing__data",
    )
    addresses = (Address(*row) for row in rows.iterator(chunk_size=1000))
    while batch := list(islice(addresses, connector.capabilities.push_batch_size)):
        yield from connector.read_levels(batch)
