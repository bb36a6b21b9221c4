"""The web server's application, with a view that does nothing."""

from django.conf import settings

from config.wsgi import application

__all__ = ["application"]

settings.ROOT_URLCONF = "tests.benchmarks.web_urls"
