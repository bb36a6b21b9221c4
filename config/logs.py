"""Structured logs on stderr, with secrets taken out of keys, messages and tracebacks alike."""

import logging
import logging.config
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(
    r"(?:^|[_\-. ])(?:token|secret|password|passwd|authorization|credentials?|cookie|signature|hmac"
    r"|(?:api|private|consumer|secret|credential|access)[_\-]?keys?)$",
    re.IGNORECASE,
)
#: What gives itself away as a secret wherever it stands: authorization headers, Shopify and WooCommerce keys,
#: passwords in URLs.
_SECRET_VALUE: Final = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~\-]{8,}"
    r"|\bshp(?:at|ss|ca|pa)_[A-Za-z0-9]+|\bc[ks]_[A-Za-z0-9]{16,}"
    r"|(?P<user>\b[a-z][a-z0-9+.\-]*://[^\s:/@]*:)[^\s@/]+(?=@)"
)
#: Shorter strings occur by chance too often to be cut out wherever they stand.
_SHORTEST_REGISTERED: Final = 6

#: Tokens are renewed every few minutes, and a process runs for months: the oldest are forgotten, until they are used again.
_MOST_REGISTERED: Final = 20_000

#: In the order in which they were registered.
_registered: dict[str, None] = {}


def register_secret(value: str) -> None:
    """Has this exact value, and as it stands in an address, replaced wherever it would appear in a text of this process."""
    if len(value) < _SHORTEST_REGISTERED or value in _registered:
        return
    for form in (value, quote(value, safe=""), quote_plus(value)):
        _registered[form] = None
    while len(_registered) > _MOST_REGISTERED:
        with suppress(RuntimeError):  # another thread registers, too
            _registered.pop(next(iter(_registered)), None)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces what is secret by its key or by its look, at any depth; a structlog processor."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key):
        return _REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {name: _redacted(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", inner) for inner in value]
    return value if isinstance(value, bool | int | float | None) else redact_text(str(value))


def redact_text(text: str) -> str:
    """Returns the text without registered secrets and without what looks like one."""
    if not text:
        return text
    # A copy: other threads register meanwhile. The longest first, since one may be part of another.
    for secret in sorted([each for each in tuple(_registered) if each in text], key=len, reverse=True):
        text = text.replace(secret, _REDACTED)
    return _SECRET_VALUE.sub(lambda found: f"{found['scheme'] or found['user'] or ''}{_REDACTED}", text)


class StandardErrorHandler(logging.Handler):
    """Writes to whatever stderr is by then, which test runners and daemons exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record as one line."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except (OSError, ValueError):
            self.handleError(record)


def configure(options: Mapping[str, str]) -> None:
    """Sets up structlog and the standard library's logging by the `format` and `level` of `LOGGING`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    logging.config.dictConfig(_standard_library(options["level"], shared, _renderer(options["format"])))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderer(name: str) -> Processor:
    renderers: dict[str, Callable[[], Processor]] = {
        "json": structlog.processors.JSONRenderer,
        "console": partial(structlog.dev.ConsoleRenderer, colors=sys.stderr.isatty()),
    }
    return renderers[name]()


def _standard_library(level: str, shared: list[Processor], renderer: Processor) -> dict[str, Any]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        # Tracebacks become text first, so that redaction sees them.
        "processors": [remove_meta, structlog.processors.format_exc_info, redact, renderer],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": formatter},
        "handlers": {"stderr": {"()": StandardErrorHandler, "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # It reports every task twice, heartbeats included.
            "django-q": {"level": "WARNING"},
            "_granian": {"level": "WARNING"},
        },
    }
