"""The embedded server starts, is shared, recovers and stops; on real servers in directories of their own."""

import os
import pwd
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from config import postgres_installation as installation
from config.embedded_postgres import SUPERUSER, EmbeddedServer

from .conftest import Hold, has_ended

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to other accounts")


def connect(server: EmbeddedServer) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.socket_directory), port=5432, user=SUPERUSER, dbname="onecount", autocommit=True
    )


def value(server: EmbeddedServer, statement: str) -> object:
    with connect(server) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def postmaster(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(int((server.home / "data" / "postmaster.pid").read_text().split("\n", 1)[0]))


def wait_until_ended(process: psutil.Process) -> None:
    deadline = time.monotonic() + 10
    while not has_ended(process):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_start_makes_a_utf8_database_that_listens_on_no_port(server: EmbeddedServer) -> None:
    server.acquire()
    assert value(server, "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert value(server, "SHOW server_encoding") == "UTF8"
    assert value(server, "SHOW listen_addresses") == ""
    assert value(server, "SHOW timezone") == "UTC"
    assert value(server, "SELECT string_agg(extname, ',') FROM pg_extension") == "plpgsql"
    assert not postmaster(server).net_connections(kind="inet")


def test_the_socket_and_the_data_are_open_to_one_account_alone(server: EmbeddedServer) -> None:
    server.acquire()
    for directory in (server.socket_directory, server.home / "data"):
        status = directory.stat()
        assert status.st_mode & 0o777 == 0o700
        assert status.st_uid == installation.account().uid
    assert postmaster(server).uids().real == installation.account().uid != 0


@pytest.mark.slow
def test_commits_are_durable_unless_asked_otherwise(open_directory: Path) -> None:
    server = EmbeddedServer(open_directory / "durable")
    server.acquire()
    try:
        settings = [
            value(server, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")
        ]
    finally:
        server.release()
    assert settings == ["on", "on", "on"]


def test_the_last_one_out_stops_the_server_and_a_warm_start_finds_the_data(server: EmbeddedServer) -> None:
    server.acquire()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    process = postmaster(server)
    server.release()
    assert has_ended(process)
    assert not (server.home / "data" / "postmaster.pid").exists()
    server.acquire()
    assert value(server, "SELECT n FROM kept") == 7


@pytest.mark.slow
def test_two_processes_share_one_server_until_both_have_left(server: EmbeddedServer, hold: Hold) -> None:
    holder = hold(server.home)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    process = postmaster(server)
    server.acquire()
    assert postmaster(server) == process
    holder.communicate()
    assert value(server, "SELECT 1") == 1
    server.release()
    assert has_ended(process)


@pytest.mark.slow
def test_two_processes_that_start_at_once_on_an_empty_directory_end_with_one_server(
    server: EmbeddedServer, hold: Hold
) -> None:
    holders = [hold(server.home) for _ in range(3)]
    for holder in holders:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
    servers = [p for p in psutil.process_iter() if is_postmaster_of(p, server)]
    assert servers == [postmaster(server)]


def is_postmaster_of(process: psutil.Process, server: EmbeddedServer) -> bool:
    try:
        return process.name() == "postgres" and str(server.home / "data") in process.cmdline()
    except psutil.Error:
        return False


@pytest.mark.slow
def test_a_server_whose_only_user_was_killed_is_taken_over_and_stopped_by_the_next(
    server: EmbeddedServer, hold: Hold
) -> None:
    holder = hold(server.home)
    assert holder.stdout is not None
    holder.stdout.readline()
    process = postmaster(server)
    holder.kill()
    holder.wait()
    assert process.is_running()
    server.acquire()
    assert postmaster(server) == process
    server.release()
    assert not server.is_running()


@pytest.mark.slow
def test_a_killed_server_recovers_with_what_was_committed_and_without_its_orphans(
    open_directory: Path,
) -> None:
    server = EmbeddedServer(open_directory / "postgres")
    server.acquire()
    connection = connect(server)
    connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    orphan = psutil.Process(connection.info.backend_pid)
    # Stopped, it cannot notice that the server has died, and keeps the shared memory in use.
    orphan.send_signal(signal.SIGSTOP)
    killed = postmaster(server)
    killed.kill()
    wait_until_ended(killed)
    assert server.revive()
    assert postmaster(server) != killed
    assert value(server, "SELECT n FROM kept") == 7
    assert has_ended(orphan)
    assert not server.revive()
    connection.close()
    server.release()


@pytest.mark.slow
def test_a_pid_file_whose_number_belongs_to_another_program_does_not_stop_the_start_nor_the_program(
    server: EmbeddedServer,
) -> None:
    server.acquire()
    pid_file = server.home / "data" / "postmaster.pid"
    content = pid_file.read_text().split("\n", 1)[1]
    server.release()
    account = installation.account()
    other = subprocess.Popen(
        ["sleep", "60"],
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
    )
    try:
        pid_file.write_text(f"{other.pid}\n{content}")
        os.chown(pid_file, account.uid, account.gid)
        server.acquire()
        assert value(server, "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.slow
def test_a_server_that_lost_its_socket_is_replaced(server: EmbeddedServer, hold: Hold) -> None:
    holder = hold(server.home)
    assert holder.stdout is not None
    holder.stdout.readline()
    lost = postmaster(server)
    (server.socket_directory / ".s.PGSQL.5432").unlink()
    server.acquire()
    assert postmaster(server) != lost
    assert value(server, "SELECT 1") == 1


@pytest.mark.slow
def test_an_interrupted_first_start_is_begun_again(server: EmbeddedServer) -> None:
    installation.make_home(server.home)
    half = server.home / "data.incomplete"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server.acquire()
    assert value(server, "SELECT 1") == 1


@pytest.mark.slow
def test_a_child_forked_from_a_holder_does_not_stop_the_server_when_it_ends(server: EmbeddedServer) -> None:
    server.acquire()
    run_in_child(server.release)
    assert value(server, "SELECT 1") == 1


@pytest.mark.slow
@needs_root
def test_an_ordinary_user_runs_a_server_of_their_own(open_directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = open_directory / "mine"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    def use() -> None:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        installation.account.cache_clear()
        server = EmbeddedServer(home / "postgres", is_durable=False)
        server.acquire()
        assert postmaster(server).uids().real == nobody.pw_uid
        assert value(server, "SELECT 1") == 1
        server.release()
        assert not server.is_running()

    run_in_child(use)
    assert (home / "postgres").stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
@needs_root
def test_root_uses_a_directory_of_its_own_where_the_servers_account_cannot_pass(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(installation, "_SYSTEM_HOME", open_directory / "system")
    server = EmbeddedServer(closed / "postgres", is_durable=False)
    server.acquire()
    try:
        assert server.home.parent == open_directory / "system"
        assert value(server, "SELECT 1") == 1
    finally:
        server.release()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not list(closed.iterdir())


@pytest.mark.slow
@needs_root
def test_root_copies_binaries_that_the_servers_account_cannot_reach(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_SYSTEM_HOME", open_directory / "system")
    package = installation.binaries().parent.parent
    copied = installation._copied(package) / package.name / "pginstall18" / "bin"
    account = installation.account()
    version = subprocess.run(
        [copied / "initdb", "--version"],
        user=account.uid,
        group=account.gid,
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )
    assert " 18." in version.stdout
    assert installation._copied(package) / package.name / "pginstall18" / "bin" == copied


def test_a_deep_directory_gets_a_socket_path_within_the_limit(tmp_path: Path) -> None:
    short = installation.socket_directory_for(tmp_path)
    deep = installation.socket_directory_for(tmp_path / ("x" * 120))
    assert short == tmp_path / "socket"
    assert len(str(deep / ".s.PGSQL.5432")) <= 107
    assert deep != installation.socket_directory_for(tmp_path / ("y" * 120))


@pytest.mark.slow
def test_a_server_in_a_deep_directory_answers(open_directory: Path) -> None:
    server = EmbeddedServer(open_directory / ("x" * 120), is_durable=False)
    server.acquire()
    try:
        assert value(server, "SELECT 1") == 1
    finally:
        server.release()
        server.socket_directory.rmdir()


def test_a_socket_directory_that_others_can_enter_is_refused(open_directory: Path) -> None:
    open_to_all = open_directory / "socket"
    open_to_all.mkdir(mode=0o755)
    with pytest.raises(ImproperlyConfigured, match="mode 0700"):
        installation.make_private(open_to_all)


def run_in_child(work: Callable[[], None]) -> None:
    """Runs the work in a fork of this process, and fails with its traceback when it raises."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 (the fork must not return into the test run)
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    _pid, wait_status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(wait_status) == 0
