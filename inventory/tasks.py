"""What workers are woken for; it may be called at any time: what there is to do lies in rows."""

from inventory import import_jobs


def run_import(job_id: int) -> bool:
    """Takes in the file of an import job."""
    return import_jobs.run(job_id)
