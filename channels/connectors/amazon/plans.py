"""Amazon's usage plans: a bucket for each operation, shared by all processes, corrected by what answers tell.

The numbers are those of the vendor's model files; where its documents disagree the lower one is assumed.
"""

from collections.abc import Mapping
from typing import Final

from channels.connectors.base import LimitReading, RateLimit, Response

#: Login with Amazon states no limit; a token is asked for once an hour.
_TOKENS: Final = RateLimit(capacity=5, refill_per_second=0.5)

SELLER_PLANS: Final[Mapping[str, RateLimit]] = {
    "lwa": _TOKENS,
    "patch-listing": RateLimit(capacity=5, refill_per_second=5),
    "search-listings": RateLimit(capacity=5, refill_per_second=5),
    "get-listing": RateLimit(capacity=5, refill_per_second=5),
    "search-orders": RateLimit(capacity=20, refill_per_second=0.0056),
    "get-order": RateLimit(capacity=30, refill_per_second=0.5),
    "fba-inventory": RateLimit(capacity=2, refill_per_second=2),
    "notifications": RateLimit(capacity=5, refill_per_second=1),
    "create-feed-document": RateLimit(capacity=15, refill_per_second=0.5),
    # JSON_LISTINGS_FEED has a rule of its own: five feeds in five minutes.
    "create-feed": RateLimit(capacity=5, refill_per_second=5 / 300),
    "get-feeds": RateLimit(capacity=10, refill_per_second=0.0222),
    "get-feed": RateLimit(capacity=15, refill_per_second=2),
    "get-feed-document": RateLimit(capacity=10, refill_per_second=0.0222),
    "create-report": RateLimit(capacity=15, refill_per_second=0.0167),
    "get-reports": RateLimit(capacity=10, refill_per_second=0.0222),
    "get-report": RateLimit(capacity=15, refill_per_second=2),
    "get-report-document": RateLimit(capacity=15, refill_per_second=0.0167),
    "participations": RateLimit(capacity=15, refill_per_second=0.016),
    # Documents lie in a store of their own behind signed addresses, for which no limit is stated.
    "documents": RateLimit(capacity=20, refill_per_second=10),
}

#: All operations of vendors have the same plan; only the status of retail transactions may burst to 20.
_VENDOR: Final = RateLimit(capacity=10, refill_per_second=10)

VENDOR_PLANS: Final[Mapping[str, RateLimit]] = {
    "lwa": _TOKENS,
    "search-listings": SELLER_PLANS["search-listings"],
    "retail-orders": _VENDOR,
    "retail-order": _VENDOR,
    "retail-statuses": _VENDOR,
    "retail-acknowledgements": _VENDOR,
    "retail-transaction": RateLimit(capacity=20, refill_per_second=10),
    "direct-orders": _VENDOR,
    "direct-order": _VENDOR,
    "direct-acknowledgements": _VENDOR,
    "direct-inventory": _VENDOR,
    "direct-transaction": _VENDOR,
}


def read_limits(bucket: str, response: Response) -> LimitReading | None:
    """Reads the rate that an answer names, calls a second; None where it names none that makes sense.

    Nothing is said of the burst, which stays as the plan has it.
    """
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        rate = float(headers.get("x-amzn-ratelimit-limit", ""))
    except ValueError:
        return None
    return LimitReading(refill_per_second=rate) if 0 < rate < 10_000 else None
