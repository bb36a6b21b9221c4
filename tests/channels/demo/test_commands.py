"""The commands explain themselves, and refuse what they cannot do in words, before anything is started."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line

from analytics.benchmarks import BENCHMARKS, OPTIONS
from channels.demo.options import is_well
from tests.channels.demo.files import line, write


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "demo",
            [
                "--for",
                "--rate",
                "--faults",
                "--json",
                "--platforms",
                "--shop-limits",
                "--profile",
                "--port",
                "--seed",
            ],
        ),
        (
            "replay_sales",
            ["file", "--limit-orders", "--stock-ratio", "--rate", "--sku-column", "--no-goods", "--json"],
        ),
        (
            "benchmark",
            [f"{{{','.join(BENCHMARKS)},all}}", *(f"--{name}" for name in OPTIONS), "--skip", "--json"],
        ),
        ("verify_ledger", ["--json", "--at-most"]),
    ],
)
def test_help_names_every_option(
    command: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", command, "--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in options)
    assert len(shown.splitlines()) > 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--rate", "0"], "--rate: 0 is not above 0."),
        (["demo", "--rate", "nan"], "--rate: nan is not finite."),
        (["demo", "--for", "-5"], "--for: -5 is not above 0."),
        (["demo", "--for", "soon"], "--for: 'soon' is no number."),
        (["demo", "--port", "70000"], "--port: 70000 is no port; choose one from 1 to 65535."),
        (["demo", "--shop-port", "0"], "--shop-port: 0 is no port"),
        (["demo", "--workers", "0"], "--workers: 0 is below 1."),
        (["demo", "--profile", "evil"], "--profile: invalid choice: 'evil'"),
        (
            ["demo", "--platforms", "bol,ebay"],
            "--platforms: ebay is no platform of the demo; choose from shopify, ",
        ),
        (["demo", "--platforms", ","], "--platforms: name at least one platform: shopify, "),
        (["replay_sales"], "the following arguments are required: file"),
        (["replay_sales", "f.csv", "--limit-orders", "0"], "--limit-orders: 0 is below 1."),
        (["replay_sales", "f.csv", "--limit-orders", "1.5"], "--limit-orders: '1.5' is no whole number."),
        (["replay_sales", "f.csv", "--stock-ratio", "-1"], "--stock-ratio: -1 is below 0."),
        (["replay_sales", "f.csv", "--stock-ratio", "inf"], "--stock-ratio: inf is not finite."),
        (["replay_sales", "f.csv", "--rate", "0"], "--rate: 0 is not above 0."),
        (["replay_sales", "f.csv", "--shop-limits", "none"], "--shop-limits: invalid choice: 'none'"),
        (["benchmark", "speed"], "name: invalid choice: 'speed'"),
        (["benchmark", "reserve", "--runs", "0"], "--runs: 0 is below 1."),
        (["benchmark", "reserve", "--seconds", "0"], "--seconds: 0 is not above 0."),
        (["benchmark", "scale", "--sizes", "10,none"], "--sizes: 'none' is no whole number."),
        (["benchmark", "all", "--skip", "speed"], "--skip: invalid choice: 'speed'"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(*arguments)

    assert message in str(refused.value)


def refusal_of(path: Path, *options: str) -> str:
    """Returns the words with which a replay of the file is refused."""
    with pytest.raises(CommandError) as refused:
        call_command("replay_sales", str(path), *options, stdout=StringIO(), stderr=StringIO())
    return str(refused.value)


def test_a_sales_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "none.csv: No such file or directory. Check the path." in refusal_of(tmp_path / "none.csv")


def test_wrong_columns_are_named_with_the_options_that_mend_them(tmp_path: Path) -> None:
    path = write(tmp_path, line(), header="order,sku,name,units,when,price,country")

    message = refusal_of(path, "--sku-column", "sku", "--quantity-column", "units")

    assert "no column InvoiceNo, InvoiceDate;" in message
    assert "--order-column" in message


def test_a_file_in_another_encoding_is_refused_with_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(write(tmp_path, line(), line(title="Café")).read_text().encode("latin1"))

    message = refusal_of(path)

    assert "sales.csv, line 3: not UTF-8" in message
    assert "iconv" in message


def test_a_file_without_a_row_to_play_says_why(tmp_path: Path) -> None:
    path = write(tmp_path, line(sku="POST"), line(quantity="１２"))

    message = refusal_of(path)

    assert "no row can be played" in message
    assert "no goods" in message
    assert "quantity is not a whole number" in message


def test_an_empty_history_is_refused(tmp_path: Path) -> None:
    assert "no row can be played. It is empty." in refusal_of(write(tmp_path))


def test_codes_that_are_no_goods_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path, line(sku="FREIGHT"))

    assert "'no goods': 1" in refusal_of(path, "--no-goods", "FREIGHT,POST")


@pytest.mark.parametrize(
    "trouble",
    [
        {"ledger_ok": False},
        {"diverged_listings": 1},
        {"latency_unfinished": 1},
        {"every_row_accounted_for": False},
    ],
)
def test_a_run_ends_well_only_when_nothing_is_wrong(trouble: dict[str, object]) -> None:
    well: dict[str, object] = {"ledger_ok": True, "diverged_listings": 0, "latency_unfinished": 0}

    assert is_well(well)
    assert is_well(well | {"every_row_accounted_for": True})
    assert not is_well(well | trouble)
