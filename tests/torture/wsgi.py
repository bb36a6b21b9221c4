"""The web server's application, with what is switched off or mined in it."""

from config.wsgi import application
from tests.torture import inside

inside.prepare()

__all__ = ["application"]
