"""A management command brings its database along, and takes it away again."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from config.environment import BASE_DIR


@pytest.fixture
def environment(open_directory: Path) -> dict[str, str]:
    """An installation that has never been started."""
    return {"PATH": os.environ["PATH"], "ONECOUNT_DATA_DIR": str(open_directory / "data")}


def servers_in(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and process.name() == "postgres" and directory in Path(process.cwd()).parents:
                found.append(process)
    return found


@pytest.mark.slow
def test_a_command_on_a_bare_installation_makes_keys_and_database_and_leaves_no_process(
    environment: dict[str, str], open_directory: Path
) -> None:
    run = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "config"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "[ ] 0001_index_queued_wake_ups" in run.stdout
    made = {path.name for path in (open_directory / "data").iterdir()}
    assert made == {"secret_key", "credential_keys", "postgres"}
    assert servers_in(open_directory) == []


@pytest.mark.slow
def test_a_command_that_is_told_to_end_stops_its_database(
    environment: dict[str, str], open_directory: Path
) -> None:
    command = "import time; print('ready', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", command],
        cwd=BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert servers_in(open_directory)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert servers_in(open_directory) == []


@pytest.mark.slow
def test_help_starts_no_database(environment: dict[str, str], open_directory: Path) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "serve", "--help"],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        check=True,
    )
    assert not (open_directory / "data" / "postgres").exists()
