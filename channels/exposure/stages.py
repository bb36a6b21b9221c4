"""The steps from what is on hand to what a channel is told. Each is a pure function of the number so far.

A stage has two halves: `apply` gives the number and is all that runs where only numbers are needed; `explain`
says why, in words, and runs where somebody may ask. More stock never leads to a smaller number, and no stage
but "Pre-order" and "Convention" may raise it beyond what could be reserved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from channels.connectors.base import Convention
from channels.exposure.inputs import FencedPart, Inputs, LocationStock
from channels.rules.resolved import Pool

#: Why, and the rule that decided it.
Reason = tuple[str, str]


def always(inputs: Inputs) -> bool:
    """Shows a step whatever it does."""
    return True


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline."""

    name: str
    apply: Callable[[int, Inputs], int]
    #: Called with the number before and after it.
    explain: Callable[[int, int, Inputs], Reason]
    #: Whether it is worth showing: a step for which there is no rule changes nothing.
    concerns: Callable[[Inputs], bool] = always


def reservable(inputs: Inputs) -> int:
    """Returns the units that could be reserved for an order of this place now."""
    if inputs.is_kit:
        return sum([_whole_kits(each) for each in inputs.serving])
    return sum([each.on_hand - each.reserved - each.unavailable for each in inputs.serving])


def _whole_kits(stock: LocationStock) -> int:
    return max(min(part.available // part.per_kit for part in stock.components), 0)


# -- stock


def available(number: int, inputs: Inputs) -> int:
    """Adds up what our locations behind the place can promise; of orders that are not split, what one of them can."""
    return sum([each.on_hand - each.reserved - each.unavailable for each in inputs.serving])


def _why_available(before: int, after: int, inputs: Inputs) -> Reason:
    named = ", ".join(f"{stock.code} {stock.available}" for stock in inputs.serving)
    if len(inputs.serving) < len(inputs.locations):
        named = f"{named}: orders are not split, so the one location that can serve most counts"
    return named or "no location of ours stands behind this place", ""


def less_safety_stock(number: int, inputs: Inputs) -> int:
    """Leaves the safety stock of each location out, never less than nothing of it."""
    units = 0
    for stock in inputs.serving:
        free = stock.on_hand - stock.reserved - stock.unavailable - stock.safety_stock
        if free > 0:
            units += free
    return units


def _why_safety_stock(before: int, after: int, inputs: Inputs) -> Reason:
    kept = ", ".join(f"{s.code} keeps {s.safety_stock}" for s in inputs.serving if s.safety_stock)
    return kept or "no safety stock", ""


def smallest_component(number: int, inputs: Inputs) -> int:
    """Counts whole kits: at each location as many as its scarcest part is enough for.

    What is ring-fenced of a part for other channels is not in them, all locations together.
    """
    if not inputs.is_kit:
        return number
    kits = sum([stock.kits for stock in inputs.serving])
    return min([kits, *[_kits_beside(part, inputs) for part in inputs.fenced]]) if inputs.fenced else kits


def _kits_beside(part: FencedPart, inputs: Inputs) -> int:
    """Returns how many kits a part is enough for without what others keep of it."""
    return _unfenced(_free(part, inputs), part.pools, part.uses) // part.per_kit


def _free(part: FencedPart, inputs: Inputs) -> int:
    return sum(each.free for stock in inputs.serving for each in stock.components if each.sku == part.sku)


def _why_bundle(before: int, after: int, inputs: Inputs) -> Reason:
    words = [_scarcest(stock) for stock in inputs.serving]
    rules: list[str] = []
    for part in inputs.fenced:
        free = _free(part, inputs)
        kept = free - _unfenced(free, part.pools, part.uses)
        if kept:
            words.append(
                f"{kept} of {free} {part.sku} kept for other channels: enough for {_kits_beside(part, inputs)}"
            )
            rules += [pool.origin for pool in part.pools if not pool.is_own]
    return "; ".join(words), "; ".join(dict.fromkeys(rules))


def _scarcest(stock: LocationStock) -> str:
    part = min(stock.components, key=lambda component: component.kits)
    kept = f", {part.safety_stock} kept" if part.safety_stock else ""
    return f"{stock.code} {stock.kits}: {part.available} {part.sku}{kept}, {part.per_kit} in each"


# -- pools and ranks


def less_pools(number: int, inputs: Inputs) -> int:
    """Leaves out what is ring-fenced for other channels."""
    return _unfenced(number, inputs.rules.pools, inputs.pool_uses) if inputs.rules.pools else number


def _unfenced(number: int, pools: Sequence[Pool], uses: Mapping[int, int]) -> int:
    """Returns what the pools of other channels leave of so many units.

    Pools of units are filled one after the other from what there is, so that together they never hold more;
    shares are of what is left after them.
    """
    left, fenced, percent = number, 0, 0
    for pool in pools:
        if pool.units is None:
            percent += 0 if pool.is_own else pool.percent
            continue
        size = min(pool_size(pool.units, uses.get(pool.group_id, 0)), left)
        left -= size
        fenced += 0 if pool.is_own else size
    # Rounded up, so that shares of 100 percent show no unit twice.
    return number - fenced - -(-left * percent // 100)


def pool_size(units: int, used: int) -> int:
    """Returns what is left of a pool of so many units."""
    return min(max(units - used, 0), units)


def pool_sizes(number: int, inputs: Inputs) -> dict[int, int]:
    """Returns what each pool holds of `number` units, by group id; together never more than that."""
    sizes, left = {}, number
    for pool in inputs.rules.pools:
        if pool.units is None:
            sizes[pool.group_id] = left * pool.percent // 100
            continue
        sizes[pool.group_id] = min(pool_size(pool.units, inputs.pool_uses.get(pool.group_id, 0)), left)
        left -= sizes[pool.group_id]
    return sizes


def _why_pools(before: int, after: int, inputs: Inputs) -> Reason:
    sizes = pool_sizes(before, inputs)
    words = [
        f"{'its own pool' if pool.is_own else 'kept for'} {pool.name}: {sizes[pool.group_id]}"
        for pool in inputs.rules.pools
    ]
    return ", ".join(words), "; ".join(dict.fromkeys(pool.origin for pool in inputs.rules.pools))


def share_of_scarce(number: int, inputs: Inputs) -> int:
    """Divides scarce stock among the variant's best ranked listings, each unit to one of them."""
    rules = inputs.rules
    if number <= 0 or number >= rules.scarce_below:
        return number
    standing = inputs.standing
    if standing is None:
        return 0
    sharing = standing.listings
    if rules.scarce_listings is not None:
        sharing = min(sharing, rules.scarce_listings)
    if standing.position > sharing:
        return 0
    return (number + sharing - standing.position) // sharing


def _why_scarce(before: int, after: int, inputs: Inputs) -> Reason:
    rules, standing = inputs.rules, inputs.standing
    rule = rules.origin("scarce_below", "scarce_listings")
    if before >= rules.scarce_below or before <= 0:
        return f"not scarce: that begins below {rules.scarce_below}", rule
    if standing is None:
        return "scarce, and this listing has no rank yet", rule
    sharing = standing.listings if rules.scarce_listings is None else rules.scarce_listings
    return (
        f"scarce, below {rules.scarce_below}: divided among the best {min(sharing, standing.listings)} "
        f"of {standing.listings} listings; this is number {standing.position}",
        rule,
    )


# -- buffer and limits


def less_buffer(number: int, inputs: Inputs) -> int:
    """Withholds percent of what there is, rounded up, units, and what sells within the channel's lag."""
    rules = inputs.rules
    return number - rules.buffer_units - -(-number * rules.buffer_percent // 100) - within_lag(inputs)


def within_lag(inputs: Inputs) -> int:
    """Returns the units withheld for what sells before the channel hears of it."""
    rules = inputs.rules
    if not rules.velocity_quantile:
        return 0
    units = max(inputs.lag_demand, rules.velocity_least)
    return units if rules.velocity_most is None else min(units, rules.velocity_most)


def _why_buffer(before: int, after: int, inputs: Inputs) -> Reason:
    rules = inputs.rules
    percent = -(-before * rules.buffer_percent // 100)
    why = f"{rules.buffer_units} units and {rules.buffer_percent} % ({percent}) withheld"
    rule = rules.origin("buffer_units", "buffer_percent")
    if rules.velocity_quantile:
        why += (
            f", and {within_lag(inputs)} for what sells within its lag "
            f"({inputs.lag_demand} in {rules.velocity_quantile} % of all cases)"
        )
        rule = rules.origin(
            "buffer_units", "buffer_percent", "velocity_quantile", "velocity_least", "velocity_most"
        )
    return why, rule


def plus_preorders(number: int, inputs: Inputs) -> int:
    """Adds confirmed inbound that may be offered before it is here."""
    units = min(inputs.preorder_units, inputs.rules.preorder_limit)
    return max(number, 0) + units if units > 0 else number


def _why_preorders(before: int, after: int, inputs: Inputs) -> Reason:
    limit = inputs.rules.preorder_limit
    why = f"{inputs.preorder_units} units are confirmed inbound here and free; {limit} at most for pre-order"
    return why, inputs.rules.origin("preorder_limit")


def within_limits(number: int, inputs: Inputs) -> int:
    """Shows nothing below the minimum, and no more than the maximum."""
    rules = inputs.rules
    if 0 < number < rules.minimum:
        return 0
    if rules.maximum is not None and number > rules.maximum:
        return rules.maximum
    return number


def _why_limits(before: int, after: int, inputs: Inputs) -> Reason:
    rules = inputs.rules
    if after == before:
        return "within the limits", rules.origin("minimum", "maximum")
    if before < rules.minimum:
        return f"below the minimum of {rules.minimum}", rules.origin("minimum")
    return f"shows {rules.maximum} at most", rules.origin("maximum")


def within_channel_cap(number: int, inputs: Inputs) -> int:
    """Shows its share of what the channel shows of the variant at most, over all its listings and places."""
    return number if inputs.rules.channel_cap is None else min(number, _cap_share(inputs))


def _cap_share(inputs: Inputs) -> int:
    cap, standing = inputs.rules.channel_cap or 0, inputs.standing
    if standing is None:
        return 0
    return (cap + standing.shelves - standing.shelf) // standing.shelves


def _why_channel_cap(before: int, after: int, inputs: Inputs) -> Reason:
    cap, standing = inputs.rules.channel_cap, inputs.standing
    rule = inputs.rules.origin("channel_cap")
    if standing is None:
        return f"the channel shows {cap} at most, and this shelf has no rank yet", rule
    share = _cap_share(inputs)
    return (
        f"the channel shows {cap} at most; {share} of it here, shelf {standing.shelf} of {standing.shelves}",
        rule,
    )


# -- people, floor and platform


def pinned(number: int, inputs: Inputs) -> int:
    """Shows what a person has fixed, but never more than could be reserved."""
    return number if inputs.pin is None else min(inputs.pin.quantity, reservable(inputs))


def _why_pinned(before: int, after: int, inputs: Inputs) -> Reason:
    if inputs.pin is None:
        return "not pinned", ""
    short = "" if after == inputs.pin.quantity else ", but there is no more than this"
    return f"pinned at {inputs.pin.quantity}: {inputs.pin.why}{short}", ""


def not_negative(number: int, inputs: Inputs) -> int:
    """A shop is never told less than nothing."""
    return max(number, 0)


def _why_floor(before: int, after: int, inputs: Inputs) -> Reason:
    return "never below 0", ""


def in_convention(number: int, inputs: Inputs) -> int:
    """Adds the channel's own open orders where the platform subtracts them itself; nothing to nothing."""
    if inputs.convention is not Convention.INCLUDES_OPEN_ORDERS or number == 0:
        return number
    return number + inputs.own_open_units


def _why_convention(before: int, after: int, inputs: Inputs) -> Reason:
    if inputs.convention is not Convention.INCLUDES_OPEN_ORDERS:
        return "the platform has taken its own orders off already", ""
    if before == 0:
        return (
            "nothing is left: its open orders are not added, or each shipment would offer a unit again",
            "",
        )
    return f"the platform subtracts its {inputs.own_open_units} open units itself", ""


def within_platform(number: int, inputs: Inputs) -> int:
    """Stays within the largest number that the platform takes."""
    return number if inputs.largest is None else min(number, inputs.largest)


def _why_platform(before: int, after: int, inputs: Inputs) -> Reason:
    if after < before:
        return f"the platform takes {inputs.largest} at most", ""
    return "within the platform's range", ""


def within_budget(number: int, inputs: Inputs) -> int:
    """Holds an increase once the day's are used up; what the shop shows stays. A pin is held by nothing."""
    budget, expected = inputs.rules.daily_increases, inputs.expected
    if budget is None or expected is None or inputs.pin is not None or inputs.raises_today < budget:
        return number
    return min(number, max(expected, 0))


def _why_budget(before: int, after: int, inputs: Inputs) -> Reason:
    budget = inputs.rules.daily_increases
    why = f"raised {inputs.raises_today} of {budget} times today"
    if after < before:
        why += "; the increase waits until tomorrow"
    return why, inputs.rules.origin("daily_increases")


#: The pipeline, in order.
STAGES: tuple[Stage, ...] = (
    Stage("Available", available, _why_available),
    Stage("Safety stock", less_safety_stock, _why_safety_stock),
    Stage("Bundle", smallest_component, _why_bundle, lambda inputs: inputs.is_kit),
    Stage("Pools", less_pools, _why_pools, lambda inputs: bool(inputs.rules.pools)),
    Stage("Scarce stock", share_of_scarce, _why_scarce, lambda inputs: inputs.rules.scarce_below > 0),
    Stage("Buffer", less_buffer, _why_buffer),
    Stage("Pre-order", plus_preorders, _why_preorders, lambda inputs: inputs.rules.preorder_limit > 0),
    Stage("Minimum and maximum", within_limits, _why_limits),
    Stage(
        "Channel cap",
        within_channel_cap,
        _why_channel_cap,
        lambda inputs: inputs.rules.channel_cap is not None,
    ),
    Stage("Pin", pinned, _why_pinned, lambda inputs: inputs.pin is not None),
    Stage("Floor", not_negative, _why_floor),
    Stage("Convention", in_convention, _why_convention),
    Stage("Platform", within_platform, _why_platform),
    Stage(
        "Change budget",
        within_budget,
        _why_budget,
        lambda inputs: inputs.rules.daily_increases is not None and inputs.expected is not None,
    ),
)
