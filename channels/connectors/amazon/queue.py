"""The queue (SQS) that Amazon puts its notifications into, in an AWS account of the merchant's own.

Messages come at least once, in any sequence. One that is not acknowledged comes again, and ends in the queue's own
dead-letter queue.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from channels.connectors.base import Account, QueuedMessage
from channels.errors import ConnectorError, Misconfigured, TransientError, Unauthorised, Unsupported

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

# Its debug lines quote whole messages, the buyer's postal code among them.
logging.getLogger("botocore").setLevel(logging.INFO)

#: SQS hands out no more at once, and waits no longer.
_MOST: Final = 10
_LONGEST_WAIT: Final = 20
#: Seconds in which nobody else gets a message that was taken: longer than storing ten takes.
_HIDDEN_FOR: Final = 60
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")
_REFUSED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
    }
)


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """A queue, by the parts of its URL."""

    url: str
    endpoint: str
    region: str
    arn: str


def has_queue(account: Account) -> bool:
    """Tells whether the channel's messages can be read from a queue."""
    keys = account.credentials.get("aws_access_key_id"), account.credentials.get("aws_secret_access_key")
    return bool(account.settings["queue_url"] and all(keys))


def address_of(account: Account) -> QueueAddress:
    """Returns the channel's queue. Raises `Unsupported` where it has none, `Misconfigured` for what is no queue."""
    if not has_queue(account):
        raise Unsupported(
            "No queue is set up, so that orders are polled alone: enter the queue's URL and both AWS keys."
        )
    url = str(account.settings["queue_url"]).rstrip("/")
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = parts.path.strip("/").split("/")
    # Addresses of settings are checked before: http leads to a simulated platform on this machine, or nowhere.
    if not host.endswith(_AWS) and parts.scheme != "http":
        raise Misconfigured("The queue's URL must lead to amazonaws.com.")
    if len(path) != 2 or not path[0].isdecimal():
        raise Misconfigured("The queue's URL must end with /<AWS account>/<name>.")
    if path[1].endswith(".fifo"):
        raise Misconfigured("Amazon sends to standard queues alone, not to FIFO queues.")
    region = _region(host)
    partition = "aws-cn" if host.endswith(".cn") else "aws"
    arn = f"arn:{partition}:sqs:{region}:{path[0]}:{path[1]}"
    return QueueAddress(url, f"{parts.scheme}://{parts.netloc}", region, arn)


def _region(host: str) -> str:
    """Returns the region in a host, in its present form (`sqs.eu-west-1.…`) or the one before (`eu-west-1.queue.…`)."""
    labels = host.split(".")
    if labels[0] == "sqs":
        return labels[1]
    return labels[0] if labels[1:2] == ["queue"] else "us-east-1"


def take(account: Account, *, seconds: float) -> list[QueuedMessage]:
    """Takes up to ten messages, after at most so many seconds."""
    wait = max(0, min(int(seconds), _LONGEST_WAIT))
    queue = address_of(account)
    answer = _ask(
        account,
        queue,
        lambda client: client.receive_message(
            QueueUrl=queue.url, MaxNumberOfMessages=_MOST, WaitTimeSeconds=wait, VisibilityTimeout=_HIDDEN_FOR
        ),
    )
    return [
        QueuedMessage(_unwrapped(each["Body"]), each["ReceiptHandle"]) for each in answer.get("Messages", ())
    ]


def acknowledge(account: Account, receipts: Sequence[str]) -> None:
    """Removes messages from the queue; one that could not be removed comes again, and is known then."""
    queue = address_of(account)
    for start in range(0, len(receipts), _MOST):
        entries: list[Any] = [
            {"Id": str(number), "ReceiptHandle": receipt}
            for number, receipt in enumerate(receipts[start : start + _MOST])
        ]
        _ask(
            account,
            queue,
            lambda client, entries=entries: client.delete_message_batch(QueueUrl=queue.url, Entries=entries),
        )


def _unwrapped(body: str) -> bytes:
    """Returns what Amazon sent; behind an SNS topic it stands inside another message."""
    try:
        outer = json.loads(body)
    except ValueError:
        return body.encode("utf-8", "replace")
    if (
        isinstance(outer, dict)
        and outer.get("Type") == "Notification"
        and isinstance(outer.get("Message"), str)
    ):
        return str(outer["Message"]).encode("utf-8", "replace")
    return body.encode("utf-8", "replace")


def _ask(account: Account, queue: QueueAddress, call: Any) -> Mapping[str, Any]:
    """Makes a call; what AWS refuses comes back as ours, without what was sent."""
    client = _client(
        queue.endpoint,
        queue.region,
        str(account.credentials["aws_access_key_id"]),
        str(account.credentials["aws_secret_access_key"]),
    )
    try:
        answer: Mapping[str, Any] = call(client)
    except ClientError as error:
        raise _translated(error) from None
    except (BotoCoreError, ValueError) as error:
        raise TransientError(f"The queue cannot be reached ({type(error).__name__}).") from None
    return answer


def _translated(error: ClientError) -> ConnectorError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _REFUSED or status in (401, 403):
        return Unauthorised(f"AWS does not let these keys read the queue ({code}).")
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return Misconfigured(f"There is no such queue ({code}).")
    return TransientError(f"The queue does not answer as it should ({code or status}).")


@lru_cache(maxsize=32)
def _client(endpoint: str, region: str, key: str, secret: str) -> "SQSClient":
    """Returns a client, which may be shared by threads; its own retries are off, for ours decide."""
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
    config = Config(
        connect_timeout=5,
        read_timeout=_LONGEST_WAIT + 10,
        retries={"total_max_attempts": 1},
        proxies={},
    )
    return session.client("sqs", endpoint_url=endpoint, config=config)
