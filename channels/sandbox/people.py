"""Invented customers: plausible in shape, plainly not real, so that it can be shown that nobody keeps them."""

from dataclasses import dataclass
from typing import Final

_STREETS: Final = ("Example Street", "Sample Lane", "Specimen Road", "Placeholder Quay")
_CITIES: Final = {"NL": "Voorbeeldstad", "BE": "Voorbeeldgem", "DE": "Musterstadt", "FR": "Exempleville"}


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who does not exist."""

    number: int
    country: str

    @property
    def first_name(self) -> str:
        return "Sample"

    @property
    def last_name(self) -> str:
        return f"Customer {self.number}"

    @property
    def email(self) -> str:
        return f"sample.customer.{self.number}@example.invalid"

    @property
    def phone(self) -> str:
        return f"+00 0000 {self.number:06d}"

    @property
    def street(self) -> str:
        return _STREETS[self.number % len(_STREETS)]

    @property
    def house_number(self) -> str:
        return str(1 + self.number % 200)

    @property
    def city(self) -> str:
        return _CITIES.get(self.country, "Exampleton")

    @property
    def postcode(self) -> str:
        return f"{1000 + self.number % 9000} XX"
