"""The meters of the story: they look up which leases ran, measure each of their GPUs, and sign what they saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drakewell.reports import Report, Sample, SampleTree, entry_of
from drakewell.terms import unix
from scripts.story.duty import HOUR, Pod

IDLE_PERCENT = 15
"""Share of its TDP that an idle GPU is taken to draw: an assumption, so all energy is an estimate."""

Curtailed = Callable[[int, int], bool]


@dataclass
class Meters:
    """Measures leases; `curtailed(site, epoch)` says in which hours a site's GPUs are off for the grid."""

    curtailed: Curtailed
    pods: dict[int, list[Pod]] = field(default_factory=dict)
    tdp_watts: dict[int, int] = field(default_factory=dict)

    def plug_in(self, lease_id: int, pods: list[Pod], tdp_watts: int) -> None:
        """Say which pods are the GPUs of a lease."""
        self.pods[lease_id] = pods
        self.tdp_watts[lease_id] = tdp_watts

    def report(self, site_id: int, leases: list[dict[str, Any]], now: int) -> tuple[Report, list[Sample]] | None:
        """Report all hours over by `now` (unix seconds) that a site's leases have not reported, or None without any."""
        entries, samples = [], []
        for lease in leases:
            start, end = unix(lease["start"]), unix(lease["end"])
            from_epoch = max(lease["usage"]["reported_to"] or 0, start // HOUR)
            to_epoch = min(now // HOUR, -(-end // HOUR))
            if from_epoch >= to_epoch:
                continue
            measured = [
                self._measure(lease, epoch, gpu, max(start, (epoch - 1) * HOUR), min(end, epoch * HOUR))
                for epoch in range(from_epoch + 1, to_epoch + 1)
                for gpu in range(lease["gpus"])
            ]
            entries.append(entry_of(measured, from_epoch, to_epoch, lease["usage"]["round"]))
            samples += measured
        if not entries:
            return None
        return Report(site_id, SampleTree(samples).root, tuple(entries)), samples

    def _measure(self, lease: dict[str, Any], epoch: int, gpu: int, since: int, until: int) -> Sample:
        """Measure one GPU from `since` to `until`, in proportion where that is less than the hour."""
        lease_id, seconds = lease["lease_id"], until - since
        if self.curtailed(lease["site_id"], epoch):
            return Sample(lease_id, epoch, gpu, available=0, busy=0, curtailed=seconds, watt_hours=0)
        pods = self.pods[lease_id]
        hour = pods[gpu % len(pods)].at(epoch)
        available, busy = hour.available * seconds // HOUR, hour.busy * seconds // HOUR
        # Wh = (idle x available + (TDP - idle) x busy) / 3600
        hundredth_watt_seconds = self.tdp_watts[lease_id] * (IDLE_PERCENT * available + (100 - IDLE_PERCENT) * busy)
        return Sample(lease_id, epoch, gpu, available, busy, 0, hundredth_watt_seconds // (100 * HOUR))
