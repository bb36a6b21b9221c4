"""One SQS queue, good enough for AWS's own client: its JSON protocol and signature, long polls, messages that come again."""

import hashlib
import hmac
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from channels.sandbox.httpd import Answer, Request, json_answer

ACCOUNT: Final = "123456789012"
NAME: Final = "onecount"
_TARGET: Final = "AmazonSQS."
_LONGEST_WAIT: Final = 20
_MOST: Final = 10
_VISIBILITY: Final = 30
_TYPE: Final = "application/x-amz-json-1.0"


@dataclass(slots=True)
class Message:
    """A message in the queue."""

    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: Until then nobody gets it.
    hidden_until: float = 0.0
    receipts: set[str] = field(default_factory=set)
    received: int = 0


class Refusal(Exception):
    """A refusal in AWS's form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Queue:
    """A standard queue: at least once, in no sequence to rely on."""

    def __init__(self, base_url: str, keys: Mapping[str, str]) -> None:
        self.url = f"{base_url}/{ACCOUNT}/{NAME}"
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{NAME}"
        self._keys = dict(keys)
        self._messages: list[Message] = []
        self._arrived = threading.Condition()
        self._is_closed = False

    def put(self, body: str) -> None:
        """Adds a message."""
        with self._arrived:
            self._messages.append(Message(body))
            self._arrived.notify_all()

    def close(self) -> None:
        """Ends long polls."""
        with self._arrived:
            self._is_closed = True
            self._arrived.notify_all()

    @property
    def waiting(self) -> int:
        """Messages that nobody has removed yet."""
        with self._arrived:
            return len(self._messages)

    @staticmethod
    def is_meant(request: Request) -> bool:
        """Tells whether a call is one of SQS."""
        return request.headers.get("x-amz-target", "").startswith(_TARGET)

    def answer(self, request: Request) -> Answer:
        """Answers a call of SQS."""
        action = request.headers["x-amz-target"].removeprefix(_TARGET)
        try:
            self._check_signature(request)
            handler = self._handlers().get(action)
            if handler is None:
                raise Refusal(400, "com.amazonaws.sqs#UnsupportedOperation", f"There is no {action} here.")
            data = request.json()
            if data.get("QueueUrl") != self.url:
                raise Refusal(
                    400, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist."
                )
            return _answered(200, handler(data))
        except Refusal as refusal:
            return _answered(refusal.status, {"__type": refusal.code, "message": str(refusal)})

    def _handlers(self) -> Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
            "SendMessage": self._send,
            "GetQueueAttributes": self._attributes,
        }

    def _receive(self, data: dict[str, Any]) -> dict[str, Any]:
        wait, most = int(data.get("WaitTimeSeconds", 0)), int(data.get("MaxNumberOfMessages", 1))
        if not 0 <= wait <= _LONGEST_WAIT or not 1 <= most <= _MOST:
            raise Refusal(400, "com.amazonaws.sqs#InvalidParameterValue", "A value is out of range.")
        until = time.monotonic() + wait
        with self._arrived:
            while not (found := self._visible(most)) and not self._is_closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._arrived.wait(min(left, 0.5))
            return {"Messages": [self._handed(each, data) for each in found]} if found else {}

    def _visible(self, most: int) -> list[Message]:
        now = time.time()
        return [each for each in self._messages if each.hidden_until <= now][:most]

    @staticmethod
    def _handed(message: Message, data: Mapping[str, Any]) -> dict[str, Any]:
        message.hidden_until = time.time() + int(data.get("VisibilityTimeout", _VISIBILITY))
        message.received += 1
        receipt = f"{message.id}#{message.received}"
        message.receipts.add(receipt)
        return {
            "MessageId": message.id,
            "ReceiptHandle": receipt,
            "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "Body": message.body,
        }

    def _delete(self, data: dict[str, Any]) -> dict[str, Any]:
        entries = data.get("Entries") or []
        if not 1 <= len(entries) <= _MOST:
            raise Refusal(400, "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "One to ten entries.")
        receipts = {entry["ReceiptHandle"] for entry in entries}
        with self._arrived:
            self._messages = [each for each in self._messages if not each.receipts & receipts]
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}

    def _send(self, data: dict[str, Any]) -> dict[str, Any]:
        body = str(data.get("MessageBody", ""))
        self.put(body)
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}

    def _attributes(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": self.arn, "ApproximateNumberOfMessages": str(self.waiting)}}

    def show_hidden(self) -> None:
        """Has messages that were taken and not removed come again at once."""
        with self._arrived:
            for message in self._messages:
                message.hidden_until = 0.0
            self._arrived.notify_all()

    # -- who calls
    def _check_signature(self, request: Request) -> None:
        """Checks AWS's signature (version 4) over the call. Raises `Refusal`."""
        kind, _, rest = request.headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        scope = parts.get("Credential", "").split("/")
        if kind != "AWS4-HMAC-SHA256" or scope[0] != self._keys["aws_access_key_id"] or len(scope) != 5:
            raise Refusal(
                403,
                "com.amazon.coral.service#UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        expected = _signature(
            request, parts.get("SignedHeaders", ""), scope, self._keys["aws_secret_access_key"]
        )
        if not hmac.compare_digest(expected, parts.get("Signature", "")):
            raise Refusal(
                403,
                "com.amazon.coral.service#InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            )


def _answered(status: int, data: Mapping[str, Any]) -> Answer:
    return json_answer(status, data, {"Content-Type": _TYPE, "x-amzn-RequestId": str(uuid.uuid4())})


def _signature(request: Request, signed_headers: str, scope: list[str], secret: str) -> str:
    """Computes the signature of a call as AWS documents it."""
    names = signed_headers.split(";")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    canonical = "\n".join(
        [
            request.method,
            request.path,
            "",
            headers,
            signed_headers,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    _, day, region, service, end = scope
    to_sign = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers.get("x-amz-date", ""),
            "/".join([day, region, service, end]),
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
