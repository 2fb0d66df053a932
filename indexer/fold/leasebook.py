"""Events of the LeaseBook on sites, listings, bonds, credits and policy; those on leases are in `lease`."""

from __future__ import annotations

from indexer.events import Log
from indexer.fold import lease
from indexer.fold.journal import (
    FEE,
    LEASEBOOK,
    Args,
    Books,
    Handler,
    bond,
    clearing,
    credit,
    deferred,
    escrow,
    payout,
    revenue,
)
from indexer.fold.registry import set_policy
from indexer.fold.share import NOBODY
from indexer.fold.state import BALANCE, Key, Row

#: Fields of `Terms` and the columns they are kept in.
TERMS = {
    "from": "window_from",
    "until": "window_until",
    "floorPrice": "floor_price",
    "ceilingPrice": "ceiling_price",
    "gpus": "gpus",
    "minTerm": "min_term",
    "maxTerm": "max_term",
    "notice": "notice",
    "slaBps": "sla_bps",
    "penaltyBps": "penalty_bps",
    "curtailableBps": "curtailable_bps",
    "wattsPerGpu": "watts_per_gpu",
    "pueBps": "pue_bps",
    "reclaimWindow": "reclaim_window",
    "compensationBps": "compensation_bps",
    "bondPerGpu": "bond_per_gpu",
    "model": "model",
}

# -------------------------------------------------------------------------------------------------------------- sites


def site_registered(books: Books, log: Log, a: Args) -> None:
    books.state.put(
        "site",
        (a["siteId"],),
        {
            "site_id": a["siteId"],
            "owner": a["owner"],
            "pending_owner": None,
            "token": a["token"],
            "gpus": a["gpus"],
            "region": a["region"],
            "name": a["name"],
            "share": None,
            "revenue_bps": 0,
            "bond": 0,
            "locked_bond": 0,
            "pending_shares": 0,
            "registered_at": log.time,
        },
    )


def site_offered(books: Books, _log: Log, a: Args) -> None:
    pending = a["pendingOwner"]
    books.state.change("site", (a["siteId"],), pending_owner=None if pending == NOBODY else pending)


def site_owner_changed(books: Books, _log: Log, a: Args) -> None:
    books.state.change("site", (a["siteId"],), owner=a["owner"], pending_owner=None)


def shares_issued(books: Books, log: Log, a: Args) -> None:
    share, site_id = a["share"], a["siteId"]
    site = books.state.change("site", (site_id,), share=share, revenue_bps=a["revenueBps"])
    books.state.put(
        "offering",
        (share,),
        {
            "share": share,
            "site_id": site_id,
            "token": site["token"],
            "name": a["name"],
            "symbol": a["symbol"],
            "revenue_bps": a["revenueBps"],
            "supply": a["supply"],
            "index": 0,
            "index_end": 0,
            "stream_start": 0,
            "stream_end": 0,
            "owed": 0,
            "distributed": 0,
            "claimed": 0,
            "issued_at": log.time,
        },
    )
    books.owe(share, site["token"], 0)


def bond_posted(books: Books, log: Log, a: Args) -> None:
    _move_bond(books, log, a["siteId"], a["amount"], a["bond"])


def bond_withdrawn(books: Books, log: Log, a: Args) -> None:
    site = _move_bond(books, log, a["siteId"], -a["amount"], a["bond"])
    payout(
        books,
        log,
        kind="bond",
        token=site["token"],
        account=site["owner"],
        recipient=a["to"],
        subject=f"site/{a['siteId']}",
        amount=a["amount"],
    )


def _move_bond(books: Books, log: Log, site_id: int, delta: int, after: int) -> Row:
    site = books.state.change("site", (site_id,), bond=after)
    token = site["token"]
    books.journal.entry(log, token, (clearing(LEASEBOOK), delta), (bond(site_id), -delta))
    books.journal.expect(bond(site_id), token, after)
    books.owe(log.address, token, delta)
    return site


# ----------------------------------------------------------------------------------------------------------- listings


def listing_set(books: Books, log: Log, a: Args) -> None:
    terms = {column: a[field] for field, column in TERMS.items()}
    listing_id, version = a["listingId"], a["version"]
    books.state.put("listing_terms", (listing_id, version), {"listing_id": listing_id, "version": version, **terms})
    listing = books.state.get("listing", (listing_id,)) or {
        "listing_id": listing_id,
        "site_id": a["siteId"],
        "leased": 0,
        "busy_from": 0,
        "busy_until": 0,
        "withdrawn": False,
        "listed_at": log.time,
    }
    books.state.put("listing", (listing_id,), {**listing, "version": version, **terms})


def listing_withdrawn(books: Books, _log: Log, a: Args) -> None:
    books.state.change("listing", (a["listingId"],), withdrawn=True)


# ------------------------------------------------------------------------------------------- what waits to be drawn


def shares_deferred(books: Books, log: Log, a: Args) -> None:
    site_id, amount = a["siteId"], a["amount"]
    site = books.state.change("site", (site_id,), pending_shares=a["pending"])
    token = site["token"]
    books.journal.entry(log, token, (clearing(LEASEBOOK), amount), (deferred(site_id), -amount))
    books.journal.expect(deferred(site_id), token, a["pending"])
    books.owe(log.address, token, amount)


def shares_pushed(books: Books, log: Log, a: Args) -> None:
    site_id, amount = a["siteId"], a["amount"]
    site = books.state.need("site", (site_id,))
    token, pending = site["token"], site["pending_shares"] - amount
    books.state.put("site", (site_id,), {**site, "pending_shares": pending})
    books.journal.entry(log, token, (deferred(site_id), amount), (clearing(LEASEBOOK), -amount))
    books.journal.expect(deferred(site_id), token, pending)
    books.owe(log.address, token, -amount)


def credit_withdrawn(books: Books, log: Log, a: Args) -> None:
    token, account, amount = a["token"], a["account"], a["amount"]
    books.state.put("credit", (token, account), {"token": token, "account": account, "amount": 0})
    books.journal.entry(log, token, (credit(account), amount), (clearing(LEASEBOOK), -amount))
    books.journal.expect(credit(account), token, 0)
    books.owe(log.address, token, -amount)
    payout(books, log, kind="credit", token=token, account=account, recipient=a["to"], subject="", amount=amount)


def fees_withdrawn(books: Books, log: Log, a: Args) -> None:
    token, amount = a["token"], a["amount"]
    books.state.put("fees", (token,), {"token": token, "amount": 0})
    books.journal.entry(log, token, (FEE, amount), (clearing(LEASEBOOK), -amount))
    books.journal.expect(FEE, token, 0)
    books.owe(log.address, token, -amount)
    payout(books, log, kind="fees", token=token, account=log.address, recipient=a["to"], subject="", amount=amount)


# ------------------------------------------------------------------------------------------------------------- policy


def fee_set(books: Books, log: Log, a: Args) -> None:
    set_policy(books, log.address, fee_bps=a["feeBps"])


def token_allowed(books: Books, log: Log, a: Args) -> None:
    books.state.put("token", (a["token"],), {"token": a["token"], "allowed": a["allowed"]})
    books.owe(log.address, a["token"], 0)  # from now on there is a total to be compared


def entries_paused(books: Books, log: Log, a: Args) -> None:
    set_policy(books, log.address, entries_paused=a["paused"])


def keys(name: str, _contract: str, _log: Log, a: Args) -> list[tuple[str, Key]]:
    """Return what an event is known to touch before any row is loaded."""
    found: list[tuple[str, Key]] = []
    if (lease_id := a.get("leaseId") or a.get("tokenId")) is not None:
        found += [("lease", (lease_id,)), (BALANCE, (escrow(lease_id),))]
    if (site_id := a.get("siteId")) is not None:
        found += [("site", (site_id,)), (BALANCE, (bond(site_id),)), (BALANCE, (deferred(site_id),))]
        found.append((BALANCE, (revenue(site_id, "lease"),)))
    if (listing_id := a.get("listingId")) is not None:
        found.append(("listing", (listing_id,)))
        if "version" in a:
            found.append(("listing_terms", (listing_id, a["version"])))
    if "share" in a:
        found.append(("offering", (a["share"],)))
    if name in ("LeaseSettled", "CreditWithdrawn"):
        found.append((BALANCE, (credit(a.get("account") or a["owner"]),)))
    return found


HANDLERS: dict[str, Handler] = {
    "SiteRegistered": site_registered,
    "SiteOffered": site_offered,
    "SiteOwnerChanged": site_owner_changed,
    "SharesIssued": shares_issued,
    "BondPosted": bond_posted,
    "BondWithdrawn": bond_withdrawn,
    "ListingSet": listing_set,
    "ListingWithdrawn": listing_withdrawn,
    "SharesDeferred": shares_deferred,
    "SharesPushed": shares_pushed,
    "CreditWithdrawn": credit_withdrawn,
    "FeesWithdrawn": fees_withdrawn,
    "FeeSet": fee_set,
    "TokenAllowed": token_allowed,
    "EntriesPaused": entries_paused,
    **lease.HANDLERS,
}
