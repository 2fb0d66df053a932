"""The outcome as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
_USD = 10**6
_CENT = _USD // 100
_HOUR = 3600
TABLES_WIDTH = 142


def show(outcome: Row, console: Console) -> None:
    """Print the four tables."""
    console.print()
    for table in (_sites(outcome), _leases(outcome), _investors(outcome), _books(outcome)):
        console.print(table)
        console.print()


def money(amount: str | int) -> str:
    """Write base units of TestUSD with all six decimals, the last four only where they are not zero."""
    units = int(amount)
    whole, rest = divmod(abs(units), _USD)
    digits = f"{rest:06d}"
    return f"{'-' if units < 0 else ''}{whole:,}.{digits[:2] if digits.endswith('0000') else digits}"


def _cents(amount: str | int) -> str:
    """Write base units rounded down to the cent, for columns that one reads across."""
    whole, rest = divmod(int(amount), _USD)
    return f"{whole:,}.{rest // _CENT:02d}"


def _percent(bps: int) -> str:
    return f"{bps // 100}.{bps % 100:02d} %"


def _table(title: str, caption: str, columns: Iterable[str]) -> Table:
    table = Table(
        title=title, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left"
    )
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", no_wrap=True)
    return table


def _sites(outcome: Row) -> Table:
    table = _table(
        f"Sites, {outcome['hours'] // 24} days (TUSD)",
        "leased: GPU-seconds of leases / GPU-seconds of the site; busy: of available ones\n"
        "Wh/GPU-h: an estimate from duty and TDP (assumed for the GPU-series), not measured\n"
        "rent is what tenants paid: fee, holders, owner; mining and grid go to holders; SLA: from the bond to tenants",
        ("site", "GPUs", "leased", "busy", "est. Wh/GPU-h", "rent", "fee", "holders", "owner", "mining", "grid", "SLA"),
    )
    for site in outcome["sites"]:
        revenue = site["holders_revenue"]
        table.add_row(
            f"{site['name']} ({site['region']})",
            str(site["gpus"]),
            _percent(site["occupancy_bps"]),
            _percent(site["busy_bps"]),
            f"~{site['watt_hours_per_gpu_hour_estimate']}",
            _cents(site["rent"]),
            _cents(site["fees"]),
            _cents(revenue["lease"]),
            _cents(site["owner_part"]),
            _cents(revenue["mining"]),
            _cents(revenue["demand_response"]),
            _cents(site["sla_credits"]),
        )
    return table


def _leases(outcome: Row) -> Table:
    table = _table(
        "Leases (TUSD)",
        "SLA met: available / due GPU-seconds; refund = deposited - rent + penalty, all of it to the holder at the end",
        ("lease", "GPUs", "hours", "per GPU-h", "deposited", "rent", "SLA met", "penalty", "refund", "to"),
    )
    for lease in outcome["leases"]:
        table.add_row(
            f"{lease['lease_id']} {lease['story']}",
            f"{lease['gpus']} x {lease['model']}",
            f"{lease['seconds'] // _HOUR}:{lease['seconds'] % _HOUR // 60:02d}",
            money(lease["price"]),
            money(lease["deposited"]),
            money(lease["rent_total"]),
            _percent(lease["available"] * 10_000 // lease["due"]) if lease["due"] else "-",
            money(lease["penalty"]),
            money(lease["collected"]),
            ", ".join(dict.fromkeys(paid["account"] for paid in lease["collected_by"])) or "-",
        )
    return table


def _investors(outcome: Row) -> Table:
    refused = sorted({row["account"] for row in outcome["refused"]})
    table = _table(
        "Investors (TUSD)",
        "yield = paid in the trailing 30 days / price paid (agreed off chain), not annualised"
        + (
            f"\n{', '.join(refused)} is blocklisted by the token: the claim waits, all others were paid"
            if refused
            else ""
        ),
        ("investor", "site", "shares", "of supply", "price paid", "paid", "claimable", "yield"),
    )
    names = {site["site_id"]: site["name"] for site in outcome["sites"]}
    for row in outcome["investors"]:
        ppm = row["yield_ppm"]
        table.add_row(
            row["name"],
            names[row["site_id"]],
            f"{int(row['shares']) // 10**18:,}",
            _percent(row["share_bps"]),
            _cents(row["agreed_price"]),
            money(row["paid"]),
            money(row["claimable"]),
            f"{ppm // 10_000}.{ppm % 10_000:04d} %",
        )
    return table


def _books(outcome: Row) -> Table:
    books = outcome["books"]
    table = _table(
        "The books: trial balance (TUSD)",
        f"{books['blocks_mined']} blocks mined, {books['blocks_compared']} compared with the chain:\n"
        f"{books['accounts_compared']:,} accounts by {books['node_calls']:,} node calls, "
        f"{len(books['differences'])} differences",
        ("accounts", "how many", "debit", "credit"),
    )
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in books["trial_balance"]:
        kinds[row["account"].split(":", 1)[0]].append(row)
    for kind, rows in sorted(kinds.items()):
        debit, credit = (sum(int(row[side]) for row in rows) for side in ("debit", "credit"))
        table.add_row(kind, str(len(rows)), money(debit) if debit else "-", money(credit) if credit else "-")
    table.add_section()
    for total in books["totals"]:
        table.add_row("total", str(len(books["trial_balance"])), money(total["debit"]), money(total["credit"]))
    return table
