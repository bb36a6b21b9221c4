"""A task that kills whoever runs it is begun a few times and then kept for a person."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ
from django_q.tasks import async_task

from config.dead_tasks import forget, run_again
from config.job_broker import MOST_TAKES, PostgresBroker
from config.jobs import name_of, wake
from config.models import DeadTask
from reconciliation.checks.installation import dead_tasks
from tests.back_office import person
from tests.dying import die_at

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def broker() -> Iterator[PostgresBroker]:
    broker = PostgresBroker()
    yield broker
    broker.close()


def claim_and_die() -> None:
    """Has a process claim what is due, and be killed by it."""

    def work(die: Callable[[], None]) -> None:
        if PostgresBroker()._claim():
            die()

    die_at(work)
    let_claims_run_out()


def let_claims_run_out() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET lock = lock - interval '1 hour'")


def exhaust(broker: PostgresBroker) -> None:
    """Has every task that is queued begun too often."""
    for _ in range(MOST_TAKES):
        broker._claim()
        let_claims_run_out()
    assert broker._claim() == []


def test_a_task_that_kills_its_workers_is_begun_a_few_times_and_then_kept(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat", 7)
    for _ in range(MOST_TAKES):
        claim_and_die()
    wake("config.heartbeat.beat", 8)
    assert len(broker._claim()) == 1
    dead = DeadTask.objects.get()
    assert (str(dead), dead.takes) == ("config.heartbeat.beat(7)", MOST_TAKES)
    assert OrmQ.objects.count() == 1


def test_the_same_task_is_kept_once_and_its_deaths_are_added_up(broker: PostgresBroker) -> None:
    for _ in range(2):
        wake("config.heartbeat.beat", 7)
        exhaust(broker)
    assert DeadTask.objects.get().takes == 2 * MOST_TAKES


def test_a_task_that_is_run_again_has_all_its_takes_before_it(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat", 7)
    exhaust(broker)
    assert run_again(DeadTask.objects.values_list("pk", flat=True)) == 1
    assert not DeadTask.objects.exists()
    assert len(broker._claim()) == 1
    exhaust(broker)
    assert forget(DeadTask.objects.values_list("pk", flat=True)) == 1
    assert not OrmQ.objects.exists()


def test_a_task_is_named_by_what_it_calls_if_it_was_signed_here(broker: PostgresBroker) -> None:
    async_task("config.heartbeat.beat", 1)
    assert name_of(OrmQ.objects.get().payload) == "config.heartbeat.beat(1)"
    assert name_of("wake os.system 1:forged") == "a task that cannot be read"


def test_somebody_is_told_what_killed_the_workers(broker: PostgresBroker) -> None:
    (fine,) = dead_tasks()
    assert fine.is_ok
    wake("config.heartbeat.beat", 7)
    exhaust(broker)
    (wrong,) = dead_tasks()
    assert not wrong.is_ok
    assert "config.heartbeat.beat(7)" in wrong.says
    assert wrong.link == reverse("admin:config_deadtask_changelist")


@pytest.mark.parametrize(("role", "may"), [("engineering", True), ("commerce", False)])
def test_those_who_look_after_jobs_have_a_task_run_again_at_the_back_office(
    broker: PostgresBroker, client: Client, role: str, may: bool
) -> None:
    wake("config.heartbeat.beat", 7)
    exhaust(broker)
    client.force_login(person(role))
    page = reverse("admin:config_deadtask_changelist")
    assert "config.heartbeat.beat(7)" in client.get(page).content.decode()
    dead = DeadTask.objects.get()
    assert client.get(reverse("admin:config_deadtask_change", args=[dead.pk])).status_code == 200
    client.post(page, {"action": "run_again", "_selected_action": [dead.pk]})
    assert DeadTask.objects.exists() is not may
    assert OrmQ.objects.exists() is may
