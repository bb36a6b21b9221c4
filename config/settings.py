"""Django's settings, read from the environment; `.env.example` documents every variable.

Importing this module reads the environment and the keys generated in the data directory, and writes nothing.
Combinations that make no sense are reported by the system checks in `config/checks.py`.
"""

from pathlib import Path
from typing import Any, Final

from config import environment as env
from config import local_secrets
from config.admin_theme import FORMAT_MODULE_PATH, LOGIN_REDIRECT_URL, UNFOLD  # noqa: F401
from config.api.settings import REST_FRAMEWORK, SPECTACULAR_SETTINGS  # noqa: F401
from config.database import embedded_database, external_database

BASE_DIR: Final = env.BASE_DIR
DATA_DIR: Final = env.data_directory()

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY") or local_secrets.read_secret_key(DATA_DIR)
SECRET_KEY_FALLBACKS = env.strings("SECRET_KEY_FALLBACKS")
#: Fernet keys for secrets at rest; the first encrypts, all decrypt. Apart from SECRET_KEY, so that either can
#: be rotated alone.
ONECOUNT_CREDENTIAL_KEYS = env.strings("ONECOUNT_CREDENTIAL_KEYS") or local_secrets.read_credential_keys(
    DATA_DIR
)

ALLOWED_HOSTS = env.strings("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.strings("CSRF_TRUSTED_ORIGINS")
#: Where platforms reach the webhooks, without a final slash.
PUBLIC_URL = env.text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")

#: Whether platforms may lie on this machine, as the sandbox shops do; never where others may enter addresses.
ALLOW_LOOPBACK_PLATFORMS = env.boolean("ONECOUNT_ALLOW_LOOPBACK_PLATFORMS", default=False)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "simple_history",
    "django_q",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "inventory",
    "channels",
    "reconciliation",
    "analytics",
]

MIDDLEWARE = [
    "config.health.HealthMiddleware",
    "config.request_limits.RequestLimitsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "channels.middleware.WebhookMiddleware",
    "config.page_headers.PageHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.api.middleware.ApiMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "channels.busy_pages.BusyMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_IS_HTTPS: Final = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = _IS_HTTPS
SESSION_COOKIE_SECURE = _IS_HTTPS
CSRF_COOKIE_SECURE = _IS_HTTPS
SECURE_HSTS_SECONDS = (
    env.integer("SECURE_HSTS_SECONDS", 3600, minimum=0, maximum=63_072_000) if _IS_HTTPS else 0
)
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("TRUST_PROXY", default=False) else None
)
#: Other hosts of the same domain are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
#: Seconds after which people sign in again: a working day.
SESSION_COOKIE_AGE = env.integer("ONECOUNT_SESSION_HOURS", 12, minimum=1, maximum=720) * 3600
#: Bytes of a request with files, which `config.request_limits` goes by.
LARGEST_UPLOAD = env.integer("ONECOUNT_LARGEST_UPLOAD_MB", 20, minimum=6, maximum=1024) * 1024 * 1024
#: Bytes of a request of the API, and of a form without its files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

LOGGING_CONFIG = "config.logs.configure"
LOGGING = {
    "format": env.choice("LOG_FORMAT", "console", options=("console", "json")),
    "level": env.choice("LOG_LEVEL", "INFO", options=("DEBUG", "INFO", "WARNING", "ERROR")),
}

DATABASE_URL = env.text("DATABASE_URL")
#: Where the embedded server lives; None where DATABASE_URL names another server.
EMBEDDED_POSTGRES_HOME: Path | None = None if DATABASE_URL else DATA_DIR / "postgres"
#: Where the embedded server keeps its write-ahead log for recovery to an instant; None: it keeps none.
WAL_ARCHIVE: Path | None = (
    (BASE_DIR / env.text("ONECOUNT_WAL_ARCHIVE")).absolute() if env.text("ONECOUNT_WAL_ARCHIVE") else None
)
#: Connections a web process keeps in its pool. Only `config/wsgi.py` asks for a pool: one opened before a
#: fork shares its connections with the children, who then read each other's answers.
DATABASE_POOL_SIZE = (
    env.integer("ONECOUNT_WEB_POOL_SIZE", 4, minimum=1, maximum=100) if env.is_web_process() else 0
)

if EMBEDDED_POSTGRES_HOME is None:
    _database = external_database(DATABASE_URL, pool_size=DATABASE_POOL_SIZE)
else:
    _database = embedded_database(EMBEDDED_POSTGRES_HOME, pool_size=DATABASE_POOL_SIZE)
DATABASES: dict[str, dict[str, Any]] = {"default": _database}
#: A connection string that passes by a transaction pooler, for LISTEN; empty where the default connection
#: will do.
DATABASE_DIRECT_URL = env.text("DATABASE_DIRECT_URL")

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_reports.DiscreetReports"

STATIC_URL = "static/"
#: `collectstatic` may fill it; WhiteNoise finds the files of the apps without that.
STATIC_ROOT = BASE_DIR / "staticfiles" if (BASE_DIR / "staticfiles").is_dir() else None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

#: Failures of one listing in a row after which it is not told any more until a person replays it.
PUSH_ATTEMPTS = env.integer("ONECOUNT_PUSH_ATTEMPTS", 8, minimum=1, maximum=100)
#: Calls to platforms at the same time, over all channels; each one holds a database connection.
PUSHER_THREADS = env.integer("ONECOUNT_PUSHER_THREADS", 24, minimum=4, maximum=200)

#: Days for which processed webhook messages and judged observations of shelves are kept, and the push log.
KEEP_DELIVERIES_DAYS = env.integer("ONECOUNT_KEEP_DELIVERIES_DAYS", 30, minimum=1, maximum=3650)
KEEP_PUSHES_DAYS = env.integer("ONECOUNT_KEEP_PUSHES_DAYS", 400, minimum=1, maximum=3650)
#: Days for which the feed of changes can be read back.
KEEP_CHANGES_DAYS = env.integer("ONECOUNT_KEEP_CHANGES_DAYS", 30, minimum=1, maximum=3650)
#: Days for which the error log, and alerts that are over, are kept.
KEEP_ERRORS_DAYS = env.integer("ONECOUNT_KEEP_ERRORS_DAYS", 90, minimum=1, maximum=3650)
KEEP_ALERTS_DAYS = env.integer("ONECOUNT_KEEP_ALERTS_DAYS", 400, minimum=1, maximum=3650)

#: Days for which what the merchants' systems were told is kept.
KEEP_WEBHOOKS_DAYS = env.integer("ONECOUNT_KEEP_WEBHOOKS_DAYS", 7, minimum=2, maximum=3650)
#: Hosts, or hosts with a port, in private networks that messages may be posted to, also without TLS.
PRIVATE_WEBHOOK_HOSTS = [host.lower() for host in env.strings("ONECOUNT_PRIVATE_WEBHOOK_HOSTS")]
#: Messages that are on their way to the merchants' systems at the same time.
WEBHOOK_THREADS = env.integer("ONECOUNT_WEBHOOK_THREADS", 32, minimum=2, maximum=500)

#: Whoever asks for /metrics has to show it; empty: only this machine may ask.
METRICS_TOKEN = env.text("ONECOUNT_METRICS_TOKEN")

#: The mail server that alerts and reports are sent through; empty: no mail is sent.
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.integer("EMAIL_PORT", 587, minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
_EMAIL_SECURITY: Final = env.choice("EMAIL_SECURITY", "starttls", options=("starttls", "tls", "none"))
EMAIL_USE_TLS = _EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = _EMAIL_SECURITY == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "OneCount <onecount@localhost>")

Q_CLUSTER: dict[str, Any] = {
    "name": "onecount",
    "label": "Jobs",
    "broker_class": "config.job_broker.PostgresBroker",
    "workers": env.integer("ONECOUNT_JOB_WORKERS", 2, minimum=1, maximum=64),
    "timeout": 120,
    "retry": 180,
    "max_attempts": 3,
    "save_limit": -1,
    "catch_up": False,
    "guard_cycle": 0.2,
    # A new worker has to connect, plan its statements and load the admin's addresses: only one that has grown is replaced.
    "recycle": 10_000_000,
    "max_rss": 512 * 1024,
    "bulk": 4,
    # Its table is claimed from by whichever worker is free; more than a few ahead of the workers would wait
    # behind a long one.
    "queue_limit": 4,
}
