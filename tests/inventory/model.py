"""A ledger as simple as can be, in plain Python: what the real one has to agree with.

It knows one thing more than the laws: that reservations and debts are served in the order in which they came, and those of
one demand in the order of its places.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

Place = tuple[str, str]


@dataclass
class Hold:
    """Units held at a place; `shipped` and `returned` remember what left and came back for its reference."""

    reference: str
    place: Place
    open: int
    has_ended: bool = False
    shipped: int = 0
    returned: int = 0


@dataclass
class Debt:
    """Units owed."""

    reference: str
    variant: str
    cause: str
    places: tuple[str, ...]
    open: int


@dataclass
class Model:
    """Stock as a dictionary, holds and debts as lists, oldest first."""

    on_hand: dict[Place, int] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)

    def reserved(self, place: Place) -> int:
        return sum(h.open for h in self.holds if h.place == place)

    def available(self, place: Place) -> int:
        return self.on_hand.get(place, 0) - self.reserved(place)

    def levels(self) -> dict[Place, tuple[int, int]]:
        return {place: (units, self.reserved(place)) for place, units in self.on_hand.items()}

    def held(self) -> dict[tuple[str, Place], int]:
        units: dict[tuple[str, Place], int] = {}
        for h in self.holds:
            if h.open:
                units[h.reference, h.place] = units.get((h.reference, h.place), 0) + h.open
        return units

    def owed(self) -> dict[tuple[str, str, str], int]:
        return {(d.reference, d.variant, d.cause): d.open for d in self.debts if d.open}

    # What every operation is made of.

    def touch(self, variants: Iterable[str], places: Iterable[str]) -> None:
        """Ends the holds whose time is over at these places."""
        for h in self.holds:
            if h.has_ended and h.place[0] in variants and h.place[1] in places:
                h.open = 0

    def touch_with_all_of(self, place: Place, places: Iterable[str], holds: Iterable[Hold]) -> None:
        """The levels where a demand has units are locked too, and every locked level is tidied."""
        others = [h.place for h in holds]
        self.touch({place[0], *(v for v, _ in others)}, {*places, *(where for _, where in others)})

    def hold(self, reference: str, place: Place, units: int, *, returned: int = 0) -> None:
        if units:
            self.holds.append(Hold(reference, place, units, returned=returned))

    def owe(self, reference: str, variant: str, cause: str, places: tuple[str, ...], units: int) -> None:
        for debt in self.debts:
            if debt.open and (debt.reference, debt.variant, debt.cause) == (reference, variant, cause):
                debt.open += units
                return
        self.debts.append(Debt(reference, variant, cause, places, units))

    def fill(self) -> None:
        """Gives what is available to who waits, oldest first."""
        for debt in self.debts:
            for place in debt.places if debt.cause != "beyond_record" else ():
                units = min(max(self.available((debt.variant, place)), 0), debt.open)
                self.hold(debt.reference, (debt.variant, place), units)
                debt.open -= units

    def pay(self, reference: str, variant: str, units: int) -> int:
        """Takes units off what a demand is owed; returns the rest."""
        for debt in self.debts:
            if (debt.reference, debt.variant) == (reference, variant) and debt.cause != "beyond_record":
                paid = min(debt.open, units)
                debt.open -= paid
                units -= paid
        return units

    def ship_own(self, holds: Iterable[Hold], units: int) -> int:
        for h in holds:
            shipped = min(h.open, units)
            h.open -= shipped
            h.shipped += shipped
            self.on_hand[h.place] -= shipped
            units -= shipped
        return units

    def ship_available(self, place: Place, units: int) -> int:
        shipped = min(max(self.available(place), 0), units)
        if shipped:
            self.on_hand[place] -= shipped
        return units - shipped

    def of(self, reference: str, variant: str) -> list[Hold]:
        return [h for h in self.holds if (h.reference, h.place[0]) == (reference, variant)]

    def ranked(self, reference: str, variant: str, places: tuple[str, ...]) -> list[Hold]:
        """A demand's holds, those at the place first that it is served from first."""
        rank = {place: number for number, place in enumerate(places)}
        return sorted(self.of(reference, variant), key=lambda h: rank.get(h.place[1], len(places)))

    # The operations.

    def receive(self, place: Place, units: int) -> None:
        self.on_hand[place] = self.on_hand.get(place, 0) + units
        self.fill()

    def ship(self, place: Place, units: int, reference: str) -> None:
        variant, where = place
        own = [h for h in self.of(reference, variant) if h.open]
        self.touch_with_all_of(
            place, (where,), [h for h in self.holds if h.reference == reference and h.open]
        )
        self.on_hand.setdefault(place, 0)
        rest = self.ship_own([h for h in own if h.place == place], units)
        elsewhere = self.pay(reference, variant, rest)
        for h in own:
            released = min(h.open, elsewhere)
            h.open -= released
            elsewhere -= released
        beyond = self.ship_available(place, rest)
        if beyond:
            self.owe(reference, variant, "beyond_record", (where,), beyond)
        self.fill()

    def lose(self, place: Place, units: int, key: str) -> None:
        self.touch({place[0]}, {place[1]})
        self.on_hand.setdefault(place, 0)
        missing = max(units - self.available(place), 0)
        for h in reversed(self.holds):
            if h.place == place:
                broken = min(h.open, missing)
                if broken:
                    h.open -= broken
                    missing -= broken
                    self.owe(h.reference, place[0], "broken", (place[1],), broken)
        beyond = max(units - self.on_hand[place], 0)
        if beyond:
            self.owe(key, place[0], "beyond_record", (place[1],), beyond)
        self.on_hand[place] -= units - beyond
        self.fill()

    def count(self, place: Place, counted: int) -> None:
        self.touch({place[0]}, {place[1]})
        delta = counted - self.on_hand.get(place, 0)
        if delta < 0:
            self.lose(place, -delta, "")
        else:
            self.receive(place, delta)

    def reserve(
        self, reference: str, variants: Sequence[tuple[str, int]], places: tuple[str, ...], *, has_ended: bool
    ) -> bool:
        """Holds all or nothing; says whether it did. A refusal leaves even what had expired."""
        before = [h.open for h in self.holds]
        counts = len(self.holds), [d.open for d in self.debts]
        self.touch({v for v, _ in variants}, places)
        self.fill()
        for variant, units in variants:
            for where in places:
                taken = min(max(self.available((variant, where)), 0), units)
                if taken:
                    self.holds.append(Hold(reference, (variant, where), taken, has_ended))
                units -= taken
            if units:
                del self.holds[counts[0] :]
                for h, open_units in zip(self.holds, before, strict=True):
                    h.open = open_units
                for d, open_units in zip(self.debts, counts[1], strict=True):
                    d.open = open_units
                return False
        return True

    def settle(self, reference: str, variant: str, places: tuple[str, ...], counts: dict[str, int]) -> None:
        wanted, cancelled = counts.get("wanted", 0), counts.get("cancelled", 0)
        fulfilled, unfulfilled = counts.get("fulfilled", 0), counts.get("unfulfilled", 0)
        both = min(wanted, cancelled)
        wanted, cancelled = wanted - both, cancelled - both
        both = min(fulfilled, unfulfilled)
        fulfilled, unfulfilled = fulfilled - both, unfulfilled - both
        concerned = [
            h
            for h in self.holds
            if h.reference == reference
            and ((h.open and (cancelled or fulfilled)) or (h.shipped and unfulfilled))
        ]
        self.touch_with_all_of((variant, places[0]), places, concerned)
        for where in places:
            self.on_hand.setdefault((variant, where), 0)
        again = self.take_back(reference, variant, places[0], unfulfilled)
        both = min(again, cancelled)
        wanted, cancelled = wanted + again - both, cancelled - both
        rest = self.pay(reference, variant, cancelled)
        for h in reversed(self.ranked(reference, variant, places)):
            released = min(h.open, rest)
            h.open -= released
            rest -= released
        self.fill()
        for where in places:
            taken = min(max(self.available((variant, where)), 0), wanted)
            self.hold(reference, (variant, where), taken)
            wanted -= taken
        if wanted:
            self.owe(reference, variant, "shortage", places, wanted)
        rest = self.ship_own(self.ranked(reference, variant, places), fulfilled)
        self.pay(reference, variant, rest)
        for where in places:
            rest = self.ship_available((variant, where), rest)
        if rest:
            self.owe(reference, variant, "beyond_record", (places[0],), rest)

    def resource(self, reference: str, variant: str, source: str | None, target: str) -> bool:
        """Moves what it can to another place; says whether that was anything. A refusal leaves all as it was."""
        kept = deepcopy((self.on_hand, self.holds, self.debts))
        place = variant, target
        self.touch_with_all_of(
            place, (target,), [h for h in self.holds if h.reference == reference and h.open]
        )
        self.fill()
        self.on_hand.setdefault(place, 0)
        own = [h for h in self.of(reference, variant) if h.place[1] == source]
        debts = (
            0
            if source
            else sum(
                units
                for (r, v, c), units in self.owed().items()
                if (r, v) == (reference, variant) and c != "beyond_record"
            )
        )
        units = min(self.available(place), sum(h.open for h in own) + debts)
        if units <= 0:
            self.on_hand, self.holds, self.debts = kept
            return False
        rest = units
        for h in reversed(own):
            given = min(h.open, rest)
            h.open -= given
            rest -= given
        self.pay(reference, variant, rest)
        self.hold(reference, place, units)
        self.fill()
        return True

    def serve(self, number: int, target: str) -> bool:
        """Holds what it can of a debt at a place; says whether that was anything. A refusal leaves all as it was."""
        kept = deepcopy((self.on_hand, self.holds, self.debts))
        debt = self.debts[number]
        place = debt.variant, target
        self.touch({debt.variant}, {target})
        self.fill()
        self.on_hand.setdefault(place, 0)
        units = min(self.available(place), debt.open)
        if units <= 0:
            self.on_hand, self.holds, self.debts = kept
            return False
        debt.open -= units
        self.hold(debt.reference, place, units)
        return True

    def take_over(self, number: int, giver: int, places: tuple[str, ...]) -> bool:
        """Gives what a hold has to a debt; the giver is owed it at these places. A refusal leaves all as it was."""
        kept = deepcopy((self.on_hand, self.holds, self.debts))
        debt, hold = self.debts[number], self.holds[giver]
        self.touch({debt.variant}, {hold.place[1], *places})
        self.fill()
        units = min(hold.open, debt.open)
        if not units or hold.reference == debt.reference or hold.place[0] != debt.variant:
            self.on_hand, self.holds, self.debts = kept
            return False
        for where in (hold.place[1], *places):
            self.on_hand.setdefault((debt.variant, where), 0)
        hold.open -= units
        debt.open -= units
        self.hold(debt.reference, hold.place, units)
        self.owe(hold.reference, debt.variant, "given", places, units)
        self.fill()
        return True

    def take_back(self, reference: str, variant: str, home: str, units: int) -> int:
        """Returns units that were beyond record, which are wanted again."""
        beyond = 0
        for debt in self.debts:
            if (debt.reference, debt.variant, debt.cause) == (reference, variant, "beyond_record"):
                forgotten = min(debt.open, units)
                debt.open -= forgotten
                units -= forgotten
                beyond += forgotten
        net: dict[Place, int] = {}
        latest: dict[Place, int] = {}
        for number, h in enumerate(self.of(reference, variant)):
            net[h.place] = net.get(h.place, 0) + h.shipped - h.returned
            if h.shipped:
                latest[h.place] = number
        for place in sorted(latest, key=lambda p: latest[p], reverse=True):
            back = min(max(net[place], 0), units)
            self.put_back(reference, place, back)
            units -= back
        self.put_back(reference, (variant, home), units)
        return beyond

    def put_back(self, reference: str, place: Place, units: int) -> None:
        if units:
            self.on_hand[place] += units
            self.hold(reference, place, units, returned=units)
