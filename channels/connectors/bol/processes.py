"""Follows what bol only takes in at first: 202 is not success."""

import time
from collections.abc import Mapping
from typing import Any, Final

from channels.connectors.bol.api import RetailerApi
from channels.connectors.messages import read_text
from channels.errors import OutcomeUnknown, Rejected

_BUCKET: Final = "process-status"
#: Seconds between looks; after the last one the process is left to a later look.
_WAITS: Final = (0.1, 0.3, 0.6, 1.0, 2.0)


def follow(api: RetailerApi, process: Any) -> str:
    """Looks until the process has ended; returns the id of one that is still open, empty when it succeeded.

    Raises `Rejected` when it failed, `OutcomeUnknown` when bol itself gave up on it.
    """
    found = _checked(process)
    for wait in _WAITS:
        if not _is_open(found):
            return ""
        time.sleep(wait)
        found = _look(api, read_text(found, "processStatusId"))
    return read_text(found, "processStatusId") if _is_open(found) else ""


def is_open(api: RetailerApi, process_id: str) -> bool:
    """Looks once. Raises as `follow` does when it did not succeed."""
    return _is_open(_look(api, process_id))


def _look(api: RetailerApi, process_id: str) -> Mapping[str, Any]:
    return _checked(api.read(f"/shared/process-status/{process_id}", bucket=_BUCKET).body)


def _checked(process: Any) -> Mapping[str, Any]:
    if not isinstance(process, dict) or not process.get("processStatusId"):
        raise OutcomeUnknown("bol took the request in, but named no process to follow.")
    return process


def _is_open(process: Mapping[str, Any]) -> bool:
    """Reads a process; a status that bol adds later counts as open."""
    status = read_text(process, "status")
    if status == "FAILURE":
        raise Rejected(read_text(process, "errorMessage") or "bol could not do it.")
    if status == "TIMEOUT":
        raise OutcomeUnknown("bol gave up on the request; it may have been done.")
    return status != "SUCCESS"
