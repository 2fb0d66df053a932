"""What a listing offers, and times as the API writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WORD = 32


@dataclass(frozen=True)
class Terms:
    """A listing's terms: times in unix seconds, spans in seconds, prices in base units per GPU-hour, ratios in bps."""

    window_from: int
    window_until: int
    floor_price: int
    ceiling_price: int
    gpus: int
    min_term: int
    max_term: int
    notice: int
    sla_bps: int
    penalty_bps: int
    curtailable_bps: int
    watts_per_gpu: int
    pue_bps: int
    reclaim_window: int
    compensation_bps: int
    bond_per_gpu: int
    model: str

    def as_args(self) -> tuple[Any, ...]:
        """Return the terms in the order of the contract's struct."""
        return (
            self.window_from,
            self.window_until,
            self.floor_price,
            self.ceiling_price,
            self.gpus,
            self.min_term,
            self.max_term,
            self.notice,
            self.sla_bps,
            self.penalty_bps,
            self.curtailable_bps,
            self.watts_per_gpu,
            self.pue_bps,
            self.reclaim_window,
            self.compensation_bps,
            self.bond_per_gpu,
            label(self.model),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the terms as the API takes them."""
        return {
            **self.__dict__,
            "window_from": rfc3339(self.window_from),
            "window_until": rfc3339(self.window_until),
            "floor_price": str(self.floor_price),
            "ceiling_price": str(self.ceiling_price),
            "bond_per_gpu": str(self.bond_per_gpu),
        }


def label(text: str) -> bytes:
    """Return ASCII text as a left-aligned word, as the contracts keep models and regions.

    Raises:
        ValueError: it is longer than 32 bytes or not ASCII.
    """
    raw = text.encode("ascii")
    if len(raw) > WORD:
        raise ValueError(f"{text!r} has {len(raw)} bytes, a label holds {WORD}")
    return raw.ljust(WORD, b"\0")


def rfc3339(seconds: int) -> str:
    """Return unix seconds as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: str) -> int:
    """Return the unix seconds of one of the API's times."""
    return int(datetime.fromisoformat(text).timestamp())
