"""The quick migration of an empty database leads to what Django's own leads to."""

import subprocess
from contextlib import nullcontext

import pytest
from django.conf import settings
from django.db import connection

from config import postgres_installation
from config.management.commands import migrate
from tests.benchmarks.scratch import scratch_database


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_schema_is_the_same_as_with_djangos_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    if settings.EMBEDDED_POSTGRES_HOME is None:
        pytest.skip("Takes the client programs of the embedded server.")
    with scratch_database() as name:
        quick = _schema_of(name)
    monkeypatch.setattr(migrate, "new_models_rendered_alone", nullcontext)
    with scratch_database() as name:
        plain = _schema_of(name)
    assert any("CREATE TABLE public.inventory_stockmovement" in line for line in plain)
    assert quick == plain


def _schema_of(database: str) -> list[str]:
    """Lines of the dump, less those that hold a random token."""
    address = connection.settings_dict
    command = [
        str(postgres_installation.binaries() / "pg_dump"),
        "--schema-only",
        f"--host={address['HOST']}",
    ]
    command += [f"--port={address['PORT'] or 5432}", f"--username={address['USER']}", database]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
