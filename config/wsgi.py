"""The WSGI application that the web server loads, in each of its worker processes."""

import os
import signal

from django.core.wsgi import get_wsgi_application

from config import (
    environment,
    processes,
    startup,
    uptime,  # noqa: F401  # counts from here on
)

if processes.MARK in os.environ:
    processes.die_with_parent(signal.SIGKILL)

environment.declare_web_process()
startup.prepare()
startup.hold_database()

application = get_wsgi_application()
processes.stay_resident()
