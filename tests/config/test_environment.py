"""Settings are read strictly, from the environment or from files, and reading them changes nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment, local_secrets
from config.database import external_database


def test_a_value_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv("ONECOUNT_SOMETHING_IN_A_FILE_FILE", str(tmp_path / "key"))
    assert environment.text("ONECOUNT_SOMETHING_IN_A_FILE") == "from the file"


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONECOUNT_MISSING_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ImproperlyConfigured, match="ONECOUNT_MISSING_FILE cannot be read"):
        environment.text("ONECOUNT_MISSING")


@pytest.mark.parametrize(("word", "meaning"), [("true", True), ("ON", True), ("0", False), ("No", False)])
def test_truth_is_one_of_eight_words(monkeypatch: pytest.MonkeyPatch, word: str, meaning: bool) -> None:
    monkeypatch.setenv("ONECOUNT_TRUTH", word)
    assert environment.boolean("ONECOUNT_TRUTH", default=not meaning) is meaning


def test_anything_else_is_no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOUNT_TRUTH", "flase")
    with pytest.raises(ImproperlyConfigured, match="ONECOUNT_TRUTH must be one of"):
        environment.boolean("ONECOUNT_TRUTH", default=False)


@pytest.mark.parametrize("word", ["ten", "1.5", "0", "11"])
def test_numbers_are_whole_and_within_bounds(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("ONECOUNT_NUMBER", word)
    with pytest.raises(ImproperlyConfigured, match="ONECOUNT_NUMBER must be"):
        environment.integer("ONECOUNT_NUMBER", 5, minimum=1, maximum=10)


def test_a_choice_is_one_of_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOUNT_CHOICE", "xml")
    with pytest.raises(ImproperlyConfigured, match="console, json"):
        environment.choice("ONECOUNT_CHOICE", "console", options=("console", "json"))


def test_lists_have_no_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONECOUNT_LIST", " a, ,b,")
    assert environment.strings("ONECOUNT_LIST") == ["a", "b"]


def test_importing_the_settings_writes_nothing_and_opens_no_connection(tmp_path: Path) -> None:
    script = (
        "import os, json; before = dict(os.environ); import config.settings; import psutil; "
        "print(json.dumps([before == dict(os.environ), len(psutil.Process().net_connections('unix'))]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=environment.BASE_DIR,
        env={"PATH": os.environ["PATH"], "ONECOUNT_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == [True, 0]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "url",
    ["mysql://user:hidden@host/name", "postgresql://user:hidden%zz@host/name", "postgresql://hidden@host"],
)
def test_what_is_no_postgresql_database_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="postgresql://user") as raised:
        external_database(url, pool_size=0)
    assert "hidden" not in str(raised.value)


def test_an_external_database_may_be_reached_through_a_socket() -> None:
    database = external_database("postgresql://me@/stock?host=/run/postgresql", pool_size=0)
    assert (database["HOST"], database["NAME"], database["PORT"]) == ("/run/postgresql", "stock", "")


def test_an_external_database_gets_the_same_session_settings_and_keeps_its_own_options() -> None:
    database = external_database("postgresql://me:pass%40word@db:6432/stock?sslmode=require", pool_size=3)
    assert (database["HOST"], str(database["PORT"]), database["PASSWORD"]) == ("db", "6432", "pass@word")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert "-c lock_timeout=5s" in database["OPTIONS"]["options"]
    assert database["OPTIONS"]["pool"]["max_size"] == 3


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    local_secrets.ensure(tmp_path, secret_key=True, credential_keys=True)
    first = (local_secrets.read_secret_key(tmp_path), local_secrets.read_credential_keys(tmp_path))
    local_secrets.ensure(tmp_path, secret_key=True, credential_keys=True)
    assert (local_secrets.read_secret_key(tmp_path), local_secrets.read_credential_keys(tmp_path)) == first
    assert all(first)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_every_setting_is_documented_and_none_that_is_not_read() -> None:
    documented = re.findall(
        r"^#([A-Z][A-Z0-9_]+)=", (environment.BASE_DIR / ".env.example").read_text(), re.M
    )
    sources = [path.read_text() for path in (environment.BASE_DIR / "config").glob("*.py")]
    names = set(_names_read(" ".join(sources)))
    assert names > {"DATABASE_URL", "SECRET_KEY", "ONECOUNT_DATA_DIR"}
    assert sorted(documented) == sorted(names)


def _names_read(source: str) -> list[str]:
    readers = ("text", "boolean", "integer", "strings", "choice")
    pieces = [piece for reader in readers for piece in source.split(f'{reader}("')[1:]]
    return [name for name in (piece.split('"', 1)[0] for piece in pieces) if name.isupper()]
