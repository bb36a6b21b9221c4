"""System checks over the registered connectors: each declares all that the engine relies on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from channels.connectors import CONNECTORS
from channels.connectors.api_connector import ApiConnector
from channels.connectors.base import Capabilities, Connector

#: Which methods a capability promises beyond the abstract ones.
_PROMISES: Final[Mapping[str, tuple[str, ...]]] = {
    "own_locations": ("fetch_locations",),
    "manages_subscriptions": ("register_webhooks", "audit_webhooks"),
    "cancels_lines": ("cancel_line",),
    "asynchronous_push": ("follow_push",),
    "message_queue": ("take_messages", "acknowledge"),
    "own_warehouse": ("fetch_warehouse",),
    "keeps_stock": ("fetch_stock", "fetch_changes"),
    "takes_requests": (
        "place_request",
        "confirm_request",
        "find_requests",
        "fetch_request",
        "cancel_request",
    ),
    "bulk_increases": ("push_increases",),
    "acknowledges_orders": ("acknowledge_order", "follow_acknowledgements"),
}
_DECLARED: Final = ("kind", "label", "capabilities", "credential_fields", "settings_schema", "rate_limits")
_HINT: Final = "The module channels/connectors/base.py says what a connector declares."


@register("connectors")
def connectors_are_complete(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every registered connector declares what the base wants, and keeps what it declares."""
    return [
        Error(f"Connector {kind}: {problem}", hint=_HINT, id="channels.E001")
        for kind, connector in CONNECTORS.items()
        for problem in problems_of(kind, connector)
    ]


def problems_of(kind: str, connector: type[Connector]) -> Iterator[str]:
    """Yields what is missing or contradictory in a connector's declaration, one sentence each."""
    declared = _DECLARED + (("translators",) if issubclass(connector, ApiConnector) else ())
    missing = [name for name in declared if not hasattr(connector, name)]
    unwritten = sorted(getattr(connector, "__abstractmethods__", ()))
    if missing or unwritten:
        yield f"lacks {', '.join([*missing, *unwritten])}."
        return
    if connector.kind != kind:
        yield f"calls itself {connector.kind}."
    yield from _limit_problems(connector)
    yield from _capability_problems(connector, connector.capabilities)


def _limit_problems(connector: type[Connector]) -> Iterator[str]:
    if not connector.rate_limits:
        yield "declares no rate limit."
    for name, limit in connector.rate_limits.items():
        if limit.capacity <= 0 or limit.refill_per_second <= 0 or len(name) > 64:
            yield f"the rate limit {name} can never be spent from."


def _capability_problems(connector: type[Connector], capabilities: Capabilities) -> Iterator[str]:
    is_told = capabilities.push_batch_size > 0
    if capabilities.concurrency < 1 or is_told == capabilities.keeps_stock:
        yield "can neither push nor call."
    if capabilities.poll_interval.total_seconds() < 1:
        yield "polls more than once a second."
    for capability, methods in _PROMISES.items():
        for method in methods:
            is_written = getattr(connector, method) is not getattr(Connector, method)
            if is_written != bool(getattr(capabilities, capability)):
                yield f"{method} and the capability {capability} contradict each other."
