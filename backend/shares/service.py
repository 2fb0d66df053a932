"""Shares: rows with their computed figures, and what may be done with them."""

from collections.abc import Sequence

from backend.chain.contracts import Call, Contracts
from backend.kit.database import Row
from backend.kit.problems import NotFound
from backend.kit.types import ZERO_ADDRESS, checksummed
from backend.mirror.assets import Assets
from backend.mirror.view import View
from backend.plans.service import Intent, Pull
from backend.shares import repository
from backend.shares.schemas import Claim, ClaimFor, Distribute, IssueShares, Revenue, TransferShares
from indexer import formulas

DECIMALS = 18
_SOURCES = {"lease": 0, "mining": 1, "demand_response": 2, "other": 3}


def offering(view: View, site_id: int) -> Row:
    """Return the row of a site's offering at the view's block.

    Raises:
        NotFound: no such site, or it had issued none by then.
    """
    share = view.need("site", "site", site_id=site_id)["share"]
    if share is None:
        raise NotFound(f"Site {site_id} has issued no shares by block {view.block}.")
    return view.need("offering", "offering", share=share)


def shown(view: View, row: Row, assets: Assets) -> Row:
    """Return an offering as the API shows it."""
    revenue = repository.revenue(view, row["share"])
    return {
        **row,
        "asset": assets.of(row["token"]),
        "decimals": DECIMALS,
        "stream": {
            "index": row["index"],
            "index_end": row["index_end"],
            "start": row["stream_start"],
            "end": row["stream_end"],
            "current_index": formulas.index(row, view.time),
        },
        "holders": repository.holders(view, row["share"]),
        "revenue": {source: revenue.get(source, 0) for source in Revenue.model_fields},
    }


def holder(view: View, site_id: int, account: str, assets: Assets) -> Row:
    """Return what an account holds of a site's shares: zeros for one that never held any."""
    of = offering(view, site_id)
    row = view.get("holding", share=of["share"], account=account)
    none = {"account": account, "balance": 0, "paid_index": 0, "accrued": 0, "frozen": 0, "claimed": 0}
    return held(view, [{**(row or none), "share": of["share"]}], {of["share"]: of}, assets)[0]


def held(view: View, rows: Sequence[Row], offerings: dict[str, Row], assets: Assets) -> list[Row]:
    """Return holdings as the API shows them; `offerings` by address."""
    return [_held(row, offerings[row["share"]], view.time, assets) for row in rows]


def _held(row: Row, of: Row, time: int, assets: Assets) -> Row:
    return {
        **row,
        "site_id": of["site_id"],
        "share_bps": row["balance"] * formulas.BPS // of["supply"],
        "claimable": formulas.claimable(of, row, time),
        "asset": assets.of(of["token"]),
    }


# ------------------------------------------------------------------------------------------------------------- plans


def _share(contracts: Contracts, site_id: int) -> tuple[str, str]:
    """Return the clone of a site and its settlement token, at the head."""
    site = contracts.site(site_id)
    if site["share"] == ZERO_ADDRESS:
        raise NotFound(f"Site {site_id} has issued no shares.")
    return site["share"], site["token"]


def _call(share: str, function: str, **args: str) -> Call:
    return Call("CapacityShare", share.lower(), function, dict(args))


def issue(contracts: Contracts, site_id: int, body: IssueShares) -> Intent:
    """Plan the issue of a site's shares."""
    call = contracts.book(
        "issue",
        siteId=str(site_id),
        revenueBps=str(body.revenue_bps),
        supply=str(body.supply),
        name=body.name,
        symbol=body.symbol,
    )
    return Intent("issue_shares", f"Issue shares of site {site_id}", body.account, call)


def push(contracts: Contracts, site_id: int, account: str) -> Intent:
    """Plan sending a site's deferred shares' part again."""
    call = contracts.book("pushShares", siteId=str(site_id))
    return Intent("push_shares", f"Push the shares' part of site {site_id}", account, call)


def distribute(contracts: Contracts, site_id: int, body: Distribute) -> Intent:
    """Plan a payment to the holders."""
    share, token = _share(contracts, site_id)
    call = _call(share, "distribute", amount=str(body.amount), source=str(_SOURCES[body.source]), ref=str(body.ref))
    pull = Pull(token, body.amount, "distributeWithPermit", body.approval)
    title = f"Distribute {body.amount} ({body.source}) to the holders of site {site_id}"
    return Intent("distribute", title, body.account, call, pull)


def claim(contracts: Contracts, site_id: int, body: Claim) -> Intent:
    """Plan the payment of the account's claimable."""
    share, _ = _share(contracts, site_id)
    call = _call(share, "claim", to=checksummed(body.to or body.account))
    return Intent("claim", f"Claim from the shares of site {site_id}", body.account, call)


def claim_for(contracts: Contracts, site_id: int, body: ClaimFor) -> Intent:
    """Plan the payment of a holder's claimable to that holder."""
    share, _ = _share(contracts, site_id)
    call = _call(share, "claimFor", account=checksummed(body.holder))
    title = f"Claim for {call.args['account']} from the shares of site {site_id}"
    return Intent("claim_for", title, body.account, call)


def transfer(contracts: Contracts, site_id: int, body: TransferShares) -> Intent:
    """Plan a plain transfer of shares."""
    share, _ = _share(contracts, site_id)
    call = _call(share, "transfer", to=checksummed(body.to), value=str(body.amount))
    title = f"Transfer {body.amount} share units of site {site_id} to {call.args['to']}"
    return Intent("transfer_shares", title, body.account, call)
