"""What workers are woken for; it may be called at any time: what there is to do lies in rows."""

import time
from functools import partial
from typing import Final

from channels import (
    breaker,
    deliveries,
    fetching,
    heartbeats,
    mapping,
    matching,
    observations,
    polling,
    retention,
    retry_queue,
    subscriptions,
)
from channels.accounts import open_connector
from channels.breaker import BreakerState
from channels.errors import ConnectorError
from channels.models import Channel
from channels.models.error_log import ErrorJob
from channels.rehearsals import running
from channels.retry_queue import insist
from channels.rules import budgets, lifecycle, pins, velocity
from channels.survey import survey
from config.jobs import wake
from inventory import answers, changes, checkpoints, import_jobs
from inventory.backorders import break_missed
from inventory.models import Merchant
from inventory.reservations import expire

#: Seconds a worker stays with deliveries that were postponed for a moment, before it leaves them to the
#: sweep.
_PATIENCE: Final = 2.0
#: A task ends well before django-q's timeout; what is left wakes the next one.
_LONGEST_RUN: Final = 45.0
#: Deliveries taken before looking at the clock.
_AT_ONCE: Final = 500


def process_deliveries(orders_only: int = 0) -> int:
    """Processes all due deliveries, waits for those due in a moment, and judges observations.

    With `orders_only` notices of shelves and products are left to the next sweep.
    """
    started = time.monotonic()
    count = 0
    while time.monotonic() - started < _LONGEST_RUN:
        due = partial(deliveries.process_due, _AT_ONCE, orders_only=bool(orders_only))
        taken = insist("webhook messages", due)
        count += taken
        if not taken and not _wait_for_postponed():
            break
    else:
        wake("channels.tasks.process_deliveries")
    if count and not orders_only:
        observations.judge_open()
    return count


def _wait_for_postponed() -> bool:
    pause = deliveries.seconds_to_next_due()
    if pause is None or pause > _PATIENCE:
        return False
    time.sleep(max(pause, 0.01))
    return True


def fetch_hinted(channel_id: int = 0) -> int:
    """Fetches the orders that hints named, of one channel or (0) of all; returns how many calls were made."""
    waiting = {
        each: due for each, due in survey().items() if due.fetches and due.breaker is not BreakerState.OPEN
    }
    channel_ids = [channel_id] if channel_id else list(waiting)
    return sum(_fetch(each) for each in channel_ids)


def _fetch(channel_id: int) -> int:
    channel = Channel.objects.filter(pk=channel_id, is_active=True).first()
    if channel is None:
        return 0
    try:
        return fetching.fetch_due(channel, open_connector(channel))
    except ConnectorError as error:
        breaker.note_failure(channel_id, error, job=ErrorJob.FETCH)
    return 0


def apply_mapped(merchant_id: int = 0) -> int:
    """Maps listings by SKU and applies the lines that waited, of one merchant or (0) of all."""
    merchants = Merchant.objects.filter(pk=merchant_id) if merchant_id else Merchant.objects.all()
    ids = list(merchants.values_list("id", flat=True))
    return sum(insist(f"mapping of merchant {pk}", partial(_apply_mapped, pk)) for pk in ids)


def _apply_mapped(merchant_id: int) -> int:
    mapping.map_by_sku(merchant_id)
    return mapping.apply_waiting_lines(merchant_id)


def find_matches(merchant_id: int) -> int:
    """Looks for the variants that unmapped listings may be; returns how many have one."""
    return insist(f"matching of merchant {merchant_id}", partial(matching.find_matches, merchant_id))


def judge_observations() -> int:
    """Judges numbers that shops show and nothing has explained yet; returns how many got their verdict."""
    return insist("judging of observations", observations.judge_open)


def audit_subscriptions() -> int:
    """Checks and mends the webhook subscriptions of all channels; returns the number of problems left."""
    return subscriptions.audit_all()


def audit_channel(channel_id: int) -> int:
    """Checks and mends the webhook subscriptions of one channel; returns the number of problems left."""
    channel = Channel.objects.filter(pk=channel_id, is_active=True).first()
    return subscriptions.audit_soundly(channel) if channel else 0


def recheck_open_orders() -> int:
    """Has long open orders looked up; returns how many."""
    return polling.recheck_open_orders()


def forget_old() -> dict[str, int]:
    """Deletes old deliveries, observations, pushes, errors, changes and answers of the API; returns how many of each."""
    return {
        **retention.forget_old(),
        "answers": answers.forget_old(),
        "changes": changes.forget_old(),
    }


def expire_reservations() -> int:
    """Releases reservations whose time is over; returns how many."""
    return insist("expiry of reservations", expire)


def break_missed_promises() -> int:
    """Turns promises whose day is over into conflicts; returns on how many lines of purchase orders."""
    return insist("missed promises", break_missed)


def write_checkpoints() -> int:
    """Writes the checkpoints of the ledger that are missing; returns how many."""
    return checkpoints.write_due(seconds=_LONGEST_RUN)


def run_rehearsal(rehearsal_id: int) -> None:
    """Replays recorded events under the rules of a rehearsal."""
    running.run(rehearsal_id, seconds=running.JOB_SECONDS)


def follow_rules() -> int:
    """Ends pins and versions whose time is over, begins versions whose day has come; returns how many."""
    return insist("dates of rules and pins", _follow_rules)


def _follow_rules() -> int:
    budgets.release_yesterday()
    return pins.expire_pins() + lifecycle.follow_dates()


def measure_rules(merchant_id: int = 0) -> int:
    """Measures what rules go by, of one merchant or (0) of all; returns how many shelves that changed."""
    return insist("measures for rules", partial(velocity.measure_all, merchant_id))


def sweep() -> None:
    """Wakes whatever is due: a wake-up may have been lost."""
    heartbeats.beat(heartbeats.JOBS)
    polling.ensure_feeds()
    retry_queue.settle_quiet()
    wake("channels.tasks.process_deliveries")
    for channel_id, due in survey().items():
        if due.fetches:
            wake("channels.tasks.fetch_hinted", channel_id)
    wake("channels.tasks.apply_mapped")
    running.wake_open()
    import_jobs.wake_open()
