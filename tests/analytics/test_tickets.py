"""Tickets of a help desk are counted once, all or none, and what cannot be used is named."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from analytics.errors import TicketRefused
from analytics.kpis.measuring import measure_due
from analytics.models import Kpi, KpiDay, SupportTicket
from analytics.tickets import Recorded, Ticket, read_tickets, record_tickets
from tests.back_office import person
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db

NOON = datetime(2025, 1, 20, 12, tzinfo=UTC)
FILE = "ticket,opened_at,channel,sku\nT-1,2025-01-20 12:00,Web shop,MUG\nT-2,2025-01-20,,\n"


@pytest.fixture
def shop(db: None) -> Shop:
    """A shop that sells mugs."""
    return open_shop({"MUG": 1})


def test_a_file_is_read_with_its_instants_in_utc() -> None:
    assert read_tickets(FILE.splitlines()) == [
        Ticket("T-1", NOON, "Web shop", "MUG"),
        Ticket("T-2", NOON.replace(hour=0), "", ""),
    ]


def test_a_ticket_counts_once_however_often_it_is_read(shop: Shop) -> None:
    tickets = read_tickets(FILE.splitlines())
    assert record_tickets(shop.merchant.pk, tickets) == Recorded(2, 0)
    assert record_tickets(shop.merchant.pk, [*tickets, Ticket("T-3", NOON)]) == Recorded(1, 2)
    first = SupportTicket.objects.get(number="T-1")
    assert (first.channel, first.variant, first.opened_at) == (shop.channel, shop.variants["MUG"], NOON)


def test_tickets_are_a_figure_of_the_day_on_which_they_were_opened(shop: Shop) -> None:
    record_tickets(shop.merchant.pk, read_tickets(FILE.splitlines()))
    measure_due()
    rows = KpiDay.objects.filter(kpi=Kpi.TICKETS, measured_on=NOON.date())
    assert {(row.channel, row.part, row.whole) for row in rows} == {(None, 2, 0), (shop.channel, 1, 0)}


@pytest.mark.parametrize(
    ("ticket", "field", "words"),
    [
        (Ticket("", NOON), "ticket", "1 to 100"),
        (Ticket("T\x00", NOON), "ticket", "printable"),
        (Ticket("T", timezone.now() + timedelta(days=1)), "opened_at", "still to come"),
        (Ticket("T", NOON, "Nowhere"), "channel", "no channel is named Nowhere"),
        (Ticket("T", NOON, "", "NONE"), "sku", "no variant has the SKU NONE"),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(shop: Shop, ticket: Ticket, field: str, words: str) -> None:
    with pytest.raises(TicketRefused, match=words) as refused:
        record_tickets(shop.merchant.pk, [Ticket("good", NOON), ticket])
    assert refused.value.field == field
    assert not SupportTicket.objects.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number\n1\n", "ticket, opened_at is missing"),
        ("ticket,opened_at\nT-1,yesterday\n", "Line 2: 'yesterday' is no instant"),
        ("ticket,opened_at\nT-1,2026-02-31\n", "Line 2"),
        ('ticket,opened_at\n"T-1,2026-02-03\n', "Line"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(text: str, words: str) -> None:
    with pytest.raises(TicketRefused, match=words):
        read_tickets(text.splitlines())


def test_the_command_counts_a_file(shop: Shop, tmp_path: Path) -> None:
    path, out = tmp_path / "tickets.csv", StringIO()
    path.write_text(FILE)
    call_command("import_tickets", str(path), merchant=shop.merchant.slug, json=True, stdout=out)
    assert json.loads(out.getvalue()) == {"new": 2, "known": 0}
    with pytest.raises(CommandError, match="nobody"):
        call_command("import_tickets", str(path), merchant="nobody")


def upload(client: Client, shop: Shop, content: bytes) -> str:
    file = SimpleUploadedFile("tickets.csv", content)
    url = reverse("admin:analytics_import_tickets")
    return client.post(url, {"merchant": shop.merchant.pk, "file": file}, follow=True).content.decode()


def test_the_page_counts_a_file_or_says_what_is_wrong(shop: Shop, client: Client) -> None:
    client.force_login(person("commerce"))
    assert "2 tickets are counted, 0 were counted before." in upload(client, shop, FILE.encode())
    assert "ticket, opened_at is missing" in upload(client, shop, b"x\n1\n")
    assert "not in UTF-8" in upload(client, shop, b"ticket,opened_at\n\xff,2026-01-01\n")


def test_the_page_is_for_those_who_may(shop: Shop, client: Client) -> None:
    client.force_login(person("read-only"))
    assert client.get(reverse("admin:analytics_import_tickets")).status_code == 403
