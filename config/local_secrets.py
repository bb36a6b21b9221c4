"""Keys generated once for an installation that was given none by its environment.

They lie in `.data/`, readable by the owner alone. Reading never creates them; `ensure` does, and two
processes that start at once end with the same keys.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet

_SIGNING_KEY_FILE: Final = "secret_key"
_CREDENTIAL_KEYS_FILE: Final = "credential_keys"


def read_secret_key(directory: Path) -> str:
    """Returns the generated `SECRET_KEY`, or nothing where none has been generated."""
    return _read(directory / _SIGNING_KEY_FILE)


def read_credential_keys(directory: Path) -> list[str]:
    """Returns the generated Fernet keys, newest first, or none."""
    return [key for key in _read(directory / _CREDENTIAL_KEYS_FILE).split(",") if key]


def ensure(directory: Path, *, secret_key: bool, credential_keys: bool) -> None:
    """Creates the named keys that do not exist yet."""
    if secret_key:
        _create_once(directory / _SIGNING_KEY_FILE, secrets.token_urlsafe(50))
    if credential_keys:
        _create_once(directory / _CREDENTIAL_KEYS_FILE, Fernet.generate_key().decode())


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _create_once(path: Path, value: str) -> None:
    if path.exists():
        return
    # The link appears with its content in one step and fails where another process came first.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
