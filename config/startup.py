"""What a process does before Django's settings are imported, and before it talks to the database.

Importing the settings has no side effect, so that the entry points (`manage.py`, `config/wsgi.py`, the test
run) call these.
"""

import atexit
import os
from functools import cache
from pathlib import Path

from django.conf import settings

from config import environment, local_secrets
from config.embedded_postgres import EmbeddedServer


def prepare() -> None:
    """Names the settings module, reads `.env`, and generates the keys that the environment does not give."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    environment.load_dotenv()
    wants_secret_key = not environment.text("SECRET_KEY")
    wants_credential_keys = not environment.strings("ONECOUNT_CREDENTIAL_KEYS")
    if wants_secret_key or wants_credential_keys:
        directory = environment.data_directory()
        create_directory(directory)
        local_secrets.ensure(directory, secret_key=wants_secret_key, credential_keys=wants_credential_keys)


@cache
def hold_database() -> EmbeddedServer | None:
    """Keeps the embedded server up until this process ends; None where `DATABASE_URL` names another."""
    home = settings.EMBEDDED_POSTGRES_HOME
    if home is None:
        return None
    create_directory(home.parent)
    server = EmbeddedServer(home, archive=settings.WAL_ARCHIVE)
    server.acquire()
    atexit.register(server.release)
    return server


def create_directory(directory: Path) -> None:
    """Creates the data directory so that PostgreSQL's account may pass through it, and not list it."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
