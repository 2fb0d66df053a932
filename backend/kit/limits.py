"""Rate limits by client address: a wide zone for reads, a stricter one for what simulates or submits."""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass, and what its answer says of the limit."""

    allowed: bool
    headers: dict[str, str]


class Limits:
    """Counters of this process; a cluster puts a shared limit in front."""

    def __init__(self, reads: str, writes: str) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._zones: dict[str, RateLimitItem] = {"reads": parse(reads), "writes": parse(writes)}

    def hit(self, zone: str, client: str) -> Verdict:
        """Count a request of ``client`` in ``zone``."""
        item = self._zones[zone]
        allowed = self._limiter.hit(item, zone, client)
        window = self._limiter.get_window_stats(item, zone, client)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        headers = {"RateLimit": f'"{zone}";r={window.remaining};t={wait}'}
        if not allowed:
            headers["Retry-After"] = str(wait)
        return Verdict(allowed, headers)
