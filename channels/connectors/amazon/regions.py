"""Amazon's marketplaces and the regions whose API serves them (SP-API: endpoints, marketplace ids)."""

from typing import Final

from channels.errors import Misconfigured

_HOSTS: Final = {
    "na": "https://sellingpartnerapi-na.amazon.com",
    "eu": "https://sellingpartnerapi-eu.amazon.com",
    "fe": "https://sellingpartnerapi-fe.amazon.com",
}

JAPAN: Final = "A1VC38T7YXB528"
#: Region → country → marketplace id.
_MARKETPLACES: Final = {
    "na": {
        "US": "ATVPDKIKX0DER",
        "CA": "A2EUQ1WTGCTBG2",
        "MX": "A1AM78C64UM0Y8",
        "BR": "A2Q3Y263D00KWC",
    },
    "eu": {
        "IE": "A28R8C7NBKEWEA",
        "ES": "A1RKKUPIHCS9HS",
        "UK": "A1F83G8C2ARO7P",
        "FR": "A13V1IB3VIYZZH",
        "BE": "AMEN7PMS3EDWL",
        "NL": "A1805IZSGTT6HS",
        "DE": "A1PA6795UKMFR9",
        "IT": "APJ6JRA9NG5V4",
        "SE": "A2NODRKZP88ZB9",
        "ZA": "AE08WJ6YKNBMC",
        "PL": "A1C3SOZRARQ6R3",
        "EG": "ARBP9OOSHTCHU",
        "TR": "A33AVAJ2PDY3EV",
        "SA": "A17E79C6D8DWNP",
        "AE": "A2VIGQ35RCS4UG",
        "IN": "A21TJRUUN4KGV",
    },
    "fe": {
        "SG": "A19VAU5U5O7RUS",
        "AU": "A39IBJ37TRP1C6",
        "JP": JAPAN,
    },
}
_REGION_OF: Final = {
    identity: region for region, countries in _MARKETPLACES.items() for identity in countries.values()
}
_BY_COUNTRY: Final = {
    country: identity for countries in _MARKETPLACES.values() for country, identity in countries.items()
}


def marketplace_ids(text: str) -> tuple[str, ...]:
    """Reads marketplaces, by id or country (`DE, NL`), the first one first. Raises `Misconfigured`."""
    names = [name.strip() for name in text.replace(";", ",").split(",") if name.strip()]
    found = tuple(dict.fromkeys(_BY_COUNTRY.get(name.upper(), name) for name in names))
    unknown = [identity for identity in found if identity not in _REGION_OF]
    if unknown or not found:
        raise Misconfigured(f"{', '.join(unknown) or 'Nothing'} is no Amazon marketplace; enter e.g. DE, NL.")
    if len({_REGION_OF[identity] for identity in found}) > 1:
        raise Misconfigured(
            "The marketplaces lie in several regions of Amazon; make a channel for each region."
        )
    return found


def api_host(identities: tuple[str, ...]) -> str:
    """Returns the address of the API that serves these marketplaces."""
    return _HOSTS[_REGION_OF[identities[0]]]
