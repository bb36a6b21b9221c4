"""Django's PostgreSQL engine, with a test of connections that asks the server nothing.

Django asks `SELECT 1` before the first statement of each request on a connection that stayed open: a round trip that takes as
long as many a statement of ours. A server that went away has closed the connection, which the socket tells; and between
statements a server says nothing, so that whatever else came is reason enough to ask.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that is asked whether it still stands only where its socket is not silent."""

    health_check_done: bool

    def close_if_health_check_failed(self) -> None:
        """Closes a connection that stayed open since the last request and does not stand any more."""
        if self.connection is not None and not self.health_check_done and self._is_silent():
            self.health_check_done = True
            return
        super().close_if_health_check_failed()

    def _is_silent(self) -> bool:
        if self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
