"""What two versions of a rule set state differently, rule by rule."""

from collections.abc import Iterable
from dataclasses import dataclass

from channels.models import Rule, RuleSetVersion
from channels.models.rules import SETTINGS

#: What a rule states beside its scope.
_STATED = (*SETTINGS, "pool_units", "pool_percent")
_RELATED = ("channel", "group", "variant", "tag", "pool")


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of one scope: what each version states of it; empty where it states nothing."""

    scope: str
    setting: str
    before: str
    after: str


def differences(before: RuleSetVersion | None, after: RuleSetVersion) -> list[Difference]:
    """Returns what `after` states otherwise than `before`, sorted by scope; two statements."""
    old, new = _stated(before), _stated(after)
    return [
        Difference(scope, setting, old.get((scope, setting), ""), new.get((scope, setting), ""))
        for scope, setting in sorted({*old, *new}, key=_order)
        if old.get((scope, setting)) != new.get((scope, setting))
    ]


def _order(key: tuple[str, str]) -> tuple[str, int]:
    scope, setting = key
    return scope, _STATED.index(setting) if setting in _STATED else -1


def _stated(version: RuleSetVersion | None) -> dict[tuple[str, str], str]:
    """Returns what a version states; of two rules with the same scope the one that wins."""
    if version is None:
        return {}
    rules: Iterable[Rule] = (
        version.rules.select_related(*_RELATED).defer("channel__credentials").order_by("position", "id")
    )
    stated: dict[tuple[str, str], str] = {}
    for rule in rules:
        for setting in _STATED:
            value = getattr(rule, setting)
            if value is not None:
                stated.setdefault((rule.scope, setting), str(value))
    return stated
