"""How each channel is: reached, allowed in, read, told, within its limits.

Every check takes the facts of one channel and returns what it found; those that make no sense for it return None. The
thresholds stand here, in seconds and counts, each with its reason.
"""

from collections.abc import Callable
from typing import Any, Final

from channels.breaker import THRESHOLD
from channels.feeds import poll_interval
from channels.models import Channel
from config.admin_panels import duration, list_of
from reconciliation.checks.channel_facts import ERRORS_WITHIN, ChannelFacts
from reconciliation.checks.results import Result
from reconciliation.models import Severity

#: Without any success for so long, a channel that is down is more than a blip.
DOWN_IS_CRITICAL: Final = 600.0
#: Polls that may be missed before somebody hears of it, and the least time that they take.
POLLS_MISSED: Final = 3
SHORTEST_SILENCE_OF_POLLS: Final = 180.0
#: A queue that is older than this does not keep up; older than the second, customers buy what is not there.
QUEUE_IS_LATE: Final = 60.0
QUEUE_IS_CRITICAL: Final = 300.0
#: Headroom of a limit under which it counts as used up.
NO_HEADROOM: Final = 0.1
#: Seconds for which a platform may send us away before it is worth a word.
WORTH_A_WORD: Final = 30.0
#: Age of the outbound queue from which a used-up limit is what holds it up.
HELD_UP: Final = 30.0
#: Failures of a quarter of an hour that are worth a look, and their share of all calls.
FEWEST_ERRORS: Final = 5
ERROR_SHARE: Final = 0.05
#: The audit runs every hour; twice missed is a fault.
AUDIT_IS_LATE: Final = 3 * 3600.0
#: Days before its credentials end on which somebody is told anew, and how bad it is then.
EXPIRY_IS_NEAR: Final = {1: Severity.CRITICAL, 7: Severity.WARNING, 30: Severity.WARNING}
#: A token that ended so long ago, while the channel is read, could not be renewed.
TOKEN_IS_DEAD: Final = 900.0

_REFUSED: Final = frozenset({"unauthorised", "misconfigured"})
#: Failures that are no word about the connection.
_HARMLESS: Final = frozenset({"throttled", "bad_signature", "bad_message"})


def _result(facts: ChannelFacts, kind: str, what: str, says: str, **rest: Any) -> Result:
    return Result(
        kind=kind,
        thing=f"{facts.name}: {what}",
        says=says,
        merchant_id=facts.merchant_id,
        channel_id=facts.channel_id,
        **{"link": facts.page, **rest},
    )


def connector(facts: ChannelFacts) -> Result:
    """Whether a connector speaks for the channel at all."""
    if facts.capabilities is not None:
        return _result(facts, "no_connector", "connector", "there is one")
    return _result(
        facts,
        "no_connector",
        "connector",
        f"none speaks for channels of the kind {facts.kind} any more",
        is_ok=False,
        remedy="Switch the channel off, or run a version of OneCount that has the connector.",
        severity=Severity.CRITICAL,
    )


def connection(facts: ChannelFacts) -> Result:
    """Whether the platform is reached: its breaker, and what failed since it last worked."""
    was_down = facts.recent_failures >= THRESHOLD and facts.recent_failures > facts.recent_successes
    if not facts.is_down and not was_down:
        worked = duration(facts.seconds_since(facts.last_success_at)) if facts.last_success_at else None
        says = f"worked {worked} ago" if worked else "not contacted yet"
        return _result(facts, "channel_down", "connection", says)
    silent = facts.seconds_since(facts.last_success_at or facts.created_at)
    return _result(
        facts,
        "channel_down",
        "connection",
        f"stopped after {facts.consecutive_failures} failures in a row: {facts.breaker_reason[:200]}"
        if facts.is_down
        else f"{facts.recent_failures} calls in a minute and a half found no working platform: {facts.last_error[:200]}",
        is_ok=False,
        remedy=(
            "Calls are tried again by themselves, and numbers are told once the platform answers. Press Test connection "
            "on the channel's page; where it says that the platform is down, look at its status page, and pause sales "
            "there if it lasts."
        ),
        severity=Severity.CRITICAL if silent > DOWN_IS_CRITICAL else Severity.WARNING,
        evidence={"failures_in_a_row": facts.consecutive_failures, "by_code_in_15_minutes": facts.errors},
    )


def access(facts: ChannelFacts) -> Result:
    """Whether the platform lets us in: refused credentials, and tokens that could not be renewed."""
    if facts.last_code in _REFUSED:
        return _result(
            facts,
            "access_refused",
            "access",
            f"refused: {facts.last_error[:200]}",
            is_ok=False,
            remedy="Enter new credentials on the channel's page, then press Test connection and Audit subscriptions.",
            severity=Severity.CRITICAL,
        )
    ended = facts.seconds_since(facts.token_expires_at)
    if ended > TOKEN_IS_DEAD and facts.polled_at and facts.seconds_since(facts.polled_at) > TOKEN_IS_DEAD:
        return _result(
            facts,
            "access_refused",
            "access",
            f"the access token ended {duration(ended)} ago and was not renewed",
            is_ok=False,
            remedy="Press Test connection on the channel's page: it asks for a new token and says what is wrong.",
        )
    says = f"token valid for {duration(-_seconds_ago(facts))}" if _has_live_token(facts) else "not refused"
    return _result(facts, "access_refused", "access", says)


def _seconds_ago(facts: ChannelFacts) -> float:
    return (facts.now - facts.token_expires_at).total_seconds() if facts.token_expires_at else 0.0


def _has_live_token(facts: ChannelFacts) -> bool:
    return facts.token_expires_at is not None and facts.token_expires_at > facts.now


def expiry(facts: ChannelFacts) -> Result | None:
    """Whether its credentials end soon: each of the last steps is an alert of its own, so that people hear of it again."""
    ends_on = facts.credentials_expire_on
    if ends_on is None:
        return None
    days = (ends_on - facts.now.date()).days
    step = next((step for step in EXPIRY_IS_NEAR if days <= step), None)
    if step is None:
        return _result(facts, "access_expires", "credentials", f"valid until {ends_on}")
    if days > 0:
        says, subject = f"end in {days} day{'s' if days > 1 else ''}, on {ends_on}", f"within {step} days"
    else:
        says, subject = f"ended on {ends_on}", "ended"
    return _result(
        facts,
        "access_expires",
        "credentials",
        says,
        is_ok=False,
        subject=subject,
        remedy=(
            "Make new credentials at the platform, enter them on the channel's page together with the day on which they "
            "end, then press Test connection and Audit subscriptions."
        ),
        severity=EXPIRY_IS_NEAR[step] if days > 0 else Severity.CRITICAL,
        evidence={"ends_on": f"{ends_on}", "days": days},
        escalates=False,
    )


def polls(facts: ChannelFacts) -> Result | None:
    """Whether its orders are read as often as they should be."""
    if facts.capabilities is None:
        return None
    every = poll_interval(Channel(kind=facts.kind, poll_interval=facts.poll_interval)).total_seconds()
    silent = facts.seconds_since(facts.polled_at or facts.created_at)
    if silent <= max(POLLS_MISSED * every, SHORTEST_SILENCE_OF_POLLS):
        says = f"read {duration(silent)} ago, every {duration(every)}" if facts.polled_at else "not read yet"
        return _result(facts, "polls_missed", "polls", says)
    when = f"for {duration(silent)}" if facts.polled_at else f"since it was added {duration(silent)} ago"
    return _result(
        facts,
        "polls_missed",
        "polls",
        f"orders have not been read {when}, instead of every {duration(every)}"
        + (f": {facts.poll_error[:200]}" if facts.poll_failures else ""),
        is_ok=False,
        remedy="See that `serve` (its process pusher) runs, and what the feed says under Engine room, Poll feeds. "
        "Then press Poll now on the channel's page.",
        severity=Severity.CRITICAL,
        link=list_of("channels.pollfeed", f"channel__id__exact={facts.channel_id}"),
    )


def subscriptions(facts: ChannelFacts) -> Result | None:
    """Whether its webhook subscriptions are as they should be, and are looked after."""
    if facts.capabilities is None or not facts.capabilities.manages_subscriptions:
        return None
    problems = facts.subscription_problems
    if problems:
        first = problems[0]
        return _result(
            facts,
            "subscriptions_wrong",
            "subscriptions",
            f"{len(problems)} wrong that could not be mended: {first.get('topic', '')}: {first.get('problem', '')}",
            is_ok=False,
            remedy=first.get("remedy") or "Press Register webhooks on the channel's page.",
            evidence={"problems": problems[:20]},
        )
    late = facts.seconds_since(facts.audited_at or facts.created_at)
    if late > AUDIT_IS_LATE and not facts.is_down:
        return _result(
            facts,
            "subscriptions_wrong",
            "subscriptions",
            f"not audited for {duration(late)}",
            is_ok=False,
            remedy="Press Audit subscriptions on the channel's page; see that the process jobs of `serve` runs.",
        )
    says = f"audited {duration(late)} ago" if facts.audited_at else "not audited yet"
    return _result(facts, "subscriptions_wrong", "subscriptions", says)


def inbound_queue(facts: ChannelFacts) -> Result:
    """Whether messages and orders are processed as they come in."""
    age = max(
        facts.seconds_since(facts.queues.inbound_since), facts.seconds_since(facts.queues.fetches_since)
    )
    waiting = facts.queues.inbound + facts.queues.fetches
    return _queue(
        facts,
        "inbound_late",
        "inbound queue",
        waiting,
        age,
        remedy="See that the process jobs of `serve` runs, and read the reasons under Webhook deliveries, Received.",
        link=list_of(
            "channels.webhookdelivery", f"channel__id__exact={facts.channel_id}&state__exact=received"
        ),
    )


def outbound_queue(facts: ChannelFacts) -> Result:
    """Whether numbers are told as they change."""
    return _queue(
        facts,
        "outbound_late",
        "outbound queue",
        facts.queues.outbound,
        facts.seconds_since(facts.queues.outbound_since),
        remedy="See the channel's breaker and limits on its page, and that the process pusher of `serve` runs.",
        link=list_of("channels.listinglevel", f"channel__id__exact={facts.channel_id}&state=due"),
    )


def _queue(
    facts: ChannelFacts, kind: str, what: str, waiting: int, age: float, *, remedy: str, link: str
) -> Result:
    if age <= QUEUE_IS_LATE:
        says = f"{waiting} waiting, oldest {duration(age)}" if waiting else "empty"
        return _result(facts, kind, what, says)
    return _result(
        facts,
        kind,
        what,
        f"{waiting} waiting, the oldest for {duration(age)}",
        is_ok=False,
        remedy=remedy,
        severity=Severity.CRITICAL if age > QUEUE_IS_CRITICAL else Severity.WARNING,
        link=link,
        evidence={"waiting": waiting, "oldest_seconds": round(age)},
    )


def dead_letters(facts: ChannelFacts) -> Result:
    """Whether something was given up."""
    count = facts.queues.dead_deliveries + facts.queues.dead_pushes
    if not count:
        return _result(facts, "dead_letters", "dead letters", "none")
    page = "webhookdelivery" if facts.queues.dead_deliveries else "listinglevel"
    state = "state__exact=dead" if facts.queues.dead_deliveries else "state=dead"
    return _result(
        facts,
        "dead_letters",
        "dead letters",
        f"{facts.queues.dead_deliveries} messages and {facts.queues.dead_pushes} pushes were given up",
        is_ok=False,
        remedy="Read their reasons under To do, Dead pushes and Dead deliveries, put them right, and press Replay.",
        link=list_of(f"channels.{page}", f"channel__id__exact={facts.channel_id}&{state}"),
        evidence={"messages": facts.queues.dead_deliveries, "pushes": facts.queues.dead_pushes},
    )


def limits(facts: ChannelFacts) -> Result:
    """Whether the platform's limits leave room for what has to be told."""
    blocked = [b for b in facts.buckets if b.blocked_until and _seconds_left(facts, b) > WORTH_A_WORD]
    held_up = facts.seconds_since(facts.queues.outbound_since) > HELD_UP
    used_up = [b for b in facts.buckets if held_up and b.headroom < NO_HEADROOM]
    if not blocked and not used_up:
        least = min((b.headroom for b in facts.buckets), default=1.0)
        return _result(facts, "no_headroom", "limits", f"{least:.0%} headroom at least")
    names = ", ".join(sorted({b.name for b in (*blocked, *used_up)}))
    says = (
        f"the platform wants no calls to {names}"
        if blocked
        else f"{names} used up while numbers wait to be told"
    )
    return _result(
        facts,
        "no_headroom",
        "limits",
        says,
        is_ok=False,
        remedy="Have other tools call this account less, or ask the platform for a higher limit. Decreases go first.",
        evidence={"headroom": {b.name: round(b.headroom, 3) for b in facts.buckets}},
    )


def _seconds_left(facts: ChannelFacts, bucket: Any) -> float:
    return float((bucket.blocked_until - facts.now).total_seconds())


def error_rate(facts: ChannelFacts) -> Result:
    """Whether more calls fail than usually do."""
    failed = sum(count for code, count in facts.errors.items() if code not in _HARMLESS)
    share = failed / max(failed + facts.calls_that_worked, 1)
    minutes = round(ERRORS_WITHIN.total_seconds() / 60)
    if failed < FEWEST_ERRORS or share < ERROR_SHARE:
        return _result(facts, "error_rate", "errors", f"{failed} in {minutes} min")
    most = max(facts.errors, key=lambda code: facts.errors[code])
    return _result(
        facts,
        "error_rate",
        "errors",
        f"{failed} in {minutes} min, {share:.0%} of all calls, most of them {most.replace('_', ' ')}",
        is_ok=False,
        remedy="Read the error log of the channel: each failure names its remedy.",
        link=list_of("channels.errorentry", f"channel__id__exact={facts.channel_id}&since=hour"),
        evidence={"by_code": facts.errors, "calls_that_worked": facts.calls_that_worked},
    )


CHANNEL_CHECKS: Final[tuple[Callable[[ChannelFacts], Result | None], ...]] = (
    connector,
    connection,
    access,
    expiry,
    polls,
    subscriptions,
    inbound_queue,
    outbound_queue,
    dead_letters,
    limits,
    error_rate,
)
