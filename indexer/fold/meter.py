"""Events of the UsageMeter: cumulative usage, the ring of reports that count, and what was voided."""

from __future__ import annotations

from indexer.events import Log
from indexer.fold.errors import FoldBreach
from indexer.fold.journal import Args, Books, Handler
from indexer.fold.state import Key, Row

#: Checkpoints that the meter keeps of a lease.
RING = 8

_TOTALS = ("available", "due", "busy", "curtailed", "watt_hours")


def reported(books: Books, log: Log, a: Args) -> None:
    books.state.put(
        "report",
        (a["reportId"],),
        {
            "report_id": a["reportId"],
            "site_id": a["siteId"],
            "samples_root": a["samplesRoot"],
            "submitter": a["submitter"],
            "posted_at": log.time,
            "tx_hash": log.tx_hash,
        },
    )


def usage_recorded(books: Books, log: Log, a: Args) -> None:
    lease_id, report_id, start, end = a["leaseId"], a["reportId"], a["fromEpoch"], a["toEpoch"]
    lease = books.state.need("lease", (lease_id,))
    increase = {
        "available": a["available"],
        "due": a["due"],
        "busy": a["busy"],
        "curtailed": a["curtailed"],
        "watt_hours": a["wattHours"],
    }
    meter = books.state.get("meter", (lease_id,)) or _empty(lease_id)
    totals = {name: meter[name] + increase[name] for name in _TOTALS}
    mark = [report_id, start, end, log.time, *(totals[name] for name in _TOTALS)]
    books.state.put(
        "meter",
        (lease_id,),
        {
            **meter,
            **totals,
            "reported_to": end,
            "round": a["round"],
            "count": meter["count"] + 1,
            "ring": [*meter["ring"], mark][-RING:],
        },
    )
    books.state.put(
        "usage",
        (lease_id, report_id, start),
        {
            "lease_id": lease_id,
            "report_id": report_id,
            "from_epoch": start,
            "site_id": lease["site_id"],
            "to_epoch": end,
            "round": a["round"],
            **increase,
            "posted_at": log.time,
            "voided": False,
        },
    )


def voided(books: Books, log: Log, a: Args) -> None:
    """Reports from `fromEpoch` on no longer count: totals fall back to the last one before it."""
    lease_id, start = a["leaseId"], a["fromEpoch"]
    meter = books.state.need("meter", (lease_id,))
    kept = [mark for mark in meter["ring"] if mark[1] < start]
    gone = meter["ring"][len(kept) :]
    if not gone:
        raise FoldBreach(f"lease {lease_id} has no report from epoch {start} on: the log that made it is missing")
    for mark in gone:
        books.state.change("usage", (lease_id, mark[0], mark[1]), voided=True)
    totals = dict(zip(_TOTALS, kept[-1][4:] if kept else (0,) * len(_TOTALS), strict=True))
    books.state.put(
        "meter",
        (lease_id,),
        {
            **meter,
            **totals,
            "reported_to": start,
            "round": a["round"],
            "voided_to": max(meter["voided_to"], a["toEpoch"]),
            "voided_at": log.time,
            "count": meter["count"] - len(gone),
            "ring": kept,
        },
    )


def _empty(lease_id: int) -> Row:
    return {
        "lease_id": lease_id,
        "reported_to": 0,
        "round": 0,
        "voided_to": 0,
        "voided_at": 0,
        "count": 0,
        "available": 0,
        "due": 0,
        "busy": 0,
        "curtailed": 0,
        "watt_hours": 0,
        "ring": [],
    }


def keys(name: str, _contract: str, _log: Log, a: Args) -> list[tuple[str, Key]]:
    """Return what an event touches; the usage that a void strikes out is known only from the meter's ring."""
    if name == "Reported":
        return [("report", (a["reportId"],))]
    found: list[tuple[str, Key]] = [("meter", (a["leaseId"],)), ("lease", (a["leaseId"],))]
    if name == "UsageRecorded":
        found.append(("usage", (a["leaseId"], a["reportId"], a["fromEpoch"])))
    return found


HANDLERS: dict[str, Handler] = {"Reported": reported, "UsageRecorded": usage_recorded, "Voided": voided}
