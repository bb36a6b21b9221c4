"""What the description of the API says of all endpoints of a resource together."""

from typing import Any

from inventory.scopes import RESOURCES


def describe_resources(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds what each resource comprises, by which operations are grouped and scopes are named."""
    tags = [
        {"name": name, "description": f"{text[:1].upper()}{text[1:]}."} for name, text in RESOURCES.items()
    ]
    return {**result, "tags": tags}
