"""Reads the queues of platforms that post nothing: their messages come through the same door as webhooks.

One thread for each such channel waits at its queue. A message leaves the queue once it is stored; one that is not for this
channel stays there, for whom it is, or for the queue's own dead letters.
"""

import threading
from collections.abc import Collection
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from channels import error_log
from channels.accounts import channel_of, open_connector
from channels.connectors.base import Connector, InboundRequest, QueuedMessage
from channels.deliveries import accept
from channels.errors import BadMessage, BadSignature, ConnectorError, Unsupported
from channels.feeds import ask_for_poll
from channels.health import note_webhook
from channels.models import Channel
from channels.models.error_log import ErrorJob

log = structlog.get_logger(__name__)

#: Seconds that one look at a queue waits for messages.
WAIT: Final = 20.0
#: Seconds until a channel without a queue, or one that is off, is looked at again.
IDLE_PAUSE: Final = 30.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


def read_queue(channel: Channel, connector: Connector, *, seconds: float = 0.0) -> int:
    """Takes messages that wait, at most so many seconds, and stores them; returns how many there were.

    Raises what the connector raises, `Unsupported` where the channel has no queue.
    """
    messages = connector.take_messages(seconds=seconds)
    stored = [message.receipt for message in messages if _take(channel, message)]
    if stored:
        connector.acknowledge(stored)
    return len(messages)


def _take(channel: Channel, message: QueuedMessage) -> bool:
    """Stores a message; tells whether it may leave the queue."""
    request = InboundRequest(
        headers={"content-type": "application/json"},
        body=message.body,
        received_at=timezone.now(),
        is_queued=True,
    )
    try:
        accept(channel, request)
    except BadSignature as error:
        error_log.note_refused_webhook(channel.pk, error)
        return False
    except BadMessage as error:
        # It would come again as it is. What it was about, the polls bring.
        error_log.note_refused_webhook(channel.pk, error)
        ask_for_poll(channel.pk)
        return True
    note_webhook(channel.pk)
    return True


class QueueReader(threading.Thread):
    """Waits at one channel's queue until it is told to stop."""

    def __init__(self, channel_id: int) -> None:
        super().__init__(name=f"queue-{channel_id}", daemon=True)
        self._channel_id = channel_id
        self._stopping = threading.Event()
        self._failures = 0

    def stop(self) -> None:
        """Has it end after its present look, for which nobody waits: what it has not stored comes again."""
        self._stopping.set()

    def run(self) -> None:
        """Looks again and again."""
        try:
            pause = 0.0
            while not self._stopping.wait(pause):
                pause = self._look()
        finally:
            connection.close()

    def _look(self) -> float:
        """Looks once; returns the seconds until the next look."""
        try:
            channel = channel_of(self._channel_id)
            if channel is None:
                return self._idle()
            count = read_queue(channel, open_connector(channel), seconds=WAIT)
        except Unsupported:
            return self._idle()
        except ConnectorError as error:
            error_log.note(self._channel_id, error, job=ErrorJob.OTHER)
            return self._failed()
        except (DatabaseError, InterfaceError) as error:
            log.warning("queue_not_read", channel=self._channel_id, reason=str(error))
            connection.close()
            return self._failed()
        except Exception:  # the outermost loop: what is wrong must be seen
            log.exception("queue_reader_failed", channel=self._channel_id)
            return self._failed()
        self._failures = 0
        if not count:
            connection.close()
        return 0.0

    def _idle(self) -> float:
        connection.close()
        return IDLE_PAUSE

    def _failed(self) -> float:
        self._failures += 1
        return min(_FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), _LONGEST_PAUSE)


class QueueReaders:
    """The readers of all channels that have queues."""

    def __init__(self) -> None:
        self._readers: dict[int, QueueReader] = {}

    def follow(self, channel_ids: Collection[int]) -> None:
        """Has exactly these channels' queues read; one whose thread died is begun anew."""
        for channel_id in [each for each in self._readers if each not in channel_ids]:
            self._readers.pop(channel_id).stop()
        for channel_id in channel_ids:
            reader = self._readers.get(channel_id)
            if reader is None or not reader.is_alive():
                self._readers[channel_id] = QueueReader(channel_id)
                self._readers[channel_id].start()

    def stop(self) -> None:
        """Has all of them end."""
        self.follow(())
