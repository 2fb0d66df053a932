"""Leases: rows with their computed figures, and what may be done with them."""

from collections.abc import Sequence

from backend.chain.contracts import Contracts
from backend.kit.database import Row
from backend.kit.types import checksummed, rfc3339
from backend.leases.schemas import FundLease, OpenLease, TransferLease
from backend.mirror.assets import Assets
from backend.mirror.view import View
from backend.plans.service import Intent, Planner, Pull
from indexer import formulas

# LeaseBook keeps 250,000 gas for the clone's part of a settlement, and 500,000 for each settlement of a page.
SETTLE_RESERVE = 350_000
SETTLE_MANY_RESERVE = 800_000
_METERED = ("round", "count", "available", "due", "busy", "curtailed", "watt_hours")


def lease(view: View, lease_id: int) -> Row:
    """Return a lease's row at the view's block."""
    return view.need("lease", "lease", lease_id=lease_id)


def shown(view: View, rows: Sequence[Row], assets: Assets) -> list[Row]:
    """Return leases as the API shows them, figures as of the view's time."""
    sites = {row["site_id"]: row for row in view.many("site", _distinct(rows, "site_id"))}
    terms = {
        (row["listing_id"], row["version"]): row
        for row in view.many("listing_terms", _distinct(rows, "listing_id", "version"))
    }
    meters = {row["lease_id"]: row for row in view.many("meter", _distinct(rows, "lease_id"))}
    return [
        _shown(
            row,
            terms[row["listing_id"], row["version"]],
            meters.get(row["lease_id"]),
            view.time,
            assets.of(sites[row["site_id"]]["token"]),
        )
        for row in rows
    ]


def _distinct(rows: Sequence[Row], *names: str) -> list[dict[str, int]]:
    return [dict(zip(names, key, strict=True)) for key in sorted({tuple(row[name] for name in names) for row in rows})]


def _shown(row: Row, terms: Row, meter: Row | None, time: int, asset: Row) -> Row:
    metered = dict.fromkeys(_METERED, 0) if meter is None else {name: meter[name] for name in _METERED}
    reported_to = row["start_at"] // formulas.HOUR if meter is None else meter["reported_to"]
    return {
        **row,
        "state": formulas.lease_state(row, time),
        "start": row["start_at"],
        "end": row["end_at"],
        "asset": asset,
        "sla_bps": terms["sla_bps"],
        "owner_total": row["rent_total"] - row["fee_total"] - row["shares_total"],
        "penalty_view": formulas.penalty_view(row, meter, terms, time),
        "collectable": formulas.collectable(row),
        "runway": {
            "seconds": max(0, row["end_at"] - time),
            "funded_until": formulas.funded_until(row),
            "rent_per_hour": formulas.cost_up(row["price"], row["gpus"], formulas.HOUR),
        },
        "usage": {"reported_to": reported_to, **metered},
    }


# ------------------------------------------------------------------------------------------------------------- plans


def open_lease(contracts: Contracts, planner: Planner, body: OpenLease) -> Intent:
    """Plan an opening at what the LeaseBook quotes at the head."""
    ask = (
        contracts.book("quote", listingId=body.listing_id, gpus=body.gpus, term=body.term),
        contracts.book("listingOf", listingId=body.listing_id),
    )
    quote, listing = contracts.read(ask)
    token = contracts.site(int(listing["siteId"]))["token"]
    deposit = int(quote["maxDeposit"]) if body.deposit is None else body.deposit
    deadline = planner.expiry() if body.deadline is None else body.deadline
    params = {
        "listingId": str(body.listing_id),
        "version": str(body.version or quote["version"]),
        "gpus": str(body.gpus),
        "term": str(body.term),
        "deposit": str(deposit),
        "maxPrice": quote["price"] if body.max_price is None else str(body.max_price),
        "holder": checksummed(body.holder or body.account),
        "deadline": str(deadline),
    }
    return Intent(
        "open_lease",
        f"Lease {body.gpus} GPUs of listing {body.listing_id}",
        body.account,
        contracts.book("open", params=params),
        Pull(token, deposit, "openWithPermit", body.approval),
        {"quote": {**quote, "start": rfc3339(int(quote["start"])), "termEnd": rfc3339(int(quote["termEnd"]))}},
    )


def fund(contracts: Contracts, lease_id: int, body: FundLease) -> Intent:
    """Plan an addition to the deposit."""
    token = contracts.site(int(contracts.lease(lease_id)["siteId"]))["token"]
    call = contracts.book("fund", leaseId=str(lease_id), amount=str(body.amount))
    pull = Pull(token, body.amount, "fundWithPermit", body.approval)
    return Intent("fund_lease", f"Add {body.amount} to lease {lease_id}", body.account, call, pull)


def end(contracts: Contracts, action: str, lease_id: int, account: str, code: int) -> Intent:
    """Plan a tenant's `close` or an owner's `reclaim`."""
    call = contracts.book(action, leaseId=str(lease_id), code=str(code))
    return Intent(f"{action}_lease", f"{action.capitalize()} lease {lease_id} (code {code})", account, call)


def settle(contracts: Contracts, lease_id: int, account: str) -> Intent:
    """Plan a settlement."""
    call = contracts.book("settle", leaseId=str(lease_id))
    return Intent("settle_lease", f"Settle lease {lease_id}", account, call, gas_reserve=SETTLE_RESERVE)


def settle_many(contracts: Contracts, lease_ids: Sequence[int], account: str) -> Intent:
    """Plan the settlement of a page of leases."""
    call = contracts.book("settleMany", leaseIds=[str(each) for each in lease_ids])
    title = f"Settle {len(lease_ids)} leases"
    return Intent("settle_leases", title, account, call, gas_reserve=SETTLE_MANY_RESERVE)


def release(contracts: Contracts, lease_id: int, account: str) -> Intent:
    """Plan freeing an ended lease's GPUs."""
    call = contracts.book("release", leaseId=str(lease_id))
    return Intent("release_lease", f"Release the GPUs of lease {lease_id}", account, call)


def collect(contracts: Contracts, lease_id: int, account: str, to: str | None) -> Intent:
    """Plan the payment of what the escrow no longer needs."""
    call = contracts.book("collect", leaseId=str(lease_id), to=checksummed(to or account))
    return Intent("collect_lease", f"Collect from lease {lease_id}", account, call)


def transfer(contracts: Contracts, lease_id: int, body: TransferLease) -> Intent:
    """Plan a plain transfer of the lease token."""
    names = {"from": checksummed(body.account), "to": checksummed(body.to), "tokenId": str(lease_id)}
    call = contracts.book("transferFrom", **names)
    return Intent("transfer_lease", f"Transfer lease {lease_id} to {names['to']}", body.account, call)
