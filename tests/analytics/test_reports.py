"""The daily report: what it says, that each day is sent once, and that a failure is kept and tried again."""

import csv
import io
import smtplib
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from analytics.facts.updating import update
from analytics.kpis.measuring import measure
from analytics.models import ReportPlan, ReportRun, ReportState
from analytics.reports.content import report_of
from analytics.reports.csv_files import sales_file, stock_file
from analytics.reports.sending import ATTEMPTS, send_due, send_now
from channels.orders import apply_state
from tests.back_office import person
from tests.channels.shop import Shop, line, open_shop, order

pytestmark = pytest.mark.django_db

#: Conflicts are opened now, so that orders have to be of today.
START = timezone.now()
DAY = START.date()
#: The morning after.
MORNING = datetime.combine(DAY + timedelta(days=1), time(6, 30), UTC)


@pytest.fixture
def shop(db: None) -> Shop:
    """A shop that sold more mugs than it had, and some cups, at noon."""
    found = open_shop({"MUG": 2, "CUP": 20})
    state = order(line("MUG", 3), line("CUP", 4, cancelled=1))
    apply_state(found.channel, replace(state, ordered_at=START), arrived_at=START)
    update()
    measure(found.merchant.pk, [DAY])
    return found


@pytest.fixture
def plan(shop: Shop, settings: Settings) -> ReportPlan:
    """A plan to report at six, of an installation with a mail server."""
    settings.EMAIL_HOST = "mail.example.com"
    return ReportPlan.objects.create(merchant=shop.merchant, recipients=["a@example.com", "b@example.com"])


def attached(name: str) -> str:
    """Returns the text of a file of the one message."""
    found = {attachment[0]: attachment[1] for attachment in mail.outbox[0].attachments}
    return str(found[name])


def test_a_report_says_what_was_sold_and_what_is_missing(shop: Shop) -> None:
    report = report_of(shop.merchant, DAY)
    (sales,) = report.sales
    assert (sales.channel, sales.currency, sales.orders, sales.ordered, sales.cancelled) == (
        "Web shop", "EUR", 1, 7, 1,
    )  # fmt: skip
    assert [each.sku for each in report.out_of_stock] == ["MUG"]
    assert (report.owed.conflicts, report.owed.units) == (1, 1)
    oversell = report.figures[0]
    point = report.point(oversell)
    assert point is not None
    assert (point.part, point.whole) == (1, 7)


def test_it_goes_out_once_from_its_hour_on(plan: ReportPlan) -> None:
    assert send_due(now=MORNING - timedelta(hours=1)) == 0
    assert send_due(now=MORNING) == 1
    assert send_due(now=MORNING + timedelta(hours=1)) == 0
    (message,) = mail.outbox
    assert message.to == ["a@example.com", "b@example.com"]
    assert message.subject == f"{plan.merchant.name}: stock and sales of {DAY}"
    run = ReportRun.objects.get()
    assert (run.reported_on, run.state, run.attempts) == (DAY, ReportState.SENT, 1)


def test_it_comes_as_html_text_and_csv(plan: ReportPlan) -> None:
    send_due(now=MORNING)
    message: Any = mail.outbox[0]
    assert "Oversell rate, units: 14.3 % (off target, 0.50 %)" in message.body
    (html, kind), *_ = message.alternatives
    assert kind == "text/html"
    assert "<td>Web shop</td>" in html
    rows = list(csv.DictReader(io.StringIO(attached(f"sales-{DAY}.csv"))))
    assert {(row["sku"], row["ordered"], row["cancelled"]) for row in rows} == {
        ("CUP", "4", "1"),
        ("MUG", "3", "0"),
    }


def test_csv_can_be_left_out(plan: ReportPlan) -> None:
    ReportPlan.objects.update(has_csv=False)
    send_due(now=MORNING)
    assert mail.outbox[0].attachments == []


def test_the_stock_file_has_a_row_for_what_moved(shop: Shop) -> None:
    rows = list(csv.DictReader(io.StringIO(stock_file(shop.merchant.pk, timezone.now().date()))))
    assert [(row["sku"], row["location"], row["received"], row["available"]) for row in rows] == [
        ("CUP", "main", "20", "17"),
        ("MUG", "main", "2", "0"),
    ]


def test_a_sku_that_looks_like_a_formula_stays_a_text() -> None:
    shop = open_shop({"=1+1": 5})
    apply_state(shop.channel, replace(order(line("=1+1")), ordered_at=START), arrived_at=START)
    update()
    (row,) = csv.DictReader(io.StringIO(sales_file(shop.merchant.pk, DAY)))
    assert row["sku"] == "'=1+1"


def test_a_plan_that_is_switched_off_sends_nothing(plan: ReportPlan) -> None:
    ReportPlan.objects.update(is_active=False)
    assert send_due(now=MORNING) == 0


def _break(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)


def test_a_failure_is_kept_and_tried_again_later(plan: ReportPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        _break(broken)
        assert send_due(now=MORNING) == 0
        assert send_due(now=MORNING + timedelta(minutes=5)) == 0
    run = ReportRun.objects.get()
    assert (run.state, run.attempts, run.error) == (ReportState.FAILED, 1, "The mail server refused it: gone")
    assert send_due(now=MORNING + timedelta(minutes=20)) == 1
    run.refresh_from_db()
    assert (run.state, run.attempts, run.error) == (ReportState.SENT, 2, "")


def test_it_is_given_up_after_some_attempts(plan: ReportPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    _break(monkeypatch)
    for attempt in range(ATTEMPTS + 2):
        send_due(now=MORNING + timedelta(minutes=20 * attempt))
    assert ReportRun.objects.get().attempts == ATTEMPTS


def test_one_that_is_being_sent_is_not_sent_by_another(plan: ReportPlan) -> None:
    ReportRun.objects.create(merchant=plan.merchant, reported_on=DAY, started_at=MORNING)
    assert send_due(now=MORNING + timedelta(minutes=5)) == 0
    assert send_due(now=MORNING + timedelta(minutes=20)) == 1, "its sender died"


def test_without_a_mail_server_it_says_what_to_do(plan: ReportPlan, settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    assert send_due(now=MORNING) == 0
    assert "EMAIL_HOST" in ReportRun.objects.get().error


def test_a_person_may_send_it_again(plan: ReportPlan) -> None:
    send_due(now=MORNING)
    assert send_now(plan, DAY).state == ReportState.SENT
    assert len(mail.outbox) == 2


@pytest.fixture
def operator(client: Client) -> Client:
    """Somebody of operations."""
    client.force_login(person("operations"))
    return client


def plan_of(shop: Shop, **values: Any) -> dict[str, Any]:
    """Returns what the form of a plan posts."""
    given = {
        "merchant": shop.merchant.pk,
        "recipients": "a@example.com",
        "hour": 6,
        "has_csv": "on",
        "is_active": "on",
    }
    return {**given, **values}


def test_recipients_are_entered_one_a_line(operator: Client, shop: Shop) -> None:
    url = reverse("admin:analytics_reportplan_add")
    operator.post(url, plan_of(shop, recipients="a@example.com\nb@example.com, a@example.com", hour=23))
    plan = ReportPlan.objects.get()
    assert (plan.recipients, plan.hour) == (["a@example.com", "b@example.com"], 23)
    page = operator.get(reverse("admin:analytics_reportplan_change", args=[plan.pk])).content.decode()
    assert "a@example.com\nb@example.com" in page


def test_an_address_that_is_none_is_named(operator: Client, shop: Shop) -> None:
    url = reverse("admin:analytics_reportplan_add")
    page = operator.post(url, plan_of(shop, recipients="a@example.com\nnobody")).content.decode()
    assert "nobody is no e-mail address" in page
    assert not ReportPlan.objects.exists()


def test_yesterdays_report_is_shown_and_sent_from_its_page(operator: Client, plan: ReportPlan) -> None:
    assert (
        "Sales by channel"
        in operator.get(reverse("admin:analytics_report_preview", args=[plan.pk])).content.decode()
    )
    operator.post(reverse("admin:analytics_reportplan_do", args=[plan.pk, "send_yesterday"]))
    assert len(mail.outbox) == 1
    assert ReportRun.objects.get().state == ReportState.SENT
