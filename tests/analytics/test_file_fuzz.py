"""Whatever file is handed in at any door: taken in, or refused with a reason, and never an error 500."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.models import SupportTicket
from channels.models import ListingRank
from inventory.import_jobs import run
from inventory.models import ImportJob, StockOperation
from tests.api import Api
from tests.back_office import Business, person
from tests.properties import examples

pytestmark = [pytest.mark.django_db, pytest.mark.property]

usual = settings(
    max_examples=examples(48), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: Names of columns that some door knows, and one that none does.
NAMES = [
    "channel", "sku", "rank", "ticket", "opened_at", "location", "quantity", "kind", "key", "occurred_at", "reason",
    "unavailable", "safety_stock", "colour",
]  # fmt: skip
fields = st.one_of(
    st.sampled_from(
        [
            "",
            "1",
            "-1",
            "9" * 30,
            "1.5",
            "opening",
            "2026-01-31",
            "0000-00-00",
            "\x00",
            '"',
            '"a',
            "a\nb",
            "=1+1",
        ]
    ),
    st.text(max_size=12),
)
lines = st.lists(fields, min_size=0, max_size=8).map(",".join)
tables = st.tuples(
    st.lists(st.sampled_from(NAMES), max_size=8).map(",".join), st.lists(lines, max_size=5)
).map(lambda found: "\n".join([found[0], *found[1]]))
long_fields = st.just("channel,sku,rank,ticket,opened_at\n" + "x" * 140_000)
contents = st.one_of(tables, long_fields, st.text(max_size=60)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
files = st.one_of(contents, st.binary(max_size=80))


@pytest.fixture
def business() -> Business:
    return Business.grown(1)


@pytest.mark.parametrize("page", ["admin:channels_import_ranks", "admin:analytics_import_tickets"])
@usual
@given(content=files)
def test_a_file_at_the_back_office_is_taken_in_or_refused(
    client: Client, business: Business, page: str, content: bytes
) -> None:
    client.force_login(person("superuser"))
    before = (ListingRank.objects.count(), SupportTicket.objects.count())
    file: Any = SimpleUploadedFile("file.csv", content)
    answer = client.post(reverse(page), {"merchant": business.merchant.pk, "file": file})
    assert answer.status_code in {200, 302}
    if answer.status_code == 200:
        assert (ListingRank.objects.count(), SupportTicket.objects.count()) == before


@usual
@given(content=files)
def test_a_file_at_the_api_is_taken_in_or_refused(business: Business, content: bytes) -> None:
    api = Api(business.merchant)
    before = StockOperation.objects.count()
    body = {"name": "file.csv", "content": content.decode("utf-8", "replace")}
    answer = api.post("/imports", body)
    assert answer.status_code in {202, 400, 422}, answer.content
    if answer.status_code == 202:
        run(answer.json()["id"])
        assert ImportJob.objects.get(pk=answer.json()["id"]).state in {"done", "failed"}
    else:
        assert StockOperation.objects.count() == before
