"""Our hooks at Picqer: one for each event, made with our secret, looked after because Picqer switches them off.

Five messages that failed for good within a day switch a hook off. It keeps the secret that it was made with, so that a hook
whose secret may be another one is made anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from channels.connectors.base import SubscriptionProblem
from channels.connectors.messages import read_id, read_text
from channels.connectors.picqer.api import PicqerApi
from channels.connectors.picqer.webhooks import EVENTS
from channels.errors import Misconfigured, Rejected

_PATH: Final = "/hooks"
_NAME: Final = "OneCount: {event}"


def register(api: PicqerApi, callback_url: str, secrets: Sequence[str]) -> None:
    """Creates the hooks that are missing, switches those on that are off, and removes twins. Raises `Misconfigured`."""
    if not secrets:
        raise Misconfigured("There is no secret to sign with; register the webhooks from the channel's page.")
    ours = list(_ours(api, callback_url))
    for event in EVENTS:
        of_event = [hook for hook in ours if read_text(hook, "event") == event]
        right = [hook for hook in of_event if read_text(hook, "address") == callback_url]
        for hook in of_event:
            if hook not in right[:1] and _is_active(hook):
                api.write("DELETE", f"{_PATH}/{read_id(hook, 'idhook')}")
        if not right or not (_is_active(right[0]) or _reactivate(api, right[0])):
            _create(api, event, callback_url, secrets[0])


def _create(api: PicqerApi, event: str, callback_url: str, secret: str) -> None:
    body = {"name": _NAME.format(event=event), "event": event, "address": callback_url, "secret": secret}
    api.write("POST", _PATH, body)


def _reactivate(api: PicqerApi, hook: Mapping[str, Any]) -> bool:
    """Switches a hook on; False where Picqer does not."""
    try:
        api.write("POST", f"{_PATH}/{read_id(hook, 'idhook')}/reactivate")
    except Rejected:
        return False
    return True


def audit(api: PicqerApi, callback_url: str, *, has_secret: bool) -> list[SubscriptionProblem]:
    """Compares the hooks with what we need; empty when all is well."""
    ours = [hook for hook in _ours(api, callback_url) if read_text(hook, "address") == callback_url]
    problems = []
    if not has_secret:
        problems.append(
            SubscriptionProblem(", ".join(EVENTS), "no secret is kept", "register the webhooks again")
        )
    for event in EVENTS:
        hooks = [hook for hook in ours if read_text(hook, "event") == event]
        if not hooks:
            problems.append(SubscriptionProblem(event, "there is no hook", "create it"))
        elif not any(map(_is_active, hooks)):
            problems.append(SubscriptionProblem(event, "its hook is switched off", "switch it on again"))
    return problems


def _ours(api: PicqerApi, callback_url: str) -> Iterator[dict[str, Any]]:
    """Yields the hooks that lead to the channel's unguessable path, whatever the host."""
    path = urlsplit(callback_url).path
    for hook in api.rows(_PATH, "idhook"):
        if urlsplit(read_text(hook, "address")).path == path:
            yield hook


def _is_active(hook: Mapping[str, Any]) -> bool:
    return hook.get("active") is not False
