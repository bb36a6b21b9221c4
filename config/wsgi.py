"""The WSGI application that the web server loads."""

from django.core.wsgi import get_wsgi_application

from config import startup

startup.prepare()
startup.hold_database()

application = get_wsgi_application()
