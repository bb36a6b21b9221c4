"""Typed readers over the process environment.

Each reader takes a default, accepts `<NAME>_FILE` in place of `<NAME>` (the file's content is the value), and
raises `ImproperlyConfigured` naming the variable when the value cannot be read. Nothing here writes anything.
"""

import os
from pathlib import Path
from typing import Final

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR: Final = Path(__file__).resolve().parent.parent

_env = environ.FileAwareEnv()

_ROLE: Final = "ONECOUNT_ROLE"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def text(name: str, default: str = "") -> str:
    """Returns the variable without surrounding white space, or the default where it is unset or empty."""
    try:
        value = str(_env.str(name, default="")).strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from error
    return value or default


def boolean(name: str, *, default: bool) -> bool:
    """Returns the variable as a truth value; only the usual eight words are accepted."""
    value = text(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(
            f"{name} must be one of true, false, yes, no, on, off, 1 or 0; it is {value!r}."
        )
    return value in _TRUE


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Returns the variable as a whole number within the bounds, both included."""
    value = text(name)
    try:
        number = int(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {value!r}.") from None
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name} must be between {minimum} and {maximum}; it is {number}.")
    return number


def strings(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Returns the comma-separated variable as a list without blanks."""
    parts = [part.strip() for part in text(name).split(",")]
    return [part for part in parts if part] or list(default)


def choice(name: str, default: str, *, options: tuple[str, ...]) -> str:
    """Returns the variable, which must be one of the options."""
    value = text(name, default)
    if value not in options:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}; it is {value!r}.")
    return value


def data_directory() -> Path:
    """Returns the directory of the embedded database and the generated keys."""
    return (BASE_DIR / text("ONECOUNT_DATA_DIR", ".data")).absolute()


def is_web_process() -> bool:
    """Returns whether `config/wsgi.py` has declared this process one that serves requests and never forks."""
    return os.environ.get(_ROLE) == "web"


def declare_web_process() -> None:
    """Marks this process as one that serves requests; before the settings are imported."""
    os.environ[_ROLE] = "web"


def load_dotenv() -> None:
    """Adds the variables of `.env` in the project directory to the process; what is already set stays."""
    path = BASE_DIR / ".env"
    if path.is_file():
        environ.Env.read_env(path, overwrite=False)
