"""Transfers, returns, purchase orders, bundles and import jobs."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels.models.orders import LINE_REFERENCE
from inventory import import_jobs
from inventory.backorders import promise
from inventory.inbound_rows import PromiseTerms
from inventory.models import Bundle, ImportJob, Supplier
from inventory.reservations import Demand
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, assert_ledger_holds, level_of

pytestmark = pytest.mark.django_db


def draft(api: Api, cast: Cast, **headers: str) -> dict[str, Any]:
    lines = [{"sku": cast.mug.sku, "quantity": 4}]
    body = {"source": cast.warehouse.code, "destination": cast.store.code, "lines": lines}
    made = api.post("/transfers", body, **headers)
    assert made.status_code == 201, made.content
    found: dict[str, Any] = made.json()
    return found


def test_a_transfer_goes_its_way(api: Api, cast: Cast) -> None:
    cast.receive(5)
    transfer = draft(api, cast)
    path = f"/transfers/{transfer['id']}"
    assert api.post(f"{path}/send").json()["state"] == "sent"
    arrived = {"lines": [{"sku": cast.mug.sku, "quantity": 3, "unavailable": 1}]}
    assert api.post(f"{path}/receive", arrived).json()["lines"][0]["in_transit"] == 1
    assert api.post(f"{path}/close").json()["lines"][0]["missing_quantity"] == 1
    assert level_of(cast.mug, cast.store) == (3, 0, 1)
    assert_ledger_holds()


def test_a_transfer_of_more_than_there_is_leaves_only_where_it_has_left(api: Api, cast: Cast) -> None:
    path = f"/transfers/{draft(api, cast)['id']}"
    problem_of(api.post(f"{path}/send"), 409, "insufficient-stock")
    assert api.post(f"{path}/send", {"has_left": True}).json()["state"] == "sent"
    assert api.post(f"{path}/recall").status_code == 200


def test_a_draft_is_made_once_and_given_up(api: Api, cast: Cast) -> None:
    first = draft(api, cast, Idempotency_Key="one")
    assert draft(api, cast, Idempotency_Key="one") == first
    path = f"/transfers/{first['id']}"
    assert api.post(f"{path}/cancel").json()["state"] == "cancelled"
    problem_of(api.post(f"{path}/cancel"), 409, "wrong-state")


def test_a_return_goes_its_way(api: Api, cast: Cast) -> None:
    line = {"sku": cast.mug.sku, "location": cast.warehouse.code}
    api.post("/returns", {"reference": "RMA-1", "lines": [{**line, "quantity": 3}]})
    made = api.post("/returns/receive", {"reference": "RMA-1", "lines": [{**line, "quantity": 2}]})
    assert (made.status_code, made.json()["state"]) == (201, "received")
    path = f"/returns/{made.json()['id']}"
    verdicts = {"verdicts": [{**line, "released": 1, "written_off": 1}]}
    assert api.post(f"{path}/inspect", verdicts).json()["state"] == "announced"
    assert api.post(f"{path}/close").json()["state"] == "closed"
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)


def order(api: Api, cast: Cast, **line: Any) -> Any:
    Supplier.objects.get_or_create(merchant=cast.merchant, code="acme", defaults={"name": "Acme"})
    lines = [{"sku": cast.mug.sku, "quantity": 10, **line}]
    body = {"number": "PO-1", "supplier": "acme", "location": cast.warehouse.code, "lines": lines}
    return api.post("/purchase-orders", body)


def test_a_purchase_order_goes_its_way(api: Api, cast: Cast) -> None:
    on = timezone.localdate() + timedelta(days=3)
    made = order(api, cast)
    assert (made.status_code, made.json()["state"]) == (201, "ordered")
    path, line_id = f"/purchase-orders/{made.json()['id']}", made.json()["lines"][0]["id"]
    confirmed = {"lines": [{"line_id": line_id, "quantity": 10, "on": on.isoformat()}]}
    assert api.post(f"{path}/confirm", confirmed).json()["state"] == "confirmed"
    later = (on + timedelta(days=1)).isoformat()
    assert api.post(f"{path}/slip", {"to": later}).json()["lines"][0]["confirmed_on"] == later
    received = {"lines": [{"line_id": line_id, "quantity": 4}]}
    assert api.post(f"{path}/receive", received).json()["state"] == "partial"
    assert api.post(f"{path}/cancel").json()["state"] == "received"
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)


def test_a_number_that_is_taken_is_refused_and_nothing_is_ordered(api: Api, cast: Cast) -> None:
    order(api, cast)
    assert problem_of(order(api, cast), 409, "already-exists")["field"] == "number"


def test_a_line_of_another_order_is_unknown(api: Api, cast: Cast) -> None:
    made = order(api, cast).json()
    path = f"/purchase-orders/{made['id']}"
    body = {"lines": [{"line_id": made["lines"][0]["id"] + 1, "quantity": 1}]}
    assert problem_of(api.post(f"{path}/receive", body), 404, "not-found")["field"] == "lines[0].line_id"


def test_a_supplier_is_added_and_changed(api: Api) -> None:
    made = api.post("/suppliers", {"code": "acme", "name": "Acme", "lead_time_days": 5}).json()
    changed = api.patch(f"/suppliers/{made['id']}", {"name": "Acme B.V."}).json()
    assert changed == {**made, "name": "Acme B.V."}
    problem_of(api.post("/suppliers", {"code": "acme", "name": "Other"}), 409, "already-exists")


def test_a_bundle_is_defined_in_versions_and_dissolved(api: Api, cast: Cast) -> None:
    body = {"sku": cast.shirt.sku, "kind": "kit", "components": [{"sku": cast.mug.sku, "quantity": 2}]}
    first = api.post("/bundles", body)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    body["components"] = [{"sku": cast.mug.sku, "quantity": 3}]
    second = api.post("/bundles", body).json()
    assert (second["version"], second["components"]) == (2, body["components"])
    problem_of(api.post(f"/bundles/{first.json()['id']}/dissolve"), 409, "wrong-state")
    for _ in range(2):
        assert api.post(f"/bundles/{second['id']}/dissolve").json()["is_current"] is False
    assert not Bundle.objects.filter(is_current=True).exists()


def test_a_circle_is_refused_with_its_way(api: Api, cast: Cast) -> None:
    pair = (cast.shirt.sku, cast.mug.sku)
    for whole, part in (pair, pair[::-1]):
        body = {"sku": whole, "kind": "kit", "components": [{"sku": part, "quantity": 1}]}
        response = api.post("/bundles", body)
    assert "→" in problem_of(response, 422, "refused")["detail"]


# Import jobs.


def send_file(api: Api, cast: Cast, rows: str, **more: Any) -> ImportJob:
    content = f"sku,location,quantity\n{rows}"
    made = api.post("/imports", {"name": "stock.csv", "content": content, **more})
    assert made.status_code == 202, made.content
    assert made.json()["report"] is None
    return ImportJob.objects.get(pk=made.json()["id"])


def test_a_file_is_taken_in_by_a_worker_once(api: Api, cast: Cast) -> None:
    job = send_file(api, cast, f"{cast.mug.sku},{cast.warehouse.code},7\n")
    assert import_jobs.run(job.pk)
    assert not import_jobs.run(job.pk)
    shown = api.get(f"/imports/{job.pk}").json()
    assert (shown["state"], shown["report"]["imported"]) == ("done", 1)
    assert level_of(cast.mug, cast.warehouse) == (7, 0, 0)
    job.refresh_from_db()
    assert job.content == ""


def test_a_file_with_a_wrong_row_changes_nothing_and_says_which(api: Api, cast: Cast) -> None:
    job = send_file(api, cast, f"{cast.mug.sku},{cast.warehouse.code},7\nNOBODY,{cast.warehouse.code},1\n")
    import_jobs.run(job.pk)
    shown = api.get(f"/imports/{job.pk}").json()
    assert shown["state"] == "failed"
    assert shown["report"]["errors"][0]["line"] == 3
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


def test_a_dry_run_changes_nothing(api: Api, cast: Cast) -> None:
    job = send_file(api, cast, f"{cast.mug.sku},{cast.warehouse.code},7\n", is_dry_run=True)
    import_jobs.run(job.pk)
    assert api.get(f"/imports/{job.pk}").json()["report"]["imported"] == 1
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


def test_a_job_that_a_dead_worker_left_goes_on(api: Api, cast: Cast) -> None:
    job = send_file(api, cast, f"{cast.mug.sku},{cast.warehouse.code},7\n")
    long_ago = timezone.now() - timedelta(hours=1)
    ImportJob.objects.filter(pk=job.pk).update(state="running", progress_at=long_ago, attempts=1)
    assert import_jobs.wake_open() == 1
    assert import_jobs.run(job.pk)
    assert level_of(cast.mug, cast.warehouse) == (7, 0, 0)


def test_a_file_that_no_worker_survives_is_given_up(api: Api, cast: Cast) -> None:
    job = send_file(api, cast, f"{cast.mug.sku},{cast.warehouse.code},7\n")
    long_ago = timezone.now() - timedelta(hours=1)
    ImportJob.objects.filter(pk=job.pk).update(state="running", progress_at=long_ago, attempts=5)
    assert import_jobs.wake_open() == 0
    assert api.get(f"/imports/{job.pk}").json()["state"] == "failed"


def test_a_file_of_nothing_is_refused(api: Api) -> None:
    body = {"name": "stock.csv", "content": " \n"}
    assert problem_of(api.post("/imports", body), 422, "refused")["field"] == "content"


def test_what_is_not_there_is_promised_from_what_is_to_come(api: Api, cast: Cast) -> None:
    cast.receive(2)
    on = timezone.localdate() + timedelta(days=3)
    order(api, cast, confirmed_on=on.isoformat())
    body = {
        "by": on.isoformat(),
        "lines": [{"reference": "order-7", "sku": cast.mug.sku, "quantity": 5}],
    }
    made = api.post("/backorders", body, Idempotency_Key="one")
    assert made.status_code == 201, made.content
    assert [each["quantity"] for each in made.json()["held"]] == [2]
    (promised,) = made.json()["promised"]
    assert (promised["quantity"], promised["promised_on"]) == (3, on.isoformat())
    shown = api.get(f"/backorders/{promised['backorder_id']}").json()
    assert (shown["reference"], shown["open_quantity"], shown["line_id"]) == (
        "order-7",
        3,
        promised["line_id"],
    )
    assert shown["allowed_by"].startswith("tests")
    assert api.post("/backorders", body, Idempotency_Key="one").content == made.content
    assert_ledger_holds()


def test_what_is_promised_to_an_order_is_taken_back_with_the_order_alone(api: Api, cast: Cast) -> None:
    on = timezone.localdate() + timedelta(days=3)
    order(api, cast, confirmed_on=on.isoformat())
    demand = Demand(f"{LINE_REFERENCE}7", cast.mug.pk, 2, (cast.warehouse.pk,))
    promised = promise(cast.context(), [demand], PromiseTerms(on, "a rule")).promised
    path = f"/backorders/{promised[0].backorder_id}"
    problem_of(api.post(f"{path}/cancel"), 422, "refused")
    assert api.get(path).json()["open_quantity"] == 2


def test_no_more_is_promised_than_comes_in_time(api: Api, cast: Cast) -> None:
    on = timezone.localdate() + timedelta(days=3)
    order(api, cast, confirmed_on=on.isoformat())
    body = {
        "by": (on - timedelta(days=1)).isoformat(),
        "lines": [{"reference": "order-7", "sku": cast.mug.sku, "quantity": 5}],
    }
    problem = problem_of(api.post("/backorders", body), 409, "insufficient-stock")
    assert problem["shortages"][0]["available"] == 0
    partly = api.post("/backorders", {**body, "allow_partial": True}).json()
    assert (partly["promised"], partly["short"][0]["quantity"]) == ([], 5)
    body["by"] = (timezone.localdate() - timedelta(days=1)).isoformat()
    assert problem_of(api.post("/backorders", body), 422, "refused")["field"] == "by"


def test_a_list_shows_the_first_lines_of_a_document_and_the_document_all(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.api.nesting.IN_LISTS", 1)
    line = {"sku": cast.mug.sku, "location": cast.warehouse.code, "quantity": 1}
    lines = [line, {**line, "sku": cast.shirt.sku}]
    made = {"returns": api.post("/returns", {"reference": "RMA-1", "lines": lines}).json()}
    goods = [{"sku": each["sku"], "quantity": 1} for each in lines]
    places = {"source": cast.warehouse.code, "destination": cast.store.code}
    made["transfers"] = api.post("/transfers", {**places, "lines": goods}).json()
    order(api, cast)
    body = {"number": "PO-2", "supplier": "acme", "location": cast.warehouse.code, "lines": goods}
    made["purchase-orders"] = api.post("/purchase-orders", body).json()
    for path, document in made.items():
        shown = api.get(f"/{path}").json()["data"][-1]
        assert (shown["line_count"], shown["lines"]) == (2, document["lines"][:1]), path
        assert api.get(f"/{path}/{document['id']}").json() == document


def test_a_promise_is_read_and_taken_back(api: Api, cast: Cast) -> None:
    on = timezone.localdate() + timedelta(days=3)
    order(api, cast, confirmed_on=on.isoformat())
    line = {"reference": "order-7", "sku": cast.mug.sku, "quantity": 1}
    made = api.post("/backorders", {"by": on.isoformat(), "lines": [line]}).json()
    (promised,) = api.get("/backorders", {"is_open": "true"}).json()["data"]
    assert promised["id"] == made["promised"][0]["backorder_id"]
    assert (promised["open_quantity"], promised["filled_quantity"]) == (1, 0)
    path = f"/backorders/{promised['id']}"
    problem_of(api.post(f"{path}/cancel", {"quantity": 2}), 422, "refused")
    assert api.post(f"{path}/cancel").json()["cancelled_quantity"] == 1
    assert api.get(path).json()["open_quantity"] == 0
