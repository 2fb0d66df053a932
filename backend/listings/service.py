"""Listings: rows as shown, quotes, and what may be done with them."""

from collections.abc import Sequence

from backend.chain.contracts import Contracts
from backend.kit.database import Row
from backend.kit.problems import InvalidRequest
from backend.listings.schemas import Amend, List, Terms, TermsIn
from backend.mirror.assets import Assets
from backend.mirror.view import View
from backend.plans.service import Intent
from backend.sites.service import word
from indexer import formulas


def listing(view: View, listing_id: int) -> Row:
    """Return a listing's row at the view's block."""
    return view.need("listing", "listing", listing_id=listing_id)


def shown(view: View, rows: Sequence[Row], assets: Assets) -> list[Row]:
    """Return listings as the API shows them."""
    keys = [{"site_id": site_id} for site_id in sorted({row["site_id"] for row in rows})]
    sites = {site["site_id"]: site for site in view.many("site", keys)}
    return [_shown(row, sites[row["site_id"]], assets) for row in rows]


def _shown(row: Row, site: Row, assets: Assets) -> Row:
    free = 0 if row["withdrawn"] else row["gpus"] - row["leased"]
    return {
        **row,
        "site_name": site["name"],
        "region": site["region"],
        "asset": assets.of(site["token"]),
        "available_gpus": free,
        "price": formulas.price(row, row["leased"], 1) if free else None,
        "gpu": {"model": row["model"], "verified": False, "memory_gb": None, "tdp_watts": None},
        "terms": {name: row[name] for name in Terms.model_fields},
    }


def quote(view: View, listing_id: int, gpus: int, term: int, assets: Assets) -> Row:
    """Return what `open` would charge at the view's block.

    Raises:
        InvalidRequest: the listing does not offer that.
    """
    row = listing(view, listing_id)
    site = view.need("site", "site", site_id=row["site_id"])
    free = row["gpus"] - row["leased"]
    if row["withdrawn"] or gpus > free:
        offered = 0 if row["withdrawn"] else free
        raise InvalidRequest(
            f"Listing {listing_id} has {offered} GPUs to lease.",
            errors=[{"loc": "query.gpus", "message": f"must be at most {offered}"}],
        )
    if not row["min_term"] <= term <= row["max_term"]:
        raise InvalidRequest(
            f"Listing {listing_id} is leased for {row['min_term']} to {row['max_term']} seconds.",
            errors=[{"loc": "query.term", "message": f"must be {row['min_term']} to {row['max_term']}"}],
        )
    figures = formulas.quote(row, site, gpus, term, view.time)
    if figures.term_end > row["window_until"]:
        raise InvalidRequest(
            f"A term of {term} seconds would run past the end of the listing's window.",
            errors=[{"loc": "query.term", "message": f"must be at most {row['window_until'] - figures.start}"}],
        )
    return {
        "listing_id": listing_id,
        "gpus": gpus,
        "term": term,
        "asset": assets.of(site["token"]),
        **figures._asdict(),
    }


def as_tuple(terms: TermsIn) -> dict[str, str]:
    """Return the terms as the contract's struct."""
    return {
        "from": str(terms.window_from),
        "until": str(terms.window_until),
        "floorPrice": str(terms.floor_price),
        "ceilingPrice": str(terms.ceiling_price),
        "gpus": str(terms.gpus),
        "minTerm": str(terms.min_term),
        "maxTerm": str(terms.max_term),
        "notice": str(terms.notice),
        "slaBps": str(terms.sla_bps),
        "penaltyBps": str(terms.penalty_bps),
        "curtailableBps": str(terms.curtailable_bps),
        "wattsPerGpu": str(terms.watts_per_gpu),
        "pueBps": str(terms.pue_bps),
        "reclaimWindow": str(terms.reclaim_window),
        "compensationBps": str(terms.compensation_bps),
        "bondPerGpu": str(terms.bond_per_gpu),
        "model": word(terms.model),
    }


def list_capacity(contracts: Contracts, body: List) -> Intent:
    """Plan a new listing."""
    call = contracts.book("list", siteId=str(body.site_id), terms=as_tuple(body.terms))
    title = f"List {body.terms.gpus} {body.terms.model} of site {body.site_id}"
    return Intent("list_capacity", title, body.account, call)


def amend(contracts: Contracts, listing_id: int, body: Amend) -> Intent:
    """Plan new terms."""
    call = contracts.book("amend", listingId=str(listing_id), terms=as_tuple(body.terms))
    return Intent("amend_listing", f"Amend listing {listing_id}", body.account, call)


def withdraw(contracts: Contracts, listing_id: int, account: str) -> Intent:
    """Plan taking a listing off the market."""
    call = contracts.book("withdrawListing", listingId=str(listing_id))
    return Intent("withdraw_listing", f"Withdraw listing {listing_id}", account, call)
