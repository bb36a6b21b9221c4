"""Structured logs on stderr, with secrets taken out of keys, messages and tracebacks alike."""

import logging
import logging.config
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

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

_registered: set[str] = set()


def register_secret(value: str) -> None:
    """Has this exact value replaced wherever it would appear in a log line of this process."""
    if len(value) >= _SHORTEST_REGISTERED:
        _registered.add(value)


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
    for secret in _registered:
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
