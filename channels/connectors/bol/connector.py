"""Shell."""

from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.base import Capabilities, Connector


class BolConnector(Connector):
    """A bol account."""

    kind = "bol"
    label = "bol"
    capabilities: ClassVar[Capabilities] = Capabilities(push_batch_size=8, poll_interval=timedelta(minutes=5))
    credential_fields = ()
    settings_schema: ClassVar[dict[str, Any]] = {}
