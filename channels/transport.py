"""The one way out: every call to a platform goes through `HttpClient`, which no connector can go round.

In this order a call: has its address checked, takes its tokens from the channel's shared bucket, is refused where
it writes and the channel is in shadow (`channels.writing`), is sent under a total deadline, is read up to a cap,
corrects the bucket by what the answer tells, and is logged without its content. What went wrong comes back as
`channels.errors`; a write of which nobody knows whether it arrived is `OutcomeUnknown`.
"""

import ipaddress
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from tempfile import TemporaryFile
from typing import IO, Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
import structlog
from django.conf import settings
from django.utils import timezone
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError

from channels import last_call, limits, tokens, writing
from channels.connectors.base import IssuedToken, LimitReading, RateLimit, Response
from channels.errors import ConnectorError, Misconfigured, OutcomeUnknown, Throttled, TransientError
from channels.http_sessions import Call, is_public, session

log = structlog.get_logger(__name__)

#: Bytes of an answer, after decompression; a receiver of messages has nothing to say.
LARGEST_ANSWER: Final = 20 * 1024 * 1024
LARGEST_RECEIPT: Final = 64 * 1024
#: Seconds to connect; a healthy platform needs a tenth.
_CONNECT_SECONDS: Final = 5.0
#: The share of a call's time that it may wait for its tokens.
_WAITING_SHARE: Final = 0.5
#: Bytes of an answer that are taken together.
_PIECE: Final = 65_536
#: Seconds of silence after a 429 that names none.
_DEFAULT_BLOCK: Final = 1.0
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TOO_LATE: Final = "The time of the call was over before it was its turn; nothing was sent."
_UNSAFE_IN_URL: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class _Other:
    """Who is called: how it is spoken of, and what is borne of it."""

    noun: str = "The platform"
    #: It takes messages, and has nothing to say that anybody reads.
    only_receives: bool = False
    #: Whoever runs this server named it: it may be in a private network.
    is_trusted: bool = False

    @property
    def largest_answer(self) -> int:
        """Bytes that are read of an answer."""
        return LARGEST_RECEIPT if self.only_receives else LARGEST_ANSWER


_PLATFORM: Final = _Other()


class Answer:
    """An answer of a platform, read to its end."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, *, is_write: bool) -> None:
        self.status = status
        #: Looked up in any case.
        self.headers = headers
        self.body = body
        self._is_write = is_write
        self._parsed: Any = None
        self._is_parsed = False

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"

    def json(self) -> Any:
        """Returns the body as JSON. Raises `TransientError`, after a write `OutcomeUnknown`, for HTML etc."""
        if not self._is_parsed:
            self._parsed = self._parse()
            self._is_parsed = True
        return self._parsed

    def _parse(self) -> Any:
        try:
            # Plugins of shops put a byte order mark before their JSON now and then.
            return json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip() or "no content type"
            what = f"{kind}, {len(self.body)} bytes" if self.body else "nothing"
            raise self._error(f"Answered {self.status} with {what} where JSON was expected.") from None

    def _error(self, message: str) -> TransientError:
        return OutcomeUnknown(message) if self._is_write else TransientError(message)


class HttpClient:
    """The HTTP of one channel. Cheap to make; connections are shared by all clients of a thread."""

    def __init__(
        self,
        channel_id: int,
        *,
        limits: Mapping[str, RateLimit],
        read_limits: Callable[[str, Response], LimitReading | None] = lambda bucket, answer: None,
        deadline: float = 20.0,
        priority: bool = False,
        is_background: bool = False,
        issued_to: Callable[[], str] = str,
    ) -> None:
        self._channel_id = channel_id
        self._limits = limits
        self._read_limits = read_limits
        self._deadline = deadline
        self._priority = priority
        self._is_background = is_background
        #: Says which credentials tokens have to be issued to (`channels.accounts.fingerprint`).
        self._issued_to = issued_to
        self._budget_ends_at: float | None = None
        self._token: tuple[str, datetime] | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        bucket: str,
        cost: float = 1.0,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        writes: bool | None = None,
    ) -> Answer:
        """Sends one call and returns its answer: success, or a refusal that the connector understands.

        Raises `Throttled` (429, or no tokens in time), `TransientError` (5xx, no connection, no answer),
        `OutcomeUnknown` (a write that may have arrived), `Misconfigured` (address not allowed, redirect), `InShadow` (a write,
        while the channel is only watched).
        """
        parts = check_url(url)
        last_call.begin(self._channel_id, f"{method} {parts.netloc}{parts.path}")
        is_write = writes if writes is not None else method not in ("GET", "HEAD")
        ends_at = self._ends_at()
        grant = self._take_tokens(bucket, cost, ends_at)
        if grant.is_in_shadow:
            writing.refuse(method, is_write=is_write)
        options = {"headers": headers, "params": params, "json": json, "data": data, "auth": auth}
        started = time.monotonic()
        try:
            answer = _exchange(method, url, options, is_write=is_write, seconds=ends_at - started)
            last_call.answered(answer.status)
            self._learn(bucket, cost, grant, answer)
            _check_status(answer, parts, is_write=is_write)
        except ConnectorError as error:
            self._log("platform_call_failed", method, parts, started, reason=str(error))
            raise
        self._log("platform_call", method, parts, started, status=answer.status)
        return answer

    @contextmanager
    def download(self, url: str, *, bucket: str, seconds: float, largest: int) -> Iterator[IO[bytes]]:
        """Fetches a file that needs no credentials to disk, and hands it out; it is gone at the end.

        `largest` is how many bytes it may have. Raises as `request`.
        """
        parts = check_url(url)
        # Where such a file lies is signed, in the query and at some platforms in the path.
        last_call.begin(self._channel_id, f"GET {parts.netloc}")
        self._take_tokens(bucket, 1.0, self._ends_at())
        started = time.monotonic()
        with TemporaryFile() as file:
            try:
                status = _fetch(url, file, seconds=seconds, largest=largest)
                last_call.answered(status)
                if status != 200:
                    raise TransientError(f"The file could not be fetched ({status}).")
            except ConnectorError as error:
                self._log_file("platform_download_failed", parts, started, reason=str(error))
                raise
            self._log_file("platform_call", parts, started, status=status, bytes=file.tell())
            file.seek(0)
            yield file

    def token(self, issue: Callable[[], IssuedToken], *, rejected: str = "") -> str:
        """Returns the channel's access token, shared by all processes (`channels.tokens`)."""
        if self._token is None or rejected or timezone.now() >= self._token[1]:
            self._token = tokens.current(
                self._channel_id, issue, rejected=rejected, issued_to=self._issued_to()
            )
        return self._token[0]

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Has all calls inside share one total deadline, on top of each one's own."""
        self._budget_ends_at = time.monotonic() + seconds
        try:
            yield
        finally:
            self._budget_ends_at = None

    def _ends_at(self) -> float:
        ends_at = time.monotonic() + self._deadline
        return ends_at if self._budget_ends_at is None else min(ends_at, self._budget_ends_at)

    def _take_tokens(self, bucket: str, cost: float, ends_at: float) -> limits.Grant:
        """Waits for the call's turn, but leaves time for the call itself. Raises `Throttled`."""
        declared = self._limits[bucket]
        started = time.monotonic()
        if started >= ends_at:
            raise Throttled(_TOO_LATE)
        latest = started + (ends_at - started) * _WAITING_SHARE
        while True:
            grant = limits.spend(
                self._channel_id,
                bucket,
                cost,
                declared=declared,
                priority=self._priority,
                is_background=self._is_background,
            )
            wait = grant.wait
            if not wait:
                return grant
            if time.monotonic() + wait > latest:
                raise Throttled(
                    f"The limit {bucket} is used up for {wait:.1f} s; nothing was sent.", retry_after=wait
                )
            # Those who wait together do not come back together.
            time.sleep(wait * random.uniform(1.0, 1.1))  # noqa: S311

    def _learn(self, bucket: str, cost: float, grant: limits.Grant, answer: Answer) -> None:
        reading = self._read_limits(bucket, answer)
        if answer.status == 429:
            blocked_for = retry_after(answer) or _DEFAULT_BLOCK
            # Some say at the same time how many there may be.
            reading = replace(reading or LimitReading(), tokens=0.0, blocked_for=blocked_for)
        if reading is not None:
            refund = 0.0 if reading.cost is None else cost - reading.cost
            if grant.is_corrected_by(reading, refund=refund):
                limits.learn(self._channel_id, bucket, reading, refund=refund)

    def _log_file(self, event: str, parts: SplitResult, started: float, **facts: object) -> None:
        self._log(event, "GET", parts._replace(path=""), started, **facts)

    def _log(self, event: str, method: str, parts: SplitResult, started: float, **facts: object) -> None:
        write = log.debug if event == "platform_call" else log.warning
        facts["call"] = f"{method} {parts.netloc}{parts.path}"
        facts["seconds"] = round(time.monotonic() - started, 3)
        write(event, channel=self._channel_id, **facts)


def post_to(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Answer:
    """Posts to an address that people typed and that is no platform of a channel; returns whatever it answers.

    Raises `Misconfigured` for an address that may not be called, `TransientError` where no answer came.
    """
    is_trusted = _is_named(check_receiver_url(url))
    receiver = _Other("The receiver", only_receives=True, is_trusted=is_trusted)
    options = {"data": body, "headers": headers}
    return _exchange("POST", url, options, is_write=True, seconds=seconds, other=receiver)


def check_url(url: str) -> SplitResult:
    """Returns the parts of an address that may be called. Raises `Misconfigured`, saying what is wrong.

    https only; the sandbox's http on loopback where `ALLOW_LOOPBACK_PLATFORMS` is set. Where a name leads is only seen when
    it is called; an address that is written in numbers is judged here, too.
    """
    noun = "The platform's address"
    parts = _parts_of(url, noun)
    _check_scheme(parts, noun, is_plain_allowed=_is_sandbox(parts))
    if not _is_sandbox(parts):
        _check_numbers(parts, noun)
    return parts


def check_receiver_url(url: str) -> SplitResult:
    """Returns the parts of an address that messages may be posted to. Raises `Misconfigured`, saying what is wrong.

    As `check_url`, and http also to hosts of `PRIVATE_WEBHOOK_HOSTS`.
    """
    noun = "The address"
    parts = _parts_of(url, noun)
    is_ours = _is_named(parts) or _is_sandbox(parts)
    _check_scheme(parts, noun, is_plain_allowed=is_ours)
    if not is_ours:
        _check_numbers(parts, noun)
    return parts


def _parts_of(url: str, noun: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Misconfigured(f"{noun} cannot be read.") from None
    if _UNSAFE_IN_URL.search(url) or not parts.hostname:
        raise Misconfigured(f"{noun} is not a web address.")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured(f"{noun} must not hold a user name or password.")
    return parts


def _check_scheme(parts: SplitResult, noun: str, *, is_plain_allowed: bool) -> None:
    if parts.scheme != "https" and not (parts.scheme == "http" and is_plain_allowed):
        raise Misconfigured(f"{noun} must begin with https://, not {parts.scheme}://.")


def _check_numbers(parts: SplitResult, noun: str) -> None:
    with suppress(ValueError):  # a name
        if not is_public(ipaddress.ip_address(parts.hostname or "")):
            raise Misconfigured(f"{noun} leads into a private network.")


def _is_sandbox(parts: SplitResult) -> bool:
    return parts.hostname in _LOOPBACK_HOSTS and _allows_loopback()


def _is_named(parts: SplitResult) -> bool:
    """Tells whether whoever runs this server has named the host, or host and port, as one in a private network."""
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return not {host, f"{host}:{port}", f"[{host}]:{port}"}.isdisjoint(settings.PRIVATE_WEBHOOK_HOSTS)


def retry_after(answer: Response) -> float | None:
    """Returns the seconds that a platform asks us to wait, within reason; None when it does not say."""
    text = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        return min(float(text), limits.LONGEST_BLOCK)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - timezone.now()).total_seconds()
    return min(max(seconds, 0.0), limits.LONGEST_BLOCK)


def _allows_loopback() -> bool:
    return bool(getattr(settings, "ALLOW_LOOPBACK_PLATFORMS", False))


def _exchange(
    method: str,
    url: str,
    options: Mapping[str, Any],
    *,
    is_write: bool,
    seconds: float,
    other: _Other = _PLATFORM,
) -> Answer:
    """Sends a request and reads its answer, both within `seconds`."""
    if seconds <= 0:
        raise Throttled(_TOO_LATE)
    with Call(seconds) as call:
        try:
            chosen = session(allow_loopback=_allows_loopback(), is_trusted=other.is_trusted)
            response = chosen.request(
                method,
                url,
                **options,
                stream=True,
                allow_redirects=False,
                timeout=(min(_CONNECT_SECONDS, seconds), seconds),
            )
            with response:
                body = _read(response, call, other)
        except InvalidIPAddress:
            raise Misconfigured(f"{other.noun}'s address leads into a private network.") from None
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidJSONError):
            # Their texts quote what could not be sent.
            raise Misconfigured("A credential or value holds characters that cannot be sent.") from None
        except (OSError, HTTPError) as error:
            # Their texts quote the address with its query, where some platforms want credentials.
            raise _failure(error, call, seconds, is_write=is_write, other=other) from None
    if body is None or call.has_expired:
        raise _failure(None, call, seconds, is_write=is_write, other=other)
    return Answer(response.status_code, response.headers, body, is_write=is_write)


def _fetch(url: str, file: IO[bytes], *, seconds: float, largest: int) -> int:
    """Writes an answer to a file piece by piece; returns its status."""
    options: dict[str, Any] = {
        "stream": True,
        "allow_redirects": False,
        "timeout": (_CONNECT_SECONDS, seconds),
    }
    with Call(seconds) as call:
        try:
            response = session(allow_loopback=_allows_loopback(), is_trusted=False).request(
                "GET", url, **options
            )
            with response:
                for piece in response.iter_content(_PIECE):
                    file.write(piece)
                    if file.tell() > largest:
                        raise TransientError(f"The file is larger than {largest} bytes.")
                    if call.has_expired:
                        break
        except InvalidIPAddress:
            raise Misconfigured("The file's address leads into a private network.") from None
        except (OSError, HTTPError) as error:
            raise _failure(error, call, seconds, is_write=False, other=_PLATFORM) from None
    if call.has_expired:
        raise _failure(None, call, seconds, is_write=False, other=_PLATFORM)
    return int(response.status_code)


def _read(response: requests.Response, call: Call, other: _Other) -> bytes | None:
    """Returns the whole body; None when it is larger than an answer may be, unless nobody reads it anyway."""
    body = bytearray()
    for piece in response.iter_content(_PIECE):
        body += piece
        if len(body) > other.largest_answer:
            return bytes(body) if other.only_receives else None
        if call.has_expired:
            break
    return bytes(body)


def _failure(
    error: Exception | None, call: Call, seconds: float, *, is_write: bool, other: _Other
) -> TransientError:
    """Returns what an exchange without an answer means; requests' own texts may quote what was sent."""
    if call.has_expired or isinstance(error, requests.Timeout):
        reason = f"No complete answer within {seconds:.1f} s."
    elif error is None:
        reason = f"The answer is larger than {other.largest_answer} bytes."
    elif call.was_sent:
        reason = "The connection was lost before the answer was complete."
    elif isinstance(error, requests.exceptions.SSLError):
        reason = f"{other.noun}'s certificate is not accepted."
    else:
        reason = f"{other.noun} cannot be reached."
    return OutcomeUnknown(reason) if is_write and call.was_sent else TransientError(reason)


def _check_status(answer: Answer, parts: SplitResult, *, is_write: bool) -> None:
    """Raises for statuses that mean the same on every platform."""
    status = answer.status
    if status == 429:
        raise Throttled("The platform asks for fewer calls (429).", retry_after=retry_after(answer))
    if status == 503:
        raise TransientError("The platform is not available (503).", retry_after=retry_after(answer))
    if status >= 500 or status == 408:
        failure = OutcomeUnknown if is_write else TransientError
        raise failure(f"The platform failed ({status}).", retry_after=retry_after(answer))
    if 300 <= status < 400:
        target = urlsplit(answer.headers.get("Location", "")).netloc or "another page"
        raise Misconfigured(f"{parts.netloc} redirects to {target}; enter the address it redirects to.")
