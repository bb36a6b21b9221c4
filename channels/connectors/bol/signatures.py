"""Signatures of bol's events: RSA over the raw body, by a key that the header names.

The keys come with the account's credentials (kept when the subscription was registered). One that is not among
them is asked for, at most once a minute and process, so that forged messages cannot make us call bol.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.connectors.base import Account, InboundRequest
from channels.connectors.bol.api import RetailerApi
from channels.connectors.messages import read_objects, read_text
from channels.errors import BadSignature, ConnectorError, TransientError

#: Name of the credential that holds the keys, as JSON {id: base64}.
CREDENTIAL: Final = "signature_keys"
#: Seconds between two questions for keys.
_PAUSE: Final = 60.0
_BUCKET: Final = "account"

#: A signature of 4,096 bits takes 700 letters.
_LONGEST_HEADER: Final = 2_000
_PARAMETER: Final = re.compile(r'([A-Za-z]+)\s*=\s*"?([^",\s]+)"?')
_ARMOUR: Final = re.compile(r"-----[A-Z ]+-----|\s")
#: By the name in the header; a header without one means the first.
_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "rsa-sha256": hashes.SHA256,
    "rsa-sha512": hashes.SHA512,
}


@dataclass(slots=True)
class _Asked:
    """What bol answered to the last question for keys."""

    asked_at: float = -_PAUSE
    keys: Mapping[str, str] = field(default_factory=dict)
    has_failed: bool = False


_asked: dict[int, _Asked] = {}
_lock: Final = threading.Lock()


def verify(api: RetailerApi, account: Account, request: InboundRequest) -> None:
    """Checks the signature of a message. Raises `BadSignature`; `TransientError` when no key can be had."""
    parameters = dict(_PARAMETER.findall(request.headers.get("signature", "")[:_LONGEST_HEADER]))
    key = _key(api, account, parameters.get("keyId", ""))
    algorithm = _HASHES.get(parameters.get("algorithm", "rsa-sha256").lower())
    if algorithm is None:
        raise BadSignature("The signature's algorithm is not known.")
    try:
        signature = base64.b64decode(parameters.get("signature", ""), validate=True)
        key.verify(signature, request.body, padding.PKCS1v15(), algorithm())
    except (ValueError, InvalidSignature) as error:
        raise BadSignature from error


def _key(api: RetailerApi, account: Account, key_id: str) -> RSAPublicKey:
    """Returns the key of this id: a kept one, else one that bol has added since."""
    if not key_id:
        raise BadSignature
    text = kept_keys(account).get(key_id) or _keys_of_bol(api, account.channel_id, key_id).get(key_id)
    if text is None:
        raise BadSignature("The message is signed with a key that bol does not list.")
    return _load(text)


def _load(text: str) -> RSAPublicKey:
    try:
        key = load_der_public_key(base64.b64decode(_ARMOUR.sub("", text)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TransientError("bol lists a signature key that cannot be read.") from error
    if not isinstance(key, RSAPublicKey):
        raise TransientError("bol lists a signature key that is not an RSA key.")
    return key


def kept_keys(account: Account) -> Mapping[str, str]:
    """Returns the keys in the account's credentials."""
    kept = account.credentials.get(CREDENTIAL)
    keys = json.loads(kept) if kept else {}
    return keys if isinstance(keys, dict) else {}


def fetch_keys(api: RetailerApi) -> dict[str, str]:
    """Asks bol for its signature keys: base64 by id."""
    body = api.read("/retailer/subscriptions/signature-keys", bucket=_BUCKET).body
    return {read_text(key, "id"): read_text(key, "publicKey") for key in read_objects(body, "signatureKeys")}


def _keys_of_bol(api: RetailerApi, channel_id: int, key_id: str) -> Mapping[str, str]:
    """Returns the keys of the last question, or of a new one where that is over a minute ago."""
    with _lock:
        last = _asked.setdefault(channel_id, _Asked())
        if key_id not in last.keys and time.monotonic() - last.asked_at >= _PAUSE:
            _ask(api, last)
        if key_id not in last.keys and last.has_failed:
            raise TransientError("bol's signature keys cannot be had at the moment.")
        return last.keys


def _ask(api: RetailerApi, last: _Asked) -> None:
    last.asked_at = time.monotonic()
    try:
        last.keys = fetch_keys(api)
        last.has_failed = False
    except ConnectorError:
        last.has_failed = True


def forget_keys() -> None:
    """Has this process ask again for keys that are not in the credentials."""
    with _lock:
        _asked.clear()
