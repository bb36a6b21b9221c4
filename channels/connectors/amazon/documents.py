"""Documents of feeds and reports: they lie behind signed addresses, which take no token and end soon."""

import zlib
from typing import Any, Final

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.messages import read_text
from channels.errors import Misconfigured, TransientError

_BUCKET: Final = "documents"
#: Bytes of a document, unpacked: a catalogue of a million listings.
_LARGEST: Final = 400 * 1024 * 1024


def upload(api: SellingPartnerApi, url: str, body: bytes, content_type: str) -> None:
    """Puts a document where Amazon fetches it; the content type is part of what was signed."""
    answer = api.client.request(
        "PUT", url, bucket=_BUCKET, headers={"Content-Type": content_type}, data=body, writes=False
    )
    if answer.status >= 400:
        raise TransientError(f"The document could not be stored ({answer.status}).")


def download(api: SellingPartnerApi, described: dict[str, Any]) -> bytes:
    """Fetches a document as `get…Document` describes it, unpacked."""
    url = read_text(described, "url")
    if not url:
        raise TransientError("Amazon named no address for the document.")
    answer = api.client.request("GET", url, bucket=_BUCKET)
    if answer.status >= 400:
        raise TransientError(f"The document could not be fetched ({answer.status}).")
    packed = read_text(described, "compressionAlgorithm")
    if packed not in ("", "GZIP"):
        raise Misconfigured(f"The document is packed with {packed}, which nobody here unpacks.")
    return _unpack(answer.body) if packed else answer.body


def _unpack(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(body, _LARGEST)
    except zlib.error as error:
        raise TransientError("The document is not packed as it says.") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise TransientError("The document is cut off, or larger than any that is expected.")
    return text
