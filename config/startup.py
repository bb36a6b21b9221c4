"""What a process of OneCount does before Django's settings are imported, and before it first talks to the database.

Importing the settings has no side effect, so that the entry points (`manage.py`, `config/wsgi.py`, the test run) call these.
"""

import atexit
import os

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
        _create(directory)
        local_secrets.ensure(directory, secret_key=wants_secret_key, credential_keys=wants_credential_keys)


def hold_database() -> EmbeddedServer | None:
    """Keeps the embedded server up until this process ends; does nothing where `DATABASE_URL` names another one."""
    home = settings.EMBEDDED_POSTGRES_HOME
    if home is None:
        return None
    _create(home.parent)
    server = EmbeddedServer(home)
    server.acquire()
    atexit.register(server.release)
    return server


def _create(directory: os.PathLike[str]) -> None:
    # Passable but not listable, so that the account that runs PostgreSQL reaches its own directory in it.
    if not os.path.isdir(directory):
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o711)
