"""Who calls: a key of a merchant, in the header `Authorization: Bearer …`."""

from typing import Final

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.api.problems import NO_KEY
from inventory.access import Caller, recognise

_SCHEME: Final = "bearer"


class KeyAuthentication(BaseAuthentication):
    """Recognises the key, and counts the request against its rate."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller] | None:
        """Returns the caller; None where no key was sent. Raises `AuthenticationFailed`."""
        scheme, _, text = request.headers.get("Authorization", "").strip().partition(" ")
        if not scheme:
            return None
        caller = recognise(text.strip()) if scheme.lower() == _SCHEME else None
        if caller is None:
            raise AuthenticationFailed(f"{NO_KEY.title}: it is unknown, expired or revoked.")
        # Whoever changed what is noted by a user of the back office; a system is none.
        return AnonymousUser(), caller

    def authenticate_header(self, request: Request) -> str:
        """Names the scheme, for the answer 401."""
        return "Bearer"
