"""Keys: given out once, recognised at every request, replaced with an overlap, revoked.

A key is random (238 bits), so that its SHA-512 needs no salt and can be looked up. Recognising it, counting the request
against its rate and noting that it was used is one statement: all processes count in one row, so that exactly as many
requests of a minute pass as the key's rate says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone
from rest_framework_api_key.crypto import KeyGenerator

from config.database import NEED_NOT_LAST
from inventory import scopes as known_scopes
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.models import ApiKey, ApiKeyUse, Merchant
from inventory.models.access import LARGEST_RATE, USUAL_RATE
from inventory.validation import check_text

#: No key is longer.
LONGEST_KEY: Final = 100
#: How long the old key stays in force when it is replaced, unless somebody says otherwise.
USUAL_OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with, and what is left of its rate."""

    key_id: int
    merchant_id: int
    name: str
    prefix: str
    scopes: frozenset[str]
    is_test: bool
    #: Requests a minute.
    rate: int
    #: Requests of this minute, this one included.
    used: int
    #: Seconds until the next minute begins.
    seconds_left: int

    @property
    def is_over_rate(self) -> bool:
        """Whether this request is one too many."""
        return self.used > self.rate

    @property
    def actor(self) -> str:
        """How the ledger names it."""
        return f"{self.name} ({self.prefix})"

    @property
    def change_reason(self) -> str:
        """How the history of what people edit names it."""
        return f"API: {self.actor}"[:100]

    def may(self, resource: str, verb: str) -> bool:
        """Returns whether it may read or write a kind of thing."""
        return known_scopes.allows(self.scopes, resource, verb)


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a new key is to be."""

    name: str
    scopes: Sequence[str]
    is_test: bool = False
    requests_per_minute: int = USUAL_RATE
    expires_at: datetime | None = None


class _Generator(KeyGenerator):
    """Keys whose beginning says whose they are and whether they are for tests."""

    def __init__(self, *, is_test: bool) -> None:
        super().__init__(prefix_length=10, secret_key_length=40)
        self._mode = "test" if is_test else "live"

    def get_prefix(self) -> str:
        """Returns the part that may be shown."""
        return f"oc_{self._mode}_{super().get_prefix()}"


def issue(
    merchant: Merchant, terms: KeyTerms, *, by: str, replaces: ApiKey | None = None
) -> tuple[ApiKey, str]:
    """Makes a key and returns it with its text, which is kept nowhere. Raises `InvalidStockRequest`."""
    _check(terms)
    text, prefix, hashed = _Generator(is_test=terms.is_test).generate()
    with transaction.atomic():
        key = ApiKey.objects.create(
            merchant=merchant,
            name=terms.name,
            prefix=prefix,
            hashed_key=hashed,
            scopes=sorted(set(terms.scopes)),
            is_test=terms.is_test,
            requests_per_minute=terms.requests_per_minute,
            expires_at=terms.expires_at,
            created_by=by[:200],
            replaces=replaces,
        )
        ApiKeyUse.objects.create(key=key, window_started_at=timezone.now())
    return key, text


def _check(terms: KeyTerms) -> None:
    if not terms.name.strip():
        raise InvalidStockRequest("name", "a key needs a name, so that people know whose it is.")
    check_text("name", terms.name, longest=100)
    if not terms.scopes:
        raise InvalidStockRequest("scopes", "a key needs at least one scope.")
    if wrong := known_scopes.unknown(terms.scopes):
        raise InvalidStockRequest("scopes", f"there is no scope {', '.join(wrong)[:200]}.")
    if not 1 <= terms.requests_per_minute <= LARGEST_RATE:
        raise InvalidStockRequest("requests_per_minute", f"must lie between 1 and {LARGEST_RATE}.")
    if terms.expires_at is not None and terms.expires_at <= timezone.now():
        raise InvalidStockRequest("expires_at", "lies in the past; choose a later instant.")


def rotate(
    merchant_id: int, key_id: int, *, by: str, overlap: timedelta = USUAL_OVERLAP
) -> tuple[ApiKey, str]:
    """Makes a key with the same rights; the old one stays in force for the overlap. Raises `InvalidStockRequest`."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidStockRequest("overlap_seconds", f"at most {LONGEST_OVERLAP.days} days, and not below 0.")
    with transaction.atomic():
        old = _locked(merchant_id, key_id)
        now = timezone.now()
        if not old.is_live(now):
            raise InvalidStockRequest("id", "the key is not in force any more; make a new one.")
        # Its end is that of the overlap by now, which a new key must not be given.
        if old.replaced_by.exists():
            raise InvalidStockRequest(
                "id", "the key was replaced already; replace the new one, or revoke it."
            )
        terms = KeyTerms(old.name, old.scopes, old.is_test, old.requests_per_minute, old.expires_at)
        key, text = issue(old.merchant, terms, by=by, replaces=old)
        end = now + overlap
        old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
        old.save(update_fields=["expires_at"])
    return key, text


@transaction.atomic
def revoke(merchant_id: int, key_id: int) -> ApiKey:
    """Has requests with a key refused from now on; harmless where they are refused already."""
    key = _locked(merchant_id, key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
    return key


def _locked(merchant_id: int, key_id: int) -> ApiKey:
    rows = ApiKey.objects.select_for_update(no_key=True, of=("self",)).select_related("merchant")
    key = rows.filter(merchant_id=merchant_id, pk=key_id).first()
    if key is None:
        raise UnknownStock("The merchant has no such key.")
    return key


# Whoever comes second waits for the row and counts on from what the first one left. A minute begins with the first
# request after the one before has ended. A crash may give back the requests of its last moments.
_RECOGNISE: Final = """
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
UPDATE inventory_apikeyuse AS use
SET used = CASE WHEN {is_over} THEN 1 ELSE use.used + 1 END,
    window_started_at = CASE WHEN {is_over} THEN clock.now ELSE use.window_started_at END,
    last_used_at = greatest(use.last_used_at, clock.now)
FROM inventory_apikey key
JOIN inventory_merchant merchant ON merchant.id = key.merchant_id AND merchant.is_active, clock
WHERE key.hashed_key = %s AND use.key_id = key.id AND key.revoked_at IS NULL
  AND coalesce(key.expires_at > clock.now, true) AND {may_be_lost}
RETURNING key.id, key.merchant_id, key.name, key.prefix, key.scopes, key.is_test, key.requests_per_minute, use.used,
          ceil(greatest(60 - extract(epoch FROM clock.now - use.window_started_at), 0))::int
"""
_RECOGNISE_SQL: Final = _RECOGNISE.format(
    is_over="use.window_started_at <= clock.now - interval '60 seconds'", may_be_lost=NEED_NOT_LAST
)


def recognise(text: str) -> Caller | None:
    """Returns whose key this is, and counts one request against its rate; None for one that is not in force."""
    if not 0 < len(text) <= LONGEST_KEY or not text.isascii():
        return None
    with connection.cursor() as cursor:
        cursor.execute(_RECOGNISE_SQL, [KeyGenerator.preferred_hasher.encode(text, "")])
        row: Any = cursor.fetchone()
    if row is None:
        return None
    key_id, merchant_id, name, prefix, scopes, *rest = row
    return Caller(key_id, merchant_id, name, prefix, frozenset(scopes), *rest)


Guard = Callable[[int], bool]
_guards: list[Guard] = []


def guard_test_keys(guard: Guard) -> None:
    """Adds a test of whether something of a merchant must not be touched by test keys."""
    _guards.append(guard)


def may_test(merchant_id: int) -> bool:
    """Returns whether test keys of a merchant may write."""
    return not any(guard(merchant_id) for guard in _guards)
