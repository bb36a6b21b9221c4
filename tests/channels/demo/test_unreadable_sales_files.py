"""A sales file that cannot be played is refused in words: which line, and what to do."""

import gzip
from pathlib import Path

import pytest

from channels.demo.sales_file import Columns, SalesFileError
from tests.channels.demo.files import HEADER, line, read, write


def refusal(path: Path, columns: Columns | None = None) -> str:
    """Returns the message with which a file is refused."""
    with pytest.raises(SalesFileError) as raised:
        read(path, columns)
    return str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == (
        f"{tmp_path / 'none.csv'}: No such file or directory. Check the path."
    )


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "Is a directory. Check the path." in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0), b"\n\n", "\ufeff".encode()])
def test_an_empty_file_has_no_columns(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(content)

    message = refusal(path)

    assert message.startswith("Line 1: no column InvoiceNo, StockCode, Quantity, InvoiceDate;")
    assert "no columns" in message


def test_missing_columns_are_named_beside_those_there_are_and_the_options_that_mend_it(
    tmp_path: Path,
) -> None:
    message = refusal(write(tmp_path, header="InvoiceNo,SKU,Quantity,Date"))

    assert "Line 1: no column StockCode, InvoiceDate; the file has InvoiceNo, SKU, Quantity, Date." in message
    assert "--sku-column" in message
    assert "--date-column" in message


def test_a_file_with_semicolons_is_told_to_use_commas(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, header=HEADER.replace(",", ";")))

    assert "Separate columns by commas" in message


def test_columns_that_were_named_wrongly_on_the_command_line_are_named(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, line()), Columns(sku="sku"))

    assert "no column sku;" in message


def test_a_column_that_is_there_twice_is_refused_because_either_could_be_meant(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, header=HEADER + ",Quantity"))

    assert message == "Line 1: two columns are called Quantity. Rename those that are not meant."


def test_a_column_that_is_not_read_may_be_there_twice(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, line() + ",a,b", header=HEADER + ",Note,Note"))[0]) == 1


@pytest.mark.parametrize("rows_before", [0, 1, 5000])
def test_the_first_line_that_is_not_utf_8_is_named_with_the_remedy(tmp_path: Path, rows_before: int) -> None:
    path = tmp_path / "sales.csv"
    good = f"{line()}\n" * rows_before
    path.write_bytes(f"{HEADER}\n{good}{line(title='Café')}\n{line(title='Thé')}\n".encode("latin1"))

    message = refusal(path)

    assert f"sales.csv, line {rows_before + 2}: not UTF-8" in message
    assert "iconv -f latin1 -t utf-8" in message


def test_the_line_is_found_in_a_gzipped_file_too(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{line()}\n{line(title='Café')}\n".encode("latin1")))

    assert "sales.csv.gz, line 3: not UTF-8" in refusal(path)


def test_a_header_that_is_not_utf_8_is_line_1(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(f"{HEADER},Übrig\n".encode("latin1"))

    assert "sales.csv, line 1: not UTF-8" in refusal(path)


@pytest.mark.parametrize("cut", [b"Caf\xc3", b"Caf\xc3\n", b"\xed\xa0\x80\n"])
def test_half_a_character_and_lone_surrogates_are_not_utf_8(tmp_path: Path, cut: bytes) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(f"{HEADER}\n{line()}\n".encode() + cut)

    assert "line 3: not UTF-8" in refusal(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_utf_16_file_is_told_its_own_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(f"\ufeff{HEADER}\n{line()}\n".encode(encoding))

    message = refusal(path)

    assert "line 1: not UTF-8" in message
    assert "iconv -f utf-16 -t utf-8" in message


def test_a_truncated_gzip_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    text = HEADER + "\n" + "".join(f"{line(order=str(number))}\n" for number in range(3000))
    whole = gzip.compress(text.encode())
    path = tmp_path / "sales.csv.gz"
    for length in (10, 11, 100, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:length])

        message = refusal(path)

        assert message.startswith("sales.csv.gz, line "), length
        assert message.endswith("Repair or export the file again."), length


def test_a_damaged_gzip_file_is_refused_at_whatever_byte(tmp_path: Path) -> None:
    text = HEADER + "\n" + "".join(f"{line(order=str(number))}\n" for number in range(300))
    whole = bytearray(gzip.compress(text.encode()))
    path = tmp_path / "sales.csv.gz"
    for position in range(10, len(whole), 97):
        whole[position] ^= 0xFF
        path.write_bytes(whole)
        whole[position] ^= 0xFF

        assert "sales.csv.gz" in refusal(path) or "Line 1" in refusal(path)


def test_a_quotation_mark_that_is_never_closed_is_refused_with_the_line_where_it_opens(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, line(), line(title='"Mug'), line(), line())

    message = refusal(path)

    assert message.startswith("sales.csv, line 3 or soon after: unexpected end of data.")


def test_a_cell_of_a_megabyte_is_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, line(), line(title="M" * 1_000_000)))

    assert message.startswith("sales.csv, line 3 or soon after: field larger than field limit")


def test_rows_before_the_damage_count_as_lines_even_where_cells_have_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path, line(title='"Mug\n\nwith lid"'), line(title='"a"b'))

    assert refusal(path).startswith("sales.csv, line 5 or soon after: ")
