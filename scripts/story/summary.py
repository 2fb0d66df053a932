"""What the story comes to, as data: every figure is the API's, or a sum or ratio of such figures that says so.

Amounts are decimal strings of base units, as the API has them: a JSON number is never money.
"""

from __future__ import annotations

import time
from typing import Any

from drakewell import Client
from drakewell.terms import unix
from scripts.story import cast
from scripts.story.duty import HOUR
from scripts.story.story import Story

Row = dict[str, Any]
RECONCILED_SECONDS = 60
POLL_SECONDS = 0.1
BPS = 10_000
_LEASE_AMOUNTS = (
    "price",
    "deposited",
    "rent_total",
    "fee_total",
    "shares_total",
    "owner_total",
    "penalty",
    "compensation",
    "collected",
    "collectable",
)


def summary(story: Story) -> Row:
    """Return the outcome as of the last block mined, ready for JSON."""
    api = story.anyone
    return {
        "seed": story.seed,
        "hours": cast.HOURS,
        "sites": [_site(api, number) for number in range(1, len(cast.SITES) + 1)],
        "leases": [_lease(api, story, number) for number in range(1, len(cast.LEASES) + 1)],
        "investors": _investors(api, story),
        "refused": story.refused,
        "books": _books(api, story),
    }


def _site(api: Client, number: int) -> Row:
    """Return a site's figures: GPU-hours of its leases, energy, revenue by source, SLA credits."""
    site, offering = api.site(number), api.offering(number)
    leases = api.leases(site_id=number)
    usage = [row for row in api.site_usage(number) if not row["voided"]]
    total = {key: sum(row[key] for row in usage) for key in ("available", "busy", "curtailed", "due", "watt_hours")}
    leased = sum(row["gpus"] * (unix(row["end"]) - unix(row["start"])) for row in leases)
    revenue = offering["revenue"]
    return {
        "site_id": number,
        "name": site["name"],
        "region": site["region"],
        "owner": site["owner"],
        "asset": site["asset"],
        "gpus": site["gpus"],
        "gpu_seconds": {"of_the_story": site["gpus"] * cast.HOURS * HOUR, "leased": leased, **total},
        "occupancy_bps": leased * BPS // (site["gpus"] * cast.HOURS * HOUR),
        "busy_bps": total["busy"] * BPS // max(1, total["available"]),
        "available_bps": total["available"] * BPS // max(1, total["due"]),
        "watt_hours_estimate": total["watt_hours"],
        "watt_hours_per_gpu_hour_estimate": total["watt_hours"] * HOUR // max(1, total["available"]),
        "rent": str(sum(row["rent_total"] for row in leases)),
        "fees": str(sum(row["fee_total"] for row in leases)),
        "owner_part": str(sum(row["owner_total"] for row in leases)),
        "holders_revenue": {source: str(amount) for source, amount in revenue.items()},
        "sla_credits": str(sum(row["penalty"] for row in leases)),
        "bond": str(site["bond"]),
        "locked_bond": str(site["locked_bond"]),
    }


def _lease(api: Client, story: Story, number: int) -> Row:
    """Return a lease with all that its settlement is computed from."""
    plan, row = cast.LEASES[number - 1], api.lease(story.leases[number])
    terms = api.listing(row["listing_id"])["terms"]
    return {
        "lease_id": row["lease_id"],
        "story": plan.name,
        "tenant": plan.tenant,
        "site_id": row["site_id"],
        "model": terms["model"],
        "gpus": row["gpus"],
        "state": row["state"],
        "code": row["code"],
        "seconds": unix(row["end"]) - unix(row["start"]),
        "available": row["available"],
        "due": row["due"],
        "curtailed": row["usage"]["curtailed"],
        "sla_bps": terms["sla_bps"],
        "penalty_bps": terms["penalty_bps"],
        "fee_bps": row["fee_bps"],
        "bond_per_gpu": str(terms["bond_per_gpu"]),
        "revenue_bps": cast.REVENUE_BPS,
        **{name: str(row[name]) for name in _LEASE_AMOUNTS},
        "collected_by": [
            {"account": story.names[paid["recipient"]], "amount": str(paid["amount"])}
            for paid in api.payouts(kind="collect", subject=f"lease/{row['lease_id']}")
        ],
    }


def _investors(api: Client, story: Story) -> list[Row]:
    """Return what each buyer of shares was paid, and what waits; the price is what was agreed off chain."""
    rows = []
    for number, site in enumerate(cast.SITES, 1):
        for name in site.investors:
            account = story.people[name].address
            held = api.holding(number, account)
            claims = api.payouts(kind="claim", account=account, subject=f"offering/{number}")
            paid = sum(row["amount"] for row in claims)
            price = held["balance"] // cast.SHARE * cast.SHARE_PRICE
            rows.append(
                {
                    "name": name,
                    "account": account,
                    "site_id": number,
                    "shares": str(held["balance"]),
                    "share_bps": held["share_bps"],
                    "paid": str(paid),
                    "claimable": str(held["claimable"]),
                    "agreed_price": str(price),
                    "yield_ppm": paid * 1_000_000 // price,
                }
            )
    return rows


def _books(api: Client, story: Story) -> Row:
    """Return the trial balance, and how the reconciler compared it with the chain once it has seen every block."""
    balance = api.trial_balance()
    reconciled = _reconciled(api, story.block)
    compared = [row for row in api.reconciliation() if row["block_number"] <= story.block]
    return {
        "trial_balance": [
            {
                "account": row["account"],
                "token": row["asset"]["symbol"],
                **{side: str(row[side]) for side in ("debit", "credit", "balance")},
            }
            for row in balance["rows"]
        ],
        "totals": [
            {"token": row["asset"]["symbol"], **{side: str(row[side]) for side in ("debit", "credit", "balance")}}
            for row in balance["totals"]
        ],
        "head": story.block,
        "blocks_mined": story.clock.mined,
        "blocks_compared": len({row["block_number"] for row in compared if row["status"] == "ok"}),
        "accounts_compared": sum(row["accounts_compared"] for row in compared),
        "node_calls": sum(row["node_calls"] for row in compared),
        "differences": [difference for row in compared for difference in row["differences"]],
        "unreconciled": reconciled["unreconciled"],
    }


def _reconciled(api: Client, block: int) -> Row:
    """Wait for the reconciler, which follows by itself, and return where it is."""
    deadline = time.monotonic() + RECONCILED_SECONDS
    while True:
        state: Row = api.status()["reconciliation"]
        if (state["last_block"] or 0) >= block or time.monotonic() > deadline:
            return state
        time.sleep(POLL_SECONDS)


def failures(outcome: Row) -> list[str]:
    """Return why the outcome is a failure; empty when it is none."""
    books = outcome["books"]
    found = [f"difference: {difference}" for difference in books["differences"]]
    if books["blocks_compared"] < books["blocks_mined"]:
        found.append(f"{books['blocks_compared']} blocks were compared, {books['blocks_mined']} were mined")
    if not books["accounts_compared"]:
        found.append("no account was compared")
    found += [f"the books do not balance: {row}" for row in books["totals"] if row["balance"] != "0"]
    found += [f"lease {row['lease_id']} ends as {row['state']}" for row in outcome["leases"] if row["state"] != "final"]
    if not outcome["refused"]:
        found.append("the blocklisted holder was refused nothing")
    return found
