"""Secrets at rest: JSON encrypted with keys that are kept apart from `SECRET_KEY`.

The first of `settings.ONECOUNT_CREDENTIAL_KEYS` encrypts, every one decrypts, so that keys can be rotated. A value that no key
opens raises; it is never returned as it stands.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from channels.errors import Misconfigured


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("ONECOUNT_CREDENTIAL_KEYS is empty; set it to a Fernet key.")
    return MultiFernet([Fernet(key) for key in keys])


def key_ring() -> MultiFernet:
    """Returns the keys in force; the first one encrypts."""
    return _ring(tuple(settings.ONECOUNT_CREDENTIAL_KEYS))


def encrypt(value: Any) -> str:
    """Encrypts a JSON value to printable text."""
    return key_ring().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode()


def decrypt(text: str) -> Any:
    """Opens what `encrypt` made. Raises `Misconfigured` when no key fits."""
    try:
        return json.loads(key_ring().decrypt(text.encode()))
    except InvalidToken as error:
        raise Misconfigured(
            "The stored credentials were encrypted with a key that is not in ONECOUNT_CREDENTIAL_KEYS;"
            " add the old key at the end of the list."
        ) from error


if TYPE_CHECKING:
    TextField = models.TextField[Any, Any]
else:
    TextField = models.TextField


class EncryptedJSONField(TextField):
    """A JSON value that stands encrypted in its column."""

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else encrypt(value)

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else decrypt(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        """Serialises the ciphertext: fixtures and exports never hold a secret in clear."""
        return encrypt(self.value_from_object(obj))
