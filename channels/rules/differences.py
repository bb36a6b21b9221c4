"""What two versions of a rule set state differently, rule by rule; also which of two rules comes first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a rule is about; two of the same name are told apart by what they name."""

    name: str
    named: tuple[object, ...]
    #: Rules of the same class may be about the same shelf without one being more specific: then the first wins.
    rivals: str = field(compare=False)


#: Scope → setting → what is stated, in the order of the rules.
_Stated = dict[_Scope, dict[str, str]]


def differences(before: RuleSetVersion | None, after: RuleSetVersion) -> list[Difference]:
    """Returns what `after` states otherwise than `before`, sorted by scope; two statements."""
    old, new = _stated(before), _stated(after)
    found: list[Difference] = []
    for scope in sorted({**old, **new}, key=lambda scope: (scope.name, str(scope.named))):
        mine, theirs = old.get(scope, {}), new.get(scope, {})
        found += [
            Difference(scope.name, setting, mine.get(setting, ""), theirs.get(setting, ""))
            for setting in _STATED
            if mine.get(setting) != theirs.get(setting)
        ]
        found += _reordered(scope, old, new)
    return found


def _reordered(scope: _Scope, old: _Stated, new: _Stated) -> Iterator[Difference]:
    """Says where a rule has another place among those of equal rank that both versions have."""
    if scope.rivals and scope in old and scope in new:
        places = [
            [each for each in stated if each.rivals == scope.rivals and each in old and each in new].index(
                scope
            )
            for stated in (old, new)
        ]
        if places[0] != places[1]:
            yield Difference(scope.name, "order", *(str(place + 1) for place in places))


def _stated(version: RuleSetVersion | None) -> _Stated:
    """Returns what a version states; of two rules with the same scope the one that wins."""
    if version is None:
        return {}
    rules: Iterable[Rule] = (
        version.rules.select_related(*_RELATED).defer("channel__credentials").order_by("position", "id")
    )
    stated: _Stated = {}
    for rule in rules:
        settings = stated.setdefault(_scope_of(rule), {})
        for setting in _STATED:
            value = getattr(rule, setting)
            if value is not None:
                settings.setdefault(setting, str(value))
    return stated


def _scope_of(rule: Rule) -> _Scope:
    goods = "variant" if rule.variant_id else "tag" if rule.tag_id else "category" if rule.category else "all"
    channels = (
        "pool" if rule.pool_id else "channel" if rule.channel_id else "group" if rule.group_id else "all"
    )
    has_rivals = goods == "tag" or channels in {"pool", "group"}
    return _Scope(
        rule.scope,
        (rule.variant_id, rule.tag_id, rule.category, rule.channel_id, rule.group_id, rule.pool_id),
        f"{goods} on {channels}" if has_rivals else "",
    )
