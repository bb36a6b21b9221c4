"""Brings the embedded database back from a base backup and the archived log."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded_postgres import EmbeddedServerError
from config.recovery import RecoveryError, recover


def instant(text: str) -> datetime:
    """Reads an instant in ISO 8601; one without a time zone is UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no instant like 2026-01-31T14:05:00+00:00.") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Recovers the embedded database to the end of its log, or to an instant; keeps what was there before."""

    help = (
        "Recover the embedded PostgreSQL from a base backup and the write-ahead log in ONECOUNT_WAL_ARCHIVE, to the end "
        "of the log or to an instant. Nothing else may use the database meanwhile; what was there before is kept beside "
        "it. Run `verify_ledger` afterwards."
    )
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declares the backup and the instant."""
        parser.add_argument(
            "base", type=Path, help="directory that `manage.py postgres pg_basebackup -D` made"
        )
        parser.add_argument(
            "--to",
            type=instant,
            metavar="INSTANT",
            help="2026-01-31T14:05:00+00:00; what was committed later is left out (default: everything is recovered)",
        )

    def handle(self, *, base: Path, to: datetime | None, **options: Any) -> None:
        """Recovers, and says what to do next."""
        home, archive = settings.EMBEDDED_POSTGRES_HOME, settings.WAL_ARCHIVE
        if home is None:
            raise CommandError("DATABASE_URL names a server of your own: recover it with its own means.")
        if archive is None:
            raise CommandError("Set ONECOUNT_WAL_ARCHIVE to the directory that holds the archived log.")
        try:
            kept = recover(home, base.absolute(), archive=archive, until=to)
        except (RecoveryError, EmbeddedServerError) as error:
            raise CommandError(str(error)) from error
        if kept is not None:
            self.stderr.write(f"What was there before is kept in {kept}.")
        self.stderr.write("Recovered. Run `manage.py verify_ledger` now, and make a new base backup.")
