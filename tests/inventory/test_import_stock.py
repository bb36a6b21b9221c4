"""A merchant's stock and history come in from a file: each row once, whatever happens in between."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from inventory import import_batch, importing
from inventory.errors import StockBusy
from inventory.history import levels_effective_at
from inventory.holds import fill_owed
from inventory.import_file import Defaults
from inventory.importing import Import, ImportReport, check_file, import_file
from inventory.models import ImportedRow, StockLevel, StockMovement, StockOperation
from tests.factories import MerchantFactory
from tests.inventory.bundling import Kitchen
from tests.inventory.cast import Cast, assert_ledger_holds, held, ledger_size, level_of, owed, story

HISTORY = "key,kind,sku,location,quantity,occurred_at\n"


def given(cast: Cast, **defaults: str) -> Import:
    return Import(cast.merchant.pk, Defaults(**{"location": cast.warehouse.code, **defaults}), "file.csv")


def imported(cast: Cast, text: str, **defaults: str) -> ImportReport:
    filled = text.format(mug=cast.mug.sku, shirt=cast.shirt.sku, w=cast.warehouse.code, s=cast.store.code)
    return import_file(given(cast, **defaults), io.StringIO(filled))


def problems(report: ImportReport) -> list[str]:
    return [str(error) for error in report.errors]


def test_an_opening_balance_is_what_was_there_at_that_instant(cast: Cast) -> None:
    report = imported(
        cast,
        "sku,location,quantity,unavailable,occurred_at\n"
        "{mug},{w},12,2,2026-01-01\n{mug},{s},3,,2026-01-01T08:00:00+01:00\n{shirt},{w},0,,2026-01-01\n",
    )
    assert (report.rows, report.imported, problems(report)) == (3, 3, [])
    assert level_of(cast.mug, cast.warehouse) == (12, 0, 2)
    assert story(cast.mug, cast.warehouse) == [("receipt", "opening", 12, 0, 2)]
    at = datetime(2026, 1, 1, 7, 30, tzinfo=UTC)
    levels = levels_effective_at(cast.merchant.pk, [cast.mug.pk], at)
    assert [level.on_hand for level in levels] == [12, 3]
    assert_ledger_holds()


def test_a_history_is_recorded_with_the_times_at_which_it_happened(cast: Cast) -> None:
    report = imported(
        cast,
        HISTORY
        + "1,receipt,{mug},{w},10,2026-01-01T08:00:00Z\n"
        + "2,shipment,{mug},{w},3,2026-01-02T08:00:00Z\n"
        + "3,adjustment,{mug},{w},-1,2026-01-03T08:00:00Z\n"
        + "4,return,{mug},{w},2,2026-01-04T08:00:00Z\n"
        + "5,count,{mug},{w},7,2026-01-05T08:00:00Z\n",
    )
    assert problems(report) == []
    assert story(cast.mug, cast.warehouse) == [
        ("receipt", "purchase", 10, 0, 0),
        ("shipment", "sale", -3, 0, 0),
        ("adjustment", "correction", -1, 0, 0),
        ("return", "customer_return", 2, 0, 0),
        ("count", "correction", -1, 0, 0),
    ]
    days = StockMovement.objects.order_by("version").values_list("occurred_at__day", flat=True)
    assert list(days) == [1, 2, 3, 4, 5]
    at = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert [level.on_hand for level in levels_effective_at(cast.merchant.pk, [cast.mug.pk], at)] == [7]
    assert StockOperation.objects.count() == 1
    assert_ledger_holds()


def test_running_it_again_changes_nothing(cast: Cast) -> None:
    text = HISTORY + "1,receipt,{mug},{w},10,2026-01-01\n2,shipment,{mug},{w},3,2026-01-02\n"
    imported(cast, text)
    size = ledger_size()
    report = imported(cast, text)
    assert (report.imported, report.known, problems(report)) == (0, 2, [])
    assert ledger_size() == size


def test_a_file_that_has_grown_brings_only_its_new_rows(cast: Cast) -> None:
    first = HISTORY + "1,receipt,{mug},{w},10,2026-01-01\n"
    imported(cast, first)
    report = imported(cast, first + "2,receipt,{mug},{w},5,2026-01-02\n")
    assert (report.imported, report.known) == (1, 1)
    assert level_of(cast.mug, cast.warehouse) == (15, 0, 0)


def test_after_a_crash_the_rest_is_imported_and_nothing_twice(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    text = HISTORY + "".join(f"{n},receipt,{{mug}},{{w}},1,2026-01-01\n" for n in range(7))
    batches = iter(range(10))

    def die(posting: Any) -> None:
        if next(batches) == 2:
            raise KeyboardInterrupt
        fill_owed(posting)

    with monkeypatch.context() as patched:
        patched.setattr(import_batch, "fill_owed", die)
        with pytest.raises(KeyboardInterrupt):
            imported(cast, text)
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    report = imported(cast, text)
    assert (report.imported, report.known) == (3, 4)
    assert level_of(cast.mug, cast.warehouse) == (7, 0, 0)
    assert_ledger_holds()


def test_a_key_stands_for_one_row(cast: Cast) -> None:
    imported(cast, HISTORY + "1,receipt,{mug},{w},10,2026-01-01\n")
    report = imported(cast, HISTORY + "1,receipt,{mug},{w},11,2026-01-01\n")
    assert problems(report) == [
        "line 2, key: stands for another row already; give this one a key of its own."
    ]
    assert level_of(cast.mug, cast.warehouse) == (10, 0, 0)


def test_the_keys_of_two_sources_keep_apart(cast: Cast) -> None:
    text = HISTORY + "1,receipt,{mug},{w},10,2026-01-01\n"
    imported(cast, text, source="erp")
    assert imported(cast, text, source="shop").imported == 1
    assert set(ImportedRow.objects.values_list("key", flat=True)) == {"erp:1", "shop:1"}


def test_the_same_row_twice_in_a_file_is_imported_once(cast: Cast) -> None:
    row = "1,receipt,{mug},{w},10,2026-01-01\n"
    report = imported(cast, HISTORY + row + row)
    assert (report.imported, report.known) == (1, 1)


def test_an_opening_balance_is_given_once(cast: Cast) -> None:
    imported(cast, "sku,quantity,occurred_at\n{mug},5,2026-01-01\n")
    report = imported(cast, "sku,quantity,occurred_at\n{mug},6,2026-01-01\n")
    assert "count the variant instead" in problems(report)[0]


def test_an_opening_balance_contains_what_happened_before_it(cast: Cast) -> None:
    imported(cast, "sku,quantity,occurred_at\n{mug},5,2026-01-31\n")
    report = imported(cast, HISTORY + "1,receipt,{mug},{w},10,2026-01-01\n")
    [problem] = problems(report)
    assert problem.startswith("line 2, occurred_at: lies before the opening balance of 2026-01-31")
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_a_level_with_a_history_gets_no_opening_balance_after_it(cast: Cast) -> None:
    cast.receive(3)
    report = imported(cast, "sku,quantity\n{mug},5\n")
    assert "has movements at" in problems(report)[0]
    assert imported(cast, "sku,quantity,occurred_at\n{mug},5,2026-01-31\n").imported == 1
    assert level_of(cast.mug, cast.warehouse) == (8, 0, 0)


def test_rows_without_a_time_happen_when_they_are_imported(cast: Cast) -> None:
    report = imported(
        cast, "key,kind,sku,quantity\n,opening,{mug},5\n1,receipt,{mug},2\n2,shipment,{mug},1\n"
    )
    assert problems(report) == []
    assert level_of(cast.mug, cast.warehouse) == (6, 0, 0)


def test_more_that_leaves_than_is_there_is_refused_by_line(cast: Cast) -> None:
    report = imported(cast, HISTORY + "1,receipt,{mug},{w},3,2026-01-01\n2,shipment,{mug},{w},7,2026-01-02\n")
    [problem] = problems(report)
    assert problem.startswith("line 3, quantity: 7 leave")
    assert "where 3 of" in problem
    assert "sort the rows by time" in problem
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert ImportedRow.objects.count() == 0


def test_history_that_takes_reserved_goods_breaks_the_newest_reservation(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 4)
    report = imported(cast, HISTORY + "1,shipment,{mug},{w},3,2026-01-01\n")
    assert report.short == 2
    assert (held(), owed()) == ({"cart": 2}, {("cart", "broken"): 2})
    assert_ledger_holds()


def test_safety_stock_is_set_beside_a_balance_or_alone(cast: Cast) -> None:
    text = "sku,location,quantity,safety_stock\n{mug},{w},5,2\n{shirt},{s},,3\n"
    report = imported(cast, text)
    assert (report.imported, report.safety_stock_changed, problems(report)) == (1, 2, [])
    assert imported(cast, text).safety_stock_changed == 0
    figures = StockLevel.objects.order_by("id").values_list("variant", "on_hand", "safety_stock")
    assert set(figures) == {(cast.mug.pk, 5, 2), (cast.shirt.pk, 0, 3)}


def test_what_the_command_says_holds_for_rows_that_are_silent(cast: Cast) -> None:
    report = imported(
        cast,
        "key,sku,quantity\n1,{mug},4\n",
        kind="receipt",
        occurred_at="2026-01-01",
        location=cast.store.code,
    )
    assert problems(report) == []
    assert level_of(cast.mug, cast.store) == (4, 0, 0)
    assert StockMovement.objects.get().occurred_at.year == 2026


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark_are_understood(
    cast: Cast, tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "stock.csv"
    path.write_text(
        f"SKU{delimiter}Quantity\n\n{cast.mug.sku}{delimiter}5\n".replace("\n", "\r\n"), encoding="utf-8-sig"
    )
    call_command(
        "import_stock", path, location=cast.warehouse.code, stdout=io.StringIO(), stderr=io.StringIO()
    )
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,receipt,NONE,{w},5,,,,,", "line 2, sku: “NONE” is unknown"),
        ("1,receipt,{mug},NOWHERE,5,,,,,", "line 2, location: “NOWHERE” is unknown"),
        ("1,receipt,,{w},5,,,,,", "line 2, sku: is empty"),
        (",receipt,{mug},{w},5,,,,,", "line 2, key: is empty; give each movement a key"),
        ("1,gift,{mug},{w},5,,,,,", "line 2, kind: “gift” is none of"),
        ("1,receipt,{mug},{w},,,,,,", "line 2, quantity: is empty"),
        ("1,receipt,{mug},{w},0.25,,,,,", "line 2, quantity: “0.25” is no whole number; give base units"),
        ("1,receipt,{mug},{w},0,,,,,", "line 2, quantity: must lie between 1"),
        ("1,receipt,{mug},{w},-3,,,,,", "line 2, quantity: must lie between 1"),
        ("1,adjustment,{mug},{w},0,,,,,", "line 2, quantity: 0 corrects nothing"),
        ("1,receipt,{mug},{w}," + "9" * 40 + ",,,,,", "line 2, quantity: must lie between 1"),
        ("1,receipt,{mug},{w},5,6,,,,", "line 2, unavailable: is a part of the quantity"),
        ("1,shipment,{mug},{w},5,1,,,,", "line 2, unavailable: has no meaning"),
        ("1,receipt,{mug},{w},5,,yesterday,,,", "line 2, occurred_at: “yesterday” is no time"),
        ("1,receipt,{mug},{w},5,,2026-01-01T08:00:00,,,", "line 2, occurred_at: has no offset"),
        ("1,receipt,{mug},{w},5,,2999-01-01,,,", "line 2, occurred_at: lies in the future"),
        ("1,receipt,{mug},{w},5,,,theft,,", "line 2, reason: “theft” is none of"),
        ("1,receipt,{mug},{w},5,,,,,-1", "line 2, safety_stock: must lie between 0"),
        ("1,safety_stock,{mug},{w},,,,,,", "line 2, safety_stock: is empty"),
        ("1,receipt,{mug},{w},5,,,," + "d" * 201 + ",", "line 2, document: at most 200 characters"),
        ("1,receipt,{mug},{w},5", "line 2, row: has 5 fields, the header has 10"),
        ('1,receipt,"{mug},{w},5,,,,,', "file: is not CSV"),
    ],
)
def test_a_row_that_cannot_be_meant_is_told_with_line_column_and_remedy(
    cast: Cast, row: str, problem: str
) -> None:
    header = "key,kind,sku,location,quantity,unavailable,occurred_at,reason,document,safety_stock\n"
    report = imported(cast, header + row + "\n")
    assert any(problem in text for text in problems(report)), problems(report)
    assert ledger_size() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("", "line 1, sku: is missing"),
        ("sku,colour\n", "line 1, colour: is no column"),
        ("sku,sku\n", "line 1, sku: is there twice"),
        ("location,quantity\n", "line 1, sku: is missing"),
    ],
)
def test_a_header_that_cannot_be_meant_is_refused(cast: Cast, header: str, problem: str) -> None:
    assert problem in problems(imported(cast, header))[0]


def test_checking_changes_nothing_and_lists_every_wrong_row(cast: Cast) -> None:
    lines = ["sku,quantity\n", f"{cast.mug.sku},5\n", "A,1\n", f"{cast.shirt.sku},x\n"]
    report = check_file(given(cast), lines)
    assert (report.rows, report.imported, report.error_count) == (3, 1, 2)
    assert ledger_size() == (0, 0, 0, 0)


def test_rows_are_read_as_they_are_needed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    read = 0

    def lines() -> Iterable[str]:
        nonlocal read
        yield HISTORY
        for number in range(100):
            read += 1
            yield f"{number},receipt,{cast.mug.sku},{cast.warehouse.code},1,2026-01-01\n"

    ahead: list[int] = []
    import_file(given(cast), lines(), lambda report: ahead.append(read - report.rows))
    assert max(ahead) <= 1
    assert level_of(cast.mug, cast.warehouse) == (100, 0, 0)


def test_it_waits_for_who_holds_the_stock_and_gives_up_without_loss(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("inventory.importing.time.sleep", pauses.append)

    def busy(*args: Any, **kwargs: Any) -> None:
        raise StockBusy

    with monkeypatch.context() as patched:
        patched.setattr(importing, "perform", busy)
        report = imported(cast, "sku,quantity\n{mug},5\n")
    assert "run it again to go on here" in problems(report)[0]
    assert pauses == [0.2, 1.0, 5.0]
    assert imported(cast, "sku,quantity\n{mug},5\n").imported == 1


@pytest.mark.django_db
def test_safety_stock_of_a_kit_is_refused_with_its_row() -> None:
    kitchen = Kitchen()
    rows = [f"{each.sku},{kitchen.warehouse.code},3" for each in (kitchen.mug, kitchen.set)]
    report = imported(kitchen, "\n".join(["sku,location,safety_stock", *rows]))
    (error,) = report.errors
    assert (error.line, error.column) == (3, "safety_stock")
    assert f"{kitchen.set.sku} is a kit" in str(error)


def run(cast: Cast, path: Path, *options: str) -> tuple[dict[str, Any], int]:
    out = io.StringIO()
    code = 0
    try:
        call_command(
            "import_stock", str(path), "--merchant", cast.merchant.slug, "--json", *options, stdout=out
        )
    except SystemExit as ended:
        code = int(ended.code or 0)
    return json.loads(out.getvalue()), code


def test_the_command_checks_first_and_then_imports(cast: Cast, tmp_path: Path) -> None:
    path = tmp_path / "stock.csv"
    text = f"sku,location,quantity\n{cast.mug.sku},{cast.warehouse.code},5\n"
    path.write_text(text + "NONE,NOWHERE,1\n")
    result, code = run(cast, path)
    assert (code, result["ok"], result["imported"], result["error_count"]) == (1, False, 1, 2)
    assert result["errors"][0]["line"] == 3
    assert ledger_size() == (0, 0, 0, 0)
    path.write_text(text)
    result, code = run(cast, path, "--dry-run")
    assert (code, result["dry_run"], result["imported"]) == (0, True, 1)
    assert ledger_size() == (0, 0, 0, 0)
    result, code = run(cast, path)
    assert (code, result["ok"], result["imported"]) == (0, True, 1)
    assert StockOperation.objects.get().document == "stock.csv"
    result, code = run(cast, path)
    assert (code, result["imported"], result["known"]) == (0, 0, 1)


def test_the_command_names_what_it_cannot_use(cast: Cast, tmp_path: Path) -> None:
    MerchantFactory()
    with pytest.raises(CommandError, match="--merchant: name one of them"):
        call_command("import_stock", str(tmp_path / "none.csv"))
    slug = cast.merchant.slug
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_stock", str(tmp_path / "none.csv"), merchant=slug)
    path = tmp_path / "latin.csv"
    path.write_bytes("sku,quantity\nTÖPFE,5\n".encode("latin-1"))
    result, code = run(cast, path)
    assert code == 1
    assert "is not UTF-8" in result["errors"][0]["message"]
