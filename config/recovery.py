"""Brings the embedded database back from a base backup and the archived write-ahead log, to its end or to an instant.

What is there is moved aside and kept. What it had written and not archived yet is taken along, so that nothing is lost where
only a mistake is to be undone.
"""

import os
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from config import postgres_installation as installation
from config.embedded_postgres import EmbeddedServer

#: Seconds that a recovery may take: a day.
_PATIENCE: Final = 86_400.0


class RecoveryError(Exception):
    """The database cannot be recovered like this; the message says why and what to do. Nothing was changed."""


def recover(home: Path, base: Path, *, archive: Path, until: datetime | None = None) -> Path | None:
    """Puts a base backup in place and has the server replay the log, up to `until` where given.

    Returns where the database is kept that was there before, if there was one. Raises `RecoveryError`, or
    `EmbeddedServerError` with the end of the server's log where the log does not reach as far.
    """
    _check(base, archive)
    settings = {
        "restore_command": f"cp {shlex.quote(str(archive))}/%f %p",
        "recovery_target_action": "promote",
        # Nobody is to see it half recovered.
        "hot_standby": "off",
    }
    if until is not None:
        settings["recovery_target_time"] = until.astimezone(UTC).isoformat()
    server = EmbeddedServer(home, archive=archive, further_settings=settings, patience=_PATIENCE)
    if server.is_running():
        raise RecoveryError("The database is running. Stop `serve` and all other commands first.")
    installation.make_home(server.home)
    kept = _put_in_place(server.home, base)
    server.acquire()
    server.release()
    return kept


def _check(base: Path, archive: Path) -> None:
    if not (base / "PG_VERSION").is_file() or not (base / "backup_label").is_file():
        raise RecoveryError(
            f"{base} is no base backup in plain form. Make one with `manage.py postgres pg_basebackup -D DIRECTORY`."
        )
    if not archive.is_dir():
        raise RecoveryError(f"{archive} is no directory. ONECOUNT_WAL_ARCHIVE names the one with the log.")


def _put_in_place(home: Path, base: Path) -> Path | None:
    """Makes the backup the server's data directory, under another name until it is complete."""
    data, draft = home / "data", home / "data.incomplete"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(base, draft, symlinks=True)
    (draft / "recovery.signal").touch()
    kept = None
    if data.exists():
        for segment in (data / "pg_wal").iterdir():
            # What the backup brings along was copied while it was written to.
            if segment.is_file():
                shutil.copy2(segment, draft / "pg_wal" / segment.name)
        kept = home / f"data.before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        data.rename(kept)
    _give_to_the_server(draft)
    draft.rename(data)
    return kept


def _give_to_the_server(directory: Path) -> None:
    """Makes everything the server's account's own, as PostgreSQL demands of its data."""
    account = installation.account()
    directory.chmod(0o700)
    if account.is_other:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
