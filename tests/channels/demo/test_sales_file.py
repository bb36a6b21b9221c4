"""A sales file becomes sales, returns and adjustments; every other row has its reason."""

import csv
import gzip
import io
import os
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.demo.sales_file import NO_GOODS, Columns, Row, RowKind, Tally, read_rows
from config.environment import BASE_DIR
from tests.channels.demo.files import HEADER, line, read, skus, write

REAL_FILE = (
    Path(os.environ.get("ONECOUNT_SHARED", BASE_DIR.parent / "shared"))
    / "data"
    / "online_retail_2010-12_2011-08.csv.gz"
)


def only_reason(directory: Path, text: str) -> str:
    """Returns why a file's only row is not played."""
    rows, tally = read(write(directory, text))
    assert rows == []
    assert tally.rows_read == 1
    ((reason, count),) = tally.rejected.items()
    assert count == 1
    return reason


# -- what is played


def test_a_positive_row_is_a_sale(tmp_path: Path) -> None:
    rows, tally = read(write(tmp_path, line("536365", "85123A", 6, title="White heart", price="2.55")))

    assert rows == [
        Row(2, RowKind.SALE, "536365", "85123A", "White heart", 6, Decimal("2.55"), "United Kingdom")
    ]
    assert (tally.rows_read, tally.rejected) == (1, {})


@pytest.mark.parametrize("order", ["C536379", "c536379"])
def test_a_negative_row_of_a_cancelling_order_takes_units_back(tmp_path: Path, order: str) -> None:
    rows, _ = read(write(tmp_path, line(order, "85123A", -2)))

    assert (rows[0].kind, rows[0].quantity) == (RowKind.RETURN, 2)


def test_a_negative_row_of_another_order_corrects_the_stock_and_keeps_its_sign(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, line("536589", "21777", -10, title="", price=0)))

    assert (rows[0].kind, rows[0].quantity) == (RowKind.ADJUSTMENT, -10)


def test_a_row_without_a_title_is_called_by_its_sku(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, line(sku="21777", title=" ")))

    assert rows[0].title == "21777"


def test_skus_are_told_apart_by_case_and_freed_of_surrounding_blanks(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, line(sku=" 85123A "), line(sku="85123a"), line(sku="85123A")))

    assert skus(rows) == ["85123A", "85123a", "85123A"]


@pytest.mark.parametrize("sku", NO_GOODS)
def test_codes_of_charges_are_no_goods(tmp_path: Path, sku: str) -> None:
    assert only_reason(tmp_path, line(sku=sku)) == "no goods"


def test_a_code_that_only_begins_like_a_charge_is_goods(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, line(sku="POSTER"), line(sku="post")))

    assert skus(rows) == ["POSTER", "post"]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("2.55", "2.55"),
        (" 3 ", "3"),
        ("", "0"),
        ("-11062.06", "0"),
        ("NaN", "0"),
        ("sNaN", "0"),
        ("Infinity", "0"),
        ("1e308", "0"),
        ("free", "0"),
    ],
)
def test_a_price_that_is_none_counts_as_nothing_and_loses_no_row(
    tmp_path: Path, text: str, price: str
) -> None:
    rows, _ = read(write(tmp_path, line(price=text)))

    assert rows[0].price == Decimal(price)


def test_other_names_of_columns_can_be_given(tmp_path: Path) -> None:
    columns = Columns("order_id", "sku", "name", "units", "when", "amount", "land")
    path = write(tmp_path, "A1,X,Mug,2,today,9.95,NL", header="order_id,sku,name,units,when,amount,land")

    rows, _ = read(path, columns)

    assert rows == [Row(2, RowKind.SALE, "A1", "X", "Mug", 2, Decimal("9.95"), "NL")]


def test_title_price_and_country_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path, "A1,X,2,today", header="InvoiceNo,StockCode,Quantity,InvoiceDate")

    rows, _ = read(path)

    assert rows == [Row(2, RowKind.SALE, "A1", "X", "X", 2, Decimal(0), "")]


# -- rows with a reason


@pytest.mark.parametrize(
    "quantity",
    ["１２", "٣", "²", "1.5", "6.0", "1e3", "0x10", "1_000", "", " ", "six", "--6", "+-6", "−6", "NaN"],
)
def test_a_quantity_that_is_no_whole_number_in_ascii_digits_is_refused(tmp_path: Path, quantity: str) -> None:
    assert only_reason(tmp_path, line(quantity=quantity)) == "quantity is not a whole number"


@pytest.mark.parametrize("quantity", [0, "-0", 1_000_001, -1_000_001, 2**63, -(2**63), "9" * 5000])
def test_a_quantity_of_0_or_beyond_any_order_is_refused(tmp_path: Path, quantity: object) -> None:
    assert only_reason(tmp_path, line(quantity=quantity)) == "quantity is 0 or absurd"


@pytest.mark.parametrize(("quantity", "units"), [("+6", 6), (" 6 ", 6), ("006", 6), (1_000_000, 1_000_000)])
def test_a_sign_blanks_and_leading_zeros_do_no_harm(tmp_path: Path, quantity: object, units: int) -> None:
    rows, _ = read(write(tmp_path, line(quantity=quantity)))

    assert rows[0].quantity == units


def test_a_cancellation_that_adds_units_is_refused(tmp_path: Path) -> None:
    assert only_reason(tmp_path, line("C1", quantity=5)) == "positive quantity in a cancellation"


@pytest.mark.parametrize("text", [line(order=" "), line(sku=""), "536365", " "])
def test_a_row_without_order_number_or_sku_is_refused(tmp_path: Path, text: str) -> None:
    assert only_reason(tmp_path, text) == "no order number or SKU"


def test_a_row_that_ends_early_is_refused(tmp_path: Path) -> None:
    assert only_reason(tmp_path, "536365,85123A,Mug") == "quantity is not a whole number"


def test_a_row_with_more_cells_than_columns_is_refused_because_its_cells_have_shifted(tmp_path: Path) -> None:
    shifted = "536365,85123A,Mugs,12,6,2010-12-01,2.55,United Kingdom"

    assert only_reason(tmp_path, shifted) == "more cells than columns"


def test_empty_cells_behind_the_last_column_do_no_harm(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, line() + ",,"))

    assert rows[0].quantity == 6


@pytest.mark.parametrize("text", [line(order="5\0"), line(sku="8\0"), line(title="M\0g")])
def test_text_that_no_database_holds_is_refused(tmp_path: Path, text: str) -> None:
    assert only_reason(tmp_path, text) == "holds a NUL character"


@pytest.mark.parametrize("text", [line(order="5" * 101), line(sku="8" * 129)])
def test_an_order_number_or_sku_that_fits_nowhere_is_refused(tmp_path: Path, text: str) -> None:
    assert only_reason(tmp_path, text) == "order number or SKU is too long"


def test_reasons_are_counted_and_good_rows_between_are_played(tmp_path: Path) -> None:
    path = write(tmp_path, line(sku="POST"), line(sku="A"), line(quantity="x"), line(sku="M"), line(sku="Z"))

    rows, tally = read(path)

    assert skus(rows) == ["A", "Z"]
    assert tally.rows_read == 5
    assert tally.rejected == {"no goods": 2, "quantity is not a whole number": 1}


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    rows, tally = read(write(tmp_path, "", line(sku="A"), "", "", line(sku="Z"), ""))

    assert skus(rows) == ["A", "Z"]
    assert tally.rows_read == 2


_CELL = st.text(max_size=6) | st.sampled_from(
    ["536365", "C1", "A", "POST", "5", "-3", "0", "1.0", "１２", str(2**63), "\0", '"', ",", "\n", "\r", "é"]
)


@given(table=st.lists(st.lists(_CELL, max_size=9), max_size=12))
def test_every_row_read_has_exactly_one_outcome(
    table: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER.split(","))
    writer.writerows(table)
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "replace"))

    rows, tally = read(path)

    assert tally.rows_read == sum(1 for cells in table if cells) == len(rows) + sum(tally.rejected.values())
    for row in rows:
        assert row.sku
        assert row.order
        assert "\0" not in row.sku + row.order + row.title
        assert (row.quantity < 0) == (row.kind is RowKind.ADJUSTMENT)
        assert 0 < abs(row.quantity) <= 1_000_000
        assert 0 <= row.price <= 1_000_000_000


# -- how files are written


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(f"{HEADER}\n{line()}\n", encoding="utf-8-sig")

    assert len(read(path)[0]) == 1


def test_quoted_commas_quotes_and_line_breaks_belong_to_their_cell(tmp_path: Path) -> None:
    path = write(tmp_path, line(title='"Mug, ""large""\nwith lid"'), line(sku="Z"))

    rows, tally = read(path)

    assert rows[0].title == 'Mug, "large"\nwith lid'
    assert [row.line for row in rows] == [3, 4]
    assert tally.rows_read == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(end.join([HEADER, line(sku="A"), line(sku="Z")]).encode())

    assert skus(read(path)[0]) == ["A", "Z"]


@pytest.mark.parametrize("name", ["sales.csv.gz", "sales.GZ", "sales.csv"])
def test_a_gzipped_file_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(f"{HEADER}\n{line()}\n".encode()))

    assert len(read(path)[0]) == 1


def test_a_plain_file_is_read_even_when_it_is_called_gz(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, line(), name="sales.csv.gz"))[0]) == 1


def test_a_file_with_a_header_and_nothing_else_holds_no_rows(tmp_path: Path) -> None:
    rows, tally = read(write(tmp_path))

    assert (rows, tally.rows_read) == ([], 0)


def test_no_row_beyond_those_asked_for_is_read(tmp_path: Path) -> None:
    tally = Tally()
    path = write(tmp_path, line(sku="A"), line(sku="Z"), "\ufffd" * 10)

    assert skus(islice(read_rows(path, tally, columns=Columns()), 1)) == ["A"]
    assert tally.rows_read == 1


def test_the_real_history_reads_without_a_row_that_has_no_outcome() -> None:
    if not REAL_FILE.exists():
        pytest.skip(f"{REAL_FILE} is not there")
    tally = Tally()

    rows = list(islice(read_rows(REAL_FILE, tally, columns=Columns()), 3000))

    assert len(rows) == 3000
    assert tally.rows_read == 3000 + sum(tally.rejected.values())
    assert set(tally.rejected) <= {"no goods", "quantity is 0 or absurd"}
    assert {row.kind for row in rows} == set(RowKind)
    assert rows[0].sku == "85123A"
    assert rows[0].title == "WHITE HANGING HEART T-LIGHT HOLDER"
