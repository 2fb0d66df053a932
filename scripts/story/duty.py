"""How busy GPUs are: a trace of duty cycles, read or made up, as whole hours.

A sample stands for the 57 s before it: available for those, busy for `value` percent of them. The rest of a longer step
was not available. Samples are split at the hour. The whole hours of a trace repeat, in turn, for as long as the story
needs.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from scripts.story.fleet import rows

HOUR = 3600
SAMPLE_SECONDS = 57
STEADY_BPS = 9_990
GAPPY_BPS = (7_000, 9_800)
_MADE_UP_HOURS = 22
_MADE_UP_STEADY = 96
_MADE_UP_GAPPY = 16


@dataclass(frozen=True)
class Hour:
    """Seconds of one GPU in one hour."""

    available: int
    busy: int


@dataclass(frozen=True)
class Pod:
    """One GPU's hours, one after the other."""

    hours: tuple[Hour, ...]

    def at(self, number: int) -> Hour:
        """Return the hour `number` of the story; the trace repeats."""
        return self.hours[number % len(self.hours)]

    @property
    def available_bps(self) -> int:
        """Return how much of its time the GPU was available."""
        return sum(hour.available for hour in self.hours) * 10_000 // (HOUR * len(self.hours))


def read_trace(path: Path) -> list[Pod]:
    """Read a CSV with the columns `value` (percent), `timestamp_anon` (unix s) and `container_ip` (the pod).

    Raises:
        ValueError: it does not span one whole hour.
    """
    samples: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    for row in rows(path):
        samples[row["container_ip"]].append((int(float(row["timestamp_anon"])), Decimal(row["value"])))
    times = [at for pod in samples.values() for at, _ in pod]
    first, last = -(-min(times, default=0) // HOUR), max(times, default=0) // HOUR
    if last <= first:
        raise ValueError(f"{path} spans no whole hour")
    return [Pod(_hours(sorted(pod), first, last)) for _, pod in sorted(samples.items())]


def _hours(samples: list[tuple[int, Decimal]], first: int, last: int) -> tuple[Hour, ...]:
    available: dict[int, int] = defaultdict(int)
    busy: dict[int, Decimal] = defaultdict(Decimal)
    for hour, seconds, value in _pieces(samples):
        available[hour] += seconds
        busy[hour] += seconds * value / 100
    return tuple(Hour(available[hour], int(busy[hour])) for hour in range(first, last))


def _pieces(samples: Iterable[tuple[int, Decimal]]) -> Iterator[tuple[int, int, Decimal]]:
    """Yield (hour, seconds, percent) of each sample, those that lie across an hour's end in two."""
    for (before, _), (at, value) in pairwise([(0, Decimal()), *samples]):
        since = max(before, at - SAMPLE_SECONDS)
        while since < at:
            until = min(at, (since // HOUR + 1) * HOUR)
            yield since // HOUR, until - since, value
            since = until


def made_up_trace(rng: random.Random) -> list[Pod]:
    """Return pods that never were: most of them always there, some with gaps."""
    pods = []
    for number in range(_MADE_UP_STEADY + _MADE_UP_GAPPY):
        level = rng.randint(2, 60)
        hours = []
        for _ in range(_MADE_UP_HOURS):
            available = HOUR if number < _MADE_UP_STEADY else rng.randint(2400, HOUR)
            hours.append(Hour(available, available * min(100, max(0, level + rng.randint(-10, 10))) // 100))
        pods.append(Pod(tuple(hours)))
    return pods


def steady(pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods that are there all the time."""
    return [pod for pod in pods if pod.available_bps >= STEADY_BPS]


def gappy(pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods with gaps that break a usual SLA, yet are there most of the time."""
    return [pod for pod in pods if GAPPY_BPS[0] <= pod.available_bps <= GAPPY_BPS[1]]
