"""The rules in force, and what they come to for one listing.

A `RuleBook` is read once for many listings. It resolves each kind of listing once: variants that the rules
cannot tell apart, on the same channel, share one `ResolvedRules`.

Most specific wins, setting by setting: first by goods (variant, tag, category, all), then by channel (channel,
group, all), then the rule set of higher priority, then the smaller position.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels.models.rules import SETTINGS
from channels.rules.past_statements import GOODS_AT
from channels.rules.resolved import Pool, ResolvedRules
from inventory.arrays import array


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What rules know of a channel: its groups, and its own settings beneath all rules."""

    id: int
    merchant_id: int
    kind: str
    buffer_units: int = 0
    buffer_percent: int = 0
    minimum: int = 0
    maximum: int | None = None
    #: Whether an order may leave from several locations.
    may_split: bool = True
    group_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule as it is read: its scope and what it states."""

    id: int
    merchant_id: int
    #: The set's name and the version's number.
    version: str
    set_id: int
    priority: int
    position: int
    channel_id: int | None
    group_id: int | None
    variant_id: int | None
    tag_id: int | None
    category: str
    pool_group_id: int | None
    pool_name: str
    pool_units: int | None
    pool_percent: int | None
    scope: str
    settings: Mapping[str, int]

    @property
    def origin(self) -> str:
        """Names version and rule as people find them."""
        return f"{self.version}, rule {self.position}: {self.scope}"

    @property
    def precedence(self) -> tuple[int, ...]:
        """Sorts rules, the one that wins first."""
        goods = 3 if self.variant_id else 2 if self.tag_id else 1 if self.category else 0
        channels = 2 if self.channel_id else 1 if self.group_id else 0
        return -goods, -channels, -self.priority, -self.set_id, self.position, self.id

    def is_for(self, channel: ChannelFacts) -> bool:
        """Returns whether it speaks of the channel."""
        if self.channel_id is not None:
            return self.channel_id == channel.id
        return self.group_id is None or self.group_id in channel.group_ids


@dataclass(frozen=True, slots=True)
class Goods:
    """What the rules can tell of a variant: the same for all variants that they cannot tell apart."""

    #: 0 where no rule names the variant.
    variant_id: int = 0
    #: Empty where no rule names its category.
    category: str = ""
    #: Of those that a rule names.
    tag_ids: frozenset[int] = frozenset()


@dataclass(slots=True)
class RuleBook:
    """The rules of some merchants, ready to be resolved."""

    lines: Collection[RuleLine] = ()
    goods: Mapping[int, Goods] = field(default_factory=dict)
    #: The parts of kits, by kit; empty where no rule names a pool.
    parts: Mapping[int, Collection[int]] = field(default_factory=dict)
    _general: dict[int, list[RuleLine]] = field(init=False, default_factory=dict)
    _by_variant: dict[int, list[RuleLine]] = field(init=False, default_factory=dict)
    #: Variants that no rule tells apart have the same kind; 0 is that of variants of which no rule speaks.
    _kinds: dict[int, int] = field(init=False, default_factory=dict)
    _goods_of_kind: list[Goods] = field(init=False, default_factory=lambda: [Goods()])
    _resolved: dict[tuple[int, int], ResolvedRules] = field(init=False, default_factory=dict)
    #: Of kits, by channel and variant.
    _resolved_kits: dict[tuple[int, int], ResolvedRules] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for line in sorted(self.lines, key=lambda line: line.precedence):
            if line.variant_id is None:
                self._general.setdefault(line.merchant_id, []).append(line)
            else:
                self._by_variant.setdefault(line.variant_id, []).append(line)
        known: dict[Goods, int] = {}
        for variant_id, goods in self.goods.items():
            kind = known.setdefault(goods, len(self._goods_of_kind))
            if kind == len(self._goods_of_kind):
                self._goods_of_kind.append(goods)
            self._kinds[variant_id] = kind

    def rules_for(self, channel: ChannelFacts, variant_id: int | None) -> ResolvedRules:
        """Returns what the rules come to for a variant's listings on a channel."""
        if variant_id in self.parts:
            return self._rules_for_kit(channel, variant_id or 0)
        return self._rules_for(channel, variant_id)

    def _rules_for(self, channel: ChannelFacts, variant_id: int | None) -> ResolvedRules:
        key = channel.id, self._kinds.get(variant_id or 0, 0)
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._resolve(channel, self._goods_of_kind[key[1]])
        return found

    def _rules_for_kit(self, channel: ChannelFacts, variant_id: int) -> ResolvedRules:
        """Returns the rules of a kit, with the pools of its parts."""
        key = channel.id, variant_id
        found = self._resolved_kits.get(key)
        if found is None:
            pools = [(part, self._rules_for(channel, part).pools) for part in self.parts[variant_id]]
            found = self._resolved_kits[key] = replace(
                self._rules_for(channel, variant_id), part_pools=tuple(each for each in pools if each[1])
            )
        return found

    def _resolve(self, channel: ChannelFacts, goods: Goods) -> ResolvedRules:
        about = [*self._by_variant.get(goods.variant_id, ()), *self._general.get(channel.merchant_id, ())]
        about = [line for line in about if _is_about(line, goods)]
        settings: dict[str, int] = {}
        origins: dict[str, str] = {}
        for line in about:
            if line.pool_group_id is not None or not line.is_for(channel):
                continue
            for name, value in line.settings.items():
                if name not in settings:
                    settings[name], origins[name] = value, line.origin
        return ResolvedRules(
            **{**_own_settings(channel), **settings},  # type: ignore[arg-type]
            pools=_pools(about, channel),
            origins=origins,
        )


def _is_about(line: RuleLine, goods: Goods) -> bool:
    if line.variant_id is not None:
        return True
    if line.tag_id is not None:
        return line.tag_id in goods.tag_ids
    return not line.category or line.category == goods.category


def _own_settings(channel: ChannelFacts) -> dict[str, int | None]:
    return {
        "buffer_units": channel.buffer_units,
        "buffer_percent": channel.buffer_percent,
        "minimum": channel.minimum,
        "maximum": channel.maximum,
    }


def _pools(about: Iterable[RuleLine], channel: ChannelFacts) -> tuple[Pool, ...]:
    """Returns the pools of the variant: of each group the most specific one, shares together at most 100 percent."""
    chosen: dict[int, RuleLine] = {}
    for line in about:
        if line.pool_group_id is not None:
            chosen.setdefault(line.pool_group_id, line)
    in_order = sorted(chosen.items(), key=lambda item: (-item[1].priority, item[1].position, item[1].id))
    of_units = [_pool(group_id, line, channel) for group_id, line in in_order if line.pool_units]
    shares, left = [], 100
    for group_id, line in in_order:
        percent = min(line.pool_percent or 0, left)
        if percent:
            left -= percent
            shares.append(_pool(group_id, line, channel, percent))
    return *of_units, *shares


def _pool(group_id: int, line: RuleLine, channel: ChannelFacts, percent: int = 0) -> Pool:
    is_own = group_id in channel.group_ids
    return Pool(group_id, line.pool_name, is_own, line.pool_units, percent, line.origin)


# -- reading

_CHANNELS: Final = """
SELECT channel.id, channel.merchant_id, channel.kind, channel.buffer_units, channel.buffer_percent,
       channel.minimum_exposure, channel.maximum_exposure, channel.may_split,
       ARRAY(SELECT member.channelgroup_id FROM channels_channelgroup_channels member
             WHERE member.channel_id = channel.id)
FROM channels_channel channel
WHERE {condition}
"""

_LINES: Final = """
SELECT rule.id, rule_set.merchant_id, rule_set.name || ' v' || version.number, rule_set.id, rule_set.priority,
       rule.position, rule.channel_id, rule.group_id, rule.variant_id, rule.tag_id, rule.category,
       rule.pool_id, coalesce(pool.name, ''), rule.pool_units, rule.pool_percent,
       CASE WHEN rule.variant_id IS NOT NULL THEN 'variant ' || variant.sku
            WHEN rule.tag_id IS NOT NULL THEN 'tag ' || tag.name
            WHEN rule.category <> '' THEN 'category ' || rule.category
            ELSE 'all goods' END
       || ' on ' ||
       CASE WHEN rule.pool_id IS NOT NULL THEN 'pool ' || pool.name
            ELSE coalesce(channel.name, of_channels.name, 'all channels') END,
       {settings}
FROM channels_rule rule
JOIN channels_rulesetversion version ON version.id = rule.version_id
JOIN channels_ruleset rule_set ON rule_set.id = version.rule_set_id
LEFT JOIN channels_channelgroup pool ON pool.id = rule.pool_id
LEFT JOIN channels_channelgroup of_channels ON of_channels.id = rule.group_id
LEFT JOIN channels_channel channel ON channel.id = rule.channel_id
LEFT JOIN inventory_variant variant ON variant.id = rule.variant_id
LEFT JOIN inventory_tag tag ON tag.id = rule.tag_id
WHERE {condition} AND (rule.variant_id IS NULL OR rule.variant_id = ANY(%(variants)s::bigint[]){of_parts})
"""
#: Left out where the parts are known, because no index serves it.
_POOLS_OF_PARTS: Final = """
    OR rule.pool_id IS NOT NULL AND rule.variant_id IN (
        SELECT part.variant_id FROM inventory_bundlepart part
        WHERE part.is_drawn_on AND part.bundle_variant_id = ANY(%(variants)s::bigint[]))"""
_IN_FORCE: Final = "version.state = 'active' AND rule_set.merchant_id = ANY(%(ids)s::bigint[])"
_THESE: Final = "version.id = ANY(%(ids)s::bigint[])"
_STATED: Final = ", ".join(f"rule.{name}" for name in SETTINGS)
_FIELDS: Final = 16

_PARTS: Final = """
SELECT bundle_variant_id, variant_id FROM inventory_bundlepart
WHERE is_drawn_on AND bundle_variant_id = ANY(%s::bigint[]) ORDER BY bundle_variant_id, variant_id
"""

_GOODS: Final = """
SELECT variant.id, product.category, NULL::bigint
FROM inventory_variant variant
JOIN inventory_product product ON product.id = variant.product_id
WHERE variant.id = ANY(%(variants)s::bigint[]) AND product.category = ANY(%(categories)s::text[])
UNION ALL
SELECT variant_id, '', tag_id
FROM inventory_varianttag
WHERE tag_id = ANY(%(tags)s::bigint[]) AND variant_id = ANY(%(variants)s::bigint[])
"""


def channels_by_id(channel_ids: Collection[int]) -> dict[int, ChannelFacts]:
    """Reads what rules know of these channels."""
    return _channels("channel.id = ANY(%s::bigint[])", sorted(channel_ids))


def channels_of(merchant_id: int) -> dict[int, ChannelFacts]:
    """Reads what rules know of a merchant's channels."""
    return _channels("channel.merchant_id = %s", merchant_id)


def _channels(condition: str, parameter: Any) -> dict[int, ChannelFacts]:
    with connection.cursor() as cursor:
        cursor.execute(_CHANNELS.format(condition=condition), [parameter])
        return {row[0]: _channel(row) for row in cursor.fetchall()}


def _channel(row: tuple[Any, ...]) -> ChannelFacts:
    facts = [*row[:-1], frozenset(row[-1])]
    return ChannelFacts(*facts)


def load_book(
    merchant_ids: Collection[int],
    variant_ids: Collection[int],
    parts: Mapping[int, Collection[int]] | None = None,
) -> RuleBook:
    """Reads the rules in force of these merchants, as far as they may concern these variants.

    Whoever knows the parts of the kits among them gives them, by kit, and saves a statement.
    """
    return _load(_IN_FORCE, sorted(merchant_ids), variant_ids, parts)


def load_book_of(
    version_ids: Collection[int],
    variant_ids: Collection[int],
    parts: Mapping[int, Collection[int]] | None = None,
    *,
    at: datetime | None = None,
) -> RuleBook:
    """Reads the rules of these versions instead, in force or not: a draft to be compared or rehearsed.

    With `at`, by the tags and categories that the variants had then.
    """
    return _load(_THESE, sorted(version_ids), variant_ids, parts, at)


def _load(
    condition: str,
    ids: list[int],
    variant_ids: Collection[int],
    parts: Mapping[int, Collection[int]] | None = None,
    at: datetime | None = None,
) -> RuleBook:
    known = {*variant_ids, *(part for each in (parts or {}).values() for part in each)}
    lines_sql = _LINES.format(
        condition=condition, settings=_STATED, of_parts=_POOLS_OF_PARTS if parts is None else ""
    )
    with connection.cursor() as cursor:
        cursor.execute(lines_sql, {"ids": ids, "variants": array(known)})
        lines = [_line(row) for row in cursor.fetchall()]
        if not lines:
            return RuleBook()
        if not any(line.pool_group_id for line in lines):
            parts = {}
        elif parts is None:
            parts = _parts(cursor, array(known))
        goods = {*variant_ids, *(part for each in parts.values() for part in each)}
        return RuleBook(lines, _goods(cursor, lines, array(goods), at), parts)


def _parts(cursor: Any, variants: str) -> dict[int, list[int]]:
    """Reads what kits are made of: what is ring-fenced of a part is not offered as a kit either."""
    cursor.execute(_PARTS, [variants])
    parts: dict[int, list[int]] = {}
    for kit, part in cursor.fetchall():
        parts.setdefault(kit, []).append(part)
    return parts


def _line(row: tuple[Any, ...]) -> RuleLine:
    stated = zip(SETTINGS, row[_FIELDS:], strict=True)
    facts = [*row[:_FIELDS], {name: value for name, value in stated if value is not None}]
    return RuleLine(*facts)


def _goods(cursor: Any, lines: Iterable[RuleLine], variants: str, at: datetime | None) -> dict[int, Goods]:
    """Reads what tells variants apart; those of which no rule speaks are left out."""
    named = {line.variant_id for line in lines if line.variant_id}
    parameters: dict[str, Any] = {
        "at": at,
        "variants": variants,
        "categories": sorted({line.category for line in lines if line.category}),
        "tags": sorted({line.tag_id for line in lines if line.tag_id}),
    }
    categories: dict[int, str] = {}
    tags: dict[int, set[int]] = {}
    if parameters["categories"] or parameters["tags"]:
        cursor.execute(_GOODS if at is None else GOODS_AT, parameters)
        for variant_id, category, tag_id in cursor.fetchall():
            if tag_id is None:
                categories[variant_id] = category
            else:
                tags.setdefault(variant_id, set()).add(tag_id)
    return {
        variant_id: Goods(
            variant_id if variant_id in named else 0,
            categories.get(variant_id, ""),
            frozenset(tags.get(variant_id, ())),
        )
        for variant_id in {*named, *categories, *tags}
    }
