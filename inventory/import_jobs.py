"""Files of stock that come through the API: kept in a row, taken in by a worker, each row once.

A wake-up may be lost and a worker may die: a job that waits, or whose progress stands still, is claimed again, and goes
on with the rows that are missing (`inventory.importing`).
"""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any, Final

from django.db.models import F, Q
from django.utils import timezone

from config.jobs import wake
from inventory.errors import InvalidStockRequest
from inventory.import_file import Defaults
from inventory.importing import Import, ImportReport, check_file, import_file
from inventory.models import ImportJob
from inventory.models.import_jobs import ImportState
from inventory.validation import check_text

TASK: Final = "inventory.tasks.run_import"
#: Characters of a file; larger ones go in parts, or by `import_stock`.
LONGEST_FILE: Final = 2_000_000
#: A job whose progress stands still for so long was left by a process that died.
_ABANDONED: Final = timedelta(seconds=150)
#: A file that ends so many workers is given up.
_ATTEMPTS: Final = 5


def ask(
    merchant_id: int,
    name: str,
    content: str,
    *,
    source: str = "import",
    is_dry_run: bool = False,
    by: str = "",
) -> ImportJob:
    """Keeps a file and has a worker take it in. Raises `InvalidStockRequest`."""
    check_text("name", name)
    if not content.strip():
        raise InvalidStockRequest("content", "the file is empty; its first line names the columns.")
    check_text("content", content, longest=LONGEST_FILE)
    job = ImportJob.objects.create(
        merchant_id=merchant_id,
        name=name,
        content=content,
        source=source,
        is_dry_run=is_dry_run,
        asked_by=by[:200],
    )
    wake(TASK, job.pk)
    return job


def wake_open() -> int:
    """Wakes jobs that wait, or that a process left behind, and gives up what no worker survives; returns how many."""
    ImportJob.objects.filter(_abandoned(), attempts__gte=_ATTEMPTS).update(
        state=ImportState.FAILED, content="", finished_at=timezone.now(), report=_GIVEN_UP
    )
    ids = list(ImportJob.objects.filter(_claimable()).order_by("pk").values_list("pk", flat=True)[:20])
    for pk in ids:
        wake(TASK, pk)
    return len(ids)


def _claimable() -> Q:
    return Q(state=ImportState.WAITING) | (_abandoned() & Q(attempts__lt=_ATTEMPTS))


def _abandoned() -> Q:
    return Q(state=ImportState.RUNNING, progress_at__lt=timezone.now() - _ABANDONED)


def run(job_id: int) -> bool:
    """Takes a waiting file in, to its end or to the first row that is refused; False where somebody else does or did."""
    now = timezone.now()
    claimed = ImportJob.objects.filter(_claimable(), pk=job_id).update(
        state=ImportState.RUNNING, started_at=now, progress_at=now, attempts=F("attempts") + 1
    )
    if not claimed:
        return False
    job = ImportJob.objects.get(pk=job_id)
    report = _take_in(job, _progress_of(job_id))
    ImportJob.objects.filter(pk=job_id).update(
        state=ImportState.DONE if report.is_ok else ImportState.FAILED,
        report=shown(report),
        content="",
        finished_at=timezone.now(),
    )
    return True


def _take_in(job: ImportJob, progress: Callable[[ImportReport], None]) -> ImportReport:
    """Checks the whole file first: nothing is written while a row is wrong by itself."""
    given = Import(job.merchant_id, Defaults(source=job.source), name=job.name, actor=job.asked_by)
    checked = check_file(given, StringIO(job.content), progress)
    if job.is_dry_run or not checked.is_ok:
        return checked
    return import_file(given, StringIO(job.content), progress)


def _progress_of(job_id: int) -> Callable[[ImportReport], None]:
    def note(report: ImportReport) -> None:
        ImportJob.objects.filter(pk=job_id).update(progress_at=timezone.now(), report=shown(report))

    return note


def shown(report: ImportReport) -> dict[str, Any]:
    """Returns what came of a file so far, as it is stored and told."""
    return {
        "rows": report.rows,
        "imported": report.imported,
        "known": report.known,
        "safety_stock_changed": report.safety_stock_changed,
        "short_units": report.short,
        "error_count": report.error_count,
        "errors": [
            {"line": error.line, "column": error.column, "message": error.message} for error in report.errors
        ],
    }


_GIVEN_UP: Final = {
    **shown(ImportReport()),
    "error_count": 1,
    "errors": [
        {"line": 0, "column": "file", "message": "no worker could take it in; see the log of the jobs."}
    ],
}
