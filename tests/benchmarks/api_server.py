"""The web server's application on the database of a benchmark, with a view that does nothing."""

import os

from django.conf import settings

from config.wsgi import application
from tests.benchmarks.scratch import use_database

__all__ = ["application"]

settings.ROOT_URLCONF = "tests.benchmarks.api_urls"
use_database(os.environ["BENCHMARK_DATABASE"])
