"""Which job of a channel begins next."""

import time

from channels.breaker import BreakerState
from channels.desks import Desk, Done, Job


def desk(*wanted: Job, limit: int = 3) -> Desk:
    made = Desk(1, limit=limit)
    for job in wanted:
        made.ask(job)
    return made


def begin_all(made: Desk) -> list[Job]:
    """Begins jobs as long as one may; each push has chosen what to send before the next job is asked for."""
    begun = []
    while (job := made.next_job()) is not None:
        made.begin(job)
        made.is_leasing = False
        begun.append(job)
    return begun


def test_a_push_goes_first_then_the_other_kinds_then_more_pushes() -> None:
    first, *others = begin_all(desk(*Job, limit=9))
    assert first is Job.PUSH
    assert others == [Job.FOLLOW, *[Job.FETCH] * 4, Job.POLL, Job.ACKNOWLEDGE, Job.IMPORT, Job.PUSH]


def test_fetches_never_take_more_than_half_of_the_calls() -> None:
    begun = begin_all(desk(Job.PUSH, Job.FETCH, limit=6))
    assert (begun.count(Job.FETCH), begun.count(Job.PUSH)) == (3, 3)


def test_no_more_calls_begin_than_the_platform_allows() -> None:
    assert len(begin_all(desk(*Job, limit=2))) == 2


def test_a_second_push_waits_until_the_first_has_chosen() -> None:
    made = desk(Job.PUSH)
    made.begin(Job.PUSH)
    assert made.next_job() is None
    made.is_leasing = False
    assert made.next_job() is Job.PUSH


def test_where_only_one_call_is_allowed_pushes_and_polls_alternate() -> None:
    made = desk(Job.PUSH, Job.POLL, limit=1)
    order = []
    for _ in range(4):
        job = made.next_job()
        assert job is not None
        asked = made.begin(job)
        made.end(job, Done(1), asked=asked)
        order.append(job)
    assert order == [Job.PUSH, Job.POLL, Job.PUSH, Job.POLL]


def test_nothing_begins_while_the_breaker_is_open_and_one_probe_when_it_is_half_open() -> None:
    made = desk(*Job, limit=6)
    made.breaker = BreakerState.OPEN
    assert begin_all(made) == []
    made.breaker = BreakerState.HALF_OPEN
    assert begin_all(made) == [Job.PUSH]


def test_a_job_that_found_nothing_forgets_only_what_was_asked_before_it_began() -> None:
    made = desk(Job.PUSH)
    asked = made.begin(Job.PUSH)
    made.end(Job.PUSH, Done(), asked=asked)
    assert made.next_job() is None
    made.ask(Job.PUSH)
    asked = made.begin(Job.PUSH)
    made.ask(Job.PUSH)
    made.end(Job.PUSH, Done(), asked=asked)
    assert made.next_job() is Job.PUSH


def test_what_found_something_is_looked_for_again() -> None:
    made = desk(Job.PUSH)
    made.end(Job.PUSH, Done(3), asked=made.begin(Job.PUSH))
    assert made.next_job() is Job.PUSH


def test_a_platform_that_asks_for_rest_gets_it_and_is_polled_all_the_same() -> None:
    made = desk(Job.PUSH, Job.POLL)
    made.end(Job.PUSH, Done(3, rest=30.0), asked=made.begin(Job.PUSH))
    assert begin_all(made) == [Job.POLL]
    assert 29.0 < made.seconds_to_rest()[0] <= 30.0
    made.rests_until[Job.PUSH] = time.monotonic()
    assert made.next_job() is Job.PUSH


def test_a_job_that_could_not_even_begin_is_not_tried_again_at_once() -> None:
    made = desk(Job.FETCH)
    made.end(Job.FETCH, Done(has_failed=True), asked=made.begin(Job.FETCH))
    made.ask(Job.FETCH)
    assert made.next_job() is None
    assert made.seconds_to_rest()
