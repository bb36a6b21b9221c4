"""Runs the program's own PostgreSQL when no `DATABASE_URL` is given.

One server serves every process of an installation. Each of them holds a shared lock on `users.lock` while it
lives; the kernel drops it however the process ends. Whoever needs the server starts it under the exclusive
`start.lock`, or finds it running; whoever leaves and can take `users.lock` exclusively was the last, and
stops it. A server whose last user was killed stays up until the next user leaves.

The server listens on a socket in a directory of mode 0700, on no port, and takes its settings from flags
rather than from edited files.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import psutil
import psycopg
from psycopg import sql

from config import postgres_installation as installation

DATABASE_NAME: Final = "onecount"
SUPERUSER: Final = "onecount"

_START_TIMEOUT_SECONDS: Final = 120.0
_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01
_LOG_LIMIT_BYTES: Final = 10_000_000

_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "max_wal_size": "2GB",
    # An import fills empty tables within seconds; by a minute of stale statistics every statement would be planned badly.
    "autovacuum_naptime": "10s",
    # But each look at a table has all connections plan their statements on it anew; young tables would have one all the time.
    "autovacuum_analyze_threshold": "250",
    "autovacuum_vacuum_threshold": "250",
    # Containers often give /dev/shm 64 MB, which parallel queries outgrow.
    "dynamic_shared_memory_type": "mmap",
}
#: For the test run alone: what a crash would lose there is thrown away anyway.
_FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


#: Seconds after which the log is archived at the latest, however little there is of it: what a lost disk costs.
_ARCHIVE_SECONDS: Final = 60

_left_to_others: Final[list[subprocess.Popen[bytes]]] = []


class EmbeddedServerError(RuntimeError):
    """The embedded PostgreSQL server cannot be started."""


class EmbeddedServer:
    """A PostgreSQL server under `home`, shared by every process that has called `acquire`."""

    def __init__(
        self,
        home: Path,
        *,
        is_durable: bool = True,
        archive: Path | None = None,
        further_settings: Mapping[str, str] | None = None,
        patience: float = _START_TIMEOUT_SECONDS,
    ) -> None:
        """`archive` keeps every piece of the write-ahead log; `patience` is in seconds, for the start."""
        self.home = installation.home_for(home)
        self.socket_directory = installation.socket_directory_for(self.home)
        self._data = self.home / "data"
        self._log = self.home / "postgres.log"
        self._archive = archive
        self._settings = _SETTINGS | ({} if is_durable else _FORGETFUL)
        self._settings |= {} if archive is None else _archiving(archive)
        self._settings |= further_settings or {}
        self._patience = patience
        self._share: IO[bytes] | None = None
        self._holder_pid = 0
        self._child: subprocess.Popen[bytes] | None = None

    def acquire(self) -> None:
        """Makes sure that the server answers, and that it stays while this process lives; twice is once.

        Raises EmbeddedServerError, with the end of the server's log, when it does not come up.
        """
        if self._share is not None and self._holder_pid == os.getpid():
            return
        installation.make_home(self.home)
        with self._start_lock():
            share = (self.home / "users.lock").open("ab")
            fcntl.flock(share, fcntl.LOCK_SH)
            self._share, self._holder_pid = share, os.getpid()
            self._ensure_running()

    def release(self) -> None:
        """Gives up this process's share, and stops the server when it was the last one.

        A process forked from a holder inherits the share and keeps the server up while it lives, but does not
        release it.
        """
        if self._share is None or self._holder_pid != os.getpid():
            return
        with self._start_lock():
            self._share.close()
            self._share = None
            with (self.home / "users.lock").open("ab") as users:
                if _try_exclusive(users):
                    self._stop()
        if self._child is not None:
            # It serves others now. Kept, because a handle that is dropped warns of a child that still runs.
            _left_to_others.append(self._child)
            self._child = None

    def revive(self) -> bool:
        """Starts the server again when it has died while this process holds it; returns whether it had."""
        if self._share is None or self.is_running():
            return False
        with self._start_lock():
            self._ensure_running()
        return True

    def is_running(self) -> bool:
        """Returns whether a server process of this data directory exists."""
        return self._postmaster() is not None

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with (self.home / "start.lock").open("ab") as file:
            deadline = time.monotonic() + _START_TIMEOUT_SECONDS
            while not _try_exclusive(file):
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Another process has held {file.name} for {_START_TIMEOUT_SECONDS:.0f} s."
                    )
                time.sleep(_POLL_SECONDS)
            yield

    def _ensure_running(self) -> None:
        if self._answers():
            return
        if self._postmaster() is not None and not self._has_socket():
            # Running, but nobody can reach it any more: something removed its socket.
            self._stop()
        if self._postmaster() is None:
            self._clear_remains()
            self._initialise()
            self._start()
        self._wait_until_it_answers()

    def _has_socket(self) -> bool:
        """Returns whether the socket is there; a server that is starting may need a second."""
        deadline = time.monotonic() + 1.0
        while not (self.socket_directory / ".s.PGSQL.5432").exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _answers(self) -> bool:
        try:
            self._connect(DATABASE_NAME).close()
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error) or DATABASE_NAME not in str(error):
                return False
            self._create_database()
        return True

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket_directory),
            port=5432,
            user=SUPERUSER,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE_NAME)))

    def _postmaster(self) -> psutil.Process | None:
        """Returns the server that the pid file names, unless the number now belongs to something else."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
        except (FileNotFoundError, NotADirectoryError, ValueError, psutil.NoSuchProcess):
            return None
        return process if self._is_ours(process) else None

    def _is_ours(self, process: psutil.Process) -> bool:
        """Returns whether this is a live process of PostgreSQL that works in our data directory."""
        try:
            is_postgres = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            return is_postgres and self._works_here(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()) == self._data.resolve()
        except psutil.AccessDenied:
            # Root in a container may not look into another account's process; its command line all may read.
            words = process.cmdline()
            is_account = process.uids().real == installation.account().uid
            return is_account and words[1:3] == ["-D", str(self._data)]

    def _clear_remains(self) -> None:
        """Ends backends that outlived a killed server, and removes its pid file.

        They would keep its shared memory in use, and PostgreSQL refuses to start over a number in the pid
        file that is alive, whoever has it now.
        """
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        orphans = [process for process in psutil.process_iter() if self._is_ours(process)]
        _end(orphans)
        pid_file.unlink(missing_ok=True)

    def _initialise(self) -> None:
        installation.make_private(self.socket_directory)
        if self._archive is not None:
            self._make_archive(self._archive)
        if self._data.exists():
            return
        # Under another name until complete, so that a killed initdb leaves nothing that looks like a cluster.
        draft = self.home / "data.incomplete"
        shutil.rmtree(draft, ignore_errors=True)
        installation.make_private(draft)
        self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(() if "fsync" not in self._settings else ("--no-sync",)),
        )
        draft.rename(self._data)

    def _make_archive(self, directory: Path) -> None:
        """Creates the directory of the archived log, and refuses one that the server could not write to."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        installation.make_private(directory)
        if not installation.account().can_enter(directory):
            raise EmbeddedServerError(
                f"PostgreSQL's account cannot reach {directory}. Choose another ONECOUNT_WAL_ARCHIVE, or let it pass."
            )

    def _run(self, program: str, *arguments: str) -> None:
        with self._open_log() as log:
            status = self._spawn(log, program, *arguments).wait()
        if status != 0:
            raise EmbeddedServerError(f"{program} ended with status {status}.\n{self._log_tail()}")

    def _start(self) -> None:
        settings = self._settings | {"unix_socket_directories": str(self.socket_directory)}
        if self._child is not None:
            self._child.poll()  # the server that this one replaces, if it was ours, is laid to rest
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        with self._open_log() as log:
            self._child = self._spawn(log, "postgres", "-D", str(self._data), *flags)

    def _spawn(self, log: IO[bytes], program: str, *arguments: str) -> subprocess.Popen[bytes]:
        account = installation.account()
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        return subprocess.Popen(
            [str(installation.binaries() / program), *arguments],
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
            user=account.uid if account.is_other else None,
            group=account.gid if account.is_other else None,
            extra_groups=[] if account.is_other else None,
        )

    def _open_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        return self._log.open("ab")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self._patience
        while not self._answers():
            if self._child is not None and self._child.poll() is not None:
                raise EmbeddedServerError(
                    f"PostgreSQL ended with status {self._child.returncode}.\n{self._log_tail()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"PostgreSQL does not answer.\n{self._log_tail()}")
            time.sleep(_POLL_SECONDS)

    def _log_tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"The end of {self._log}:", *lines[-12:]])

    def _stop(self) -> None:
        postmaster = self._postmaster()
        if postmaster is not None:
            # SIGINT is PostgreSQL's fast shutdown: open transactions roll back and a checkpoint is written.
            postmaster.send_signal(signal.SIGINT)
            _wait_for([postmaster], _STOP_TIMEOUT_SECONDS)
            self._clear_remains()
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_STOP_TIMEOUT_SECONDS)
            self._child = None


def _archiving(directory: Path) -> dict[str, str]:
    """Returns the settings that keep every piece of the write-ahead log, whole or not at all."""
    target = shlex.quote(f"{directory}/") + "%f"
    command = f"test ! -f {target} && cp %p {target}.part && mv {target}.part {target}"
    return {
        "archive_mode": "on",
        "archive_command": command,
        "archive_timeout": f"{_ARCHIVE_SECONDS}s",
    }


def _try_exclusive(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(processes: list[psutil.Process]) -> None:
    """Ends the processes at once: SIGQUIT, which PostgreSQL answers without a farewell, then SIGKILL."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        processes = _wait_for(processes, 2.0)


def _wait_for(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits until the processes have ended, and returns those that have not; a zombie has."""
    deadline = time.monotonic() + seconds
    while processes := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return processes


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
