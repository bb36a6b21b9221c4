"""Optimistic edits: an `ETag` names what was read, `If-Match` has a change refused that was made of something else."""

import hashlib
import json
from typing import Any

from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from config.api.problems import CHANGED, Problem


def etag_of(representation: Any) -> str:
    """Returns the tag of something as the API shows it."""
    text = json.dumps(representation, sort_keys=True, separators=(",", ":"), cls=JSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def check_match(request: Request, tag: str) -> None:
    """Raises `Problem` (412) where the caller made its change of something else; nothing is asked of those who name none."""
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    # Compression makes a tag a weak one; what it names is the same.
    if tag not in {each.strip().removeprefix("W/") for each in wanted.split(",")}:
        raise Problem(CHANGED)
