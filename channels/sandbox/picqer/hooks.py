"""Picqer's hooks: one event each, signed with their own secret, repeated for hours, switched off after five failures."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.httpd import Request
from channels.sandbox.picqer.rest import body_of, moment, not_found, page, refused

if TYPE_CHECKING:
    from channels.sandbox.picqer.shop import PicqerSandbox

#: Seconds between the attempts at one message: fifteen in about seventeen hours.
RETRY_WAITS: Final = (
    60.0, 120.0, 240.0, 480.0, 900.0, 1800.0, 3600.0, 3600.0, 3600.0, 5400.0, 5400.0, 7200.0, 7200.0, 10_800.0, 10_800.0,
)  # fmt: skip
#: Messages given up within a day, after which a hook is switched off.
_MOST_FAILURES: Final = 5
_DAY: Final = 86_400.0


@dataclass(slots=True)
class Hook:
    """One hook; its secret is never shown."""

    id: int
    name: str
    event: str
    address: str
    secret: str
    is_active: bool = True
    failed_at: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "idhook": self.id,
            "name": self.name,
            "event": self.event,
            "address": self.address,
            "active": self.is_active,
            "secret": bool(self.secret),
        }


class Hooks:
    """The `/hooks` resource, and what is sent."""

    def __init__(self, shop: "PicqerSandbox") -> None:
        self._shop = shop
        self.by_id: dict[int, Hook] = {}

    def listing(self, request: Request) -> list[dict[str, Any]]:
        return page(request, [hook.document() for hook in self.by_id.values()])

    def create(self, request: Request) -> dict[str, Any]:
        data = body_of(request)
        address = str(data.get("address", ""))
        if not data.get("event") or not address.startswith(("https://", "http://127.0.0.1:")):
            raise refused("A hook needs an event and an address that begins with https.")
        made = Hook(
            len(self.by_id) + 1,
            str(data.get("name", "")),
            data["event"],
            address,
            str(data.get("secret", "")),
        )
        self.by_id[made.id] = made
        return made.document()

    def switch(self, identity: str, *, is_active: bool) -> dict[str, Any]:
        hook = self.by_id.get(int(identity)) if identity.isdecimal() else None
        if hook is None:
            raise not_found("The hook")
        hook.is_active = is_active
        hook.failed_at.clear()
        return hook.document()

    def send(self, event: str, data: dict[str, Any]) -> None:
        """Sends an event to whoever has a hook for it."""
        triggered_at = moment(time.time())
        for hook in list(self.by_id.values()):
            if hook.is_active and hook.event == event:
                message = {
                    "idhook": hook.id,
                    "name": hook.name,
                    "event": event,
                    "event_triggered_at": triggered_at,
                    "data": data,
                }
                body = json.dumps(message, separators=(",", ":")).encode()
                self._shop.send_webhook(partial(self._attempt, hook, body, 0))

    def _headers(self, hook: Hook, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "Picqer Webhooks"}
        if not hook.secret:
            return headers
        secret = hook.secret
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            secret += "?"
        signed = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {**headers, "X-Picqer-Signature": base64.b64encode(signed).decode()}

    def _attempt(self, hook: Hook, body: bytes, failures: int) -> None:
        if not hook.is_active or self._shop.post(hook.address, self._headers(hook, body), body) in (
            200,
            201,
            202,
        ):
            return
        if failures < len(RETRY_WAITS):
            wait = RETRY_WAITS[failures] / self._shop.faults.retry_speed
            again: Callable[[], None] = partial(self._attempt, hook, body, failures + 1)
            self._shop.later(wait, again)
            return
        now = time.time()
        hook.failed_at = [at for at in hook.failed_at if now - at < _DAY] + [now]
        hook.is_active = len(hook.failed_at) < _MOST_FAILURES
