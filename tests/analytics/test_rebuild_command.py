"""`rebuild_facts` counts anew, reports, and exits with 1 when the facts had been wrong."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.facts.updating import update
from analytics.models import StockFact
from channels.orders import apply_state
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(db: None) -> Shop:
    """A shop that sold two mugs, counted."""
    found = open_shop({"MUG": 5})
    apply_state(found.channel, order(line("MUG", 2)), arrived_at=NOON)
    update()
    return found


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rebuild_facts", "--json", *arguments, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_it_says_what_it_counted(shop: Shop) -> None:
    found = run()
    assert (found["facts_ok"], found["movements"], found["orders"], found["differing"]) == (True, 2, 1, 0)
    assert found["merchants"][shop.merchant.slug]["pieces"] == 2


def test_a_difference_ends_it_with_1(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    StockFact.objects.filter(channel=None).delete()
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            call_command("rebuild_facts", "--check")
        assert ended.value.code == 1
    with pytest.raises(SystemExit):
        call_command("rebuild_facts")
    assert "1 rows differed" in capsys.readouterr().out
    assert run("--check")["facts_ok"] is True


def test_a_merchant_is_named_by_its_slug(shop: Shop) -> None:
    other = open_shop({"MUG": 1})
    assert set(run("--merchant", other.merchant.slug)["merchants"]) == {other.merchant.slug}
    with pytest.raises(CommandError, match="nobody"):
        run("--merchant", "nobody")
