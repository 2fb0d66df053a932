"""New heads as a hint: a thread that listens to ``newHeads`` and wakes the follower.

Over WebSocket because a local block is then visible in the mirror some 5 ms after it is mined; polling alone would cost
half its interval on average. A lost subscription loses nothing: the follower polls as well.
"""

from __future__ import annotations

import logging
import threading
import time

import orjson
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


class Heads:
    """Wakes ``wait`` when a block is announced.

    Args:
        url: of the node's WebSocket; None for polling alone.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._moved = threading.Event()

    def start(self) -> None:
        """Listen from now on, until the process ends."""
        if self._url is not None:
            threading.Thread(target=self._listen, args=(self._url,), name="newHeads", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Return at the next announcement, or after ``seconds``."""
        self._moved.wait(seconds)
        self._moved.clear()

    def _listen(self, url: str) -> None:
        while True:
            try:
                with connect(url, open_timeout=5, max_size=2**20) as socket:
                    socket.send(
                        orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
                    )
                    for _ in socket:
                        self._moved.set()
            except (OSError, WebSocketException) as error:
                logger.info("no newHeads, polling", extra={"error": str(error)})
            time.sleep(RECONNECT_SECONDS)
