"""Portfolio and eligibility of an account."""

from collections import defaultdict

from backend.accounts import repository
from backend.kit.database import Row
from backend.leases import service as leases
from backend.mirror.assets import Assets
from backend.mirror.view import View
from backend.shares import repository as share_rows
from backend.shares import service as shares
from backend.sites import service as sites

# Bits of `IIdentityRegistry`.
FROZEN = 1
ROLES = {"investor": 2, "site_owner": 4, "attester": 8, "custodian": 16}


def portfolio(view: View, account: str, assets: Assets) -> Row:
    """Return all that an account has at the view's block."""
    owned = [sites.shown(row, assets) for row in repository.owned(view, "site", "owner", account)]
    rented = leases.shown(view, repository.owned(view, "lease", "holder", account), assets)
    rows = repository.under(view, "holding", account)
    offerings = share_rows.of_shares(view, [row["share"] for row in rows])
    held = shares.held(view, rows, offerings, assets)
    credits = [
        {"asset": assets.of(row["token"]), "amount": row["amount"]}
        for row in repository.under(view, "credit", account)
        if row["amount"]
    ]
    return {
        "account": account,
        "sites": owned,
        "leases": rented,
        "shares": [row for row in held if row["balance"] or row["claimable"]],
        "credits": credits,
        "totals": _totals(held, rented, credits),
    }


def _totals(held: list[Row], rented: list[Row], credits: list[Row]) -> list[Row]:
    totals: dict[str, Row] = defaultdict(lambda: {"claimable": 0, "collectable": 0, "credits": 0})
    for name, column, rows in (
        ("claimable", "claimable", held),
        ("collectable", "collectable", rented),
        ("credits", "amount", credits),
    ):
        for row in rows:
            total = totals[row["asset"]["address"]]
            total["asset"] = row["asset"]
            total[name] += row[column]
    return [totals[address] for address in sorted(totals)]


def eligibility(view: View, account: str) -> Row:
    """Return what the registry lets an account do, with reasons and how to mend them."""
    row = view.get("identity", account=account)
    flags = row["flags"] if row else 0
    valid = bool(row and row["valid_until"] > view.time)
    frozen = bool(flags & FROZEN)
    has = {role: bool(flags & bit) for role, bit in ROLES.items()}
    active = valid and not frozen
    reasons = []
    if row is None:
        reasons.append("The registry does not know this account: the officer can register it. It may rent meanwhile.")
    elif not valid:
        reasons.append(
            "The membership has expired: the officer can renew it. The account may send, claim and withdraw."
        )
    if frozen:
        reasons.append("The account is frozen: nothing leaves it until the officer releases it.")
    if row is not None and not any(has.values()):
        reasons.append("The account has no role: the officer can give it one.")
    return {
        "account": account,
        "registered": row is not None,
        "frozen": frozen,
        "valid_until": row["valid_until"] if row else None,
        "country": row["country"] if row else None,
        "roles": [role for role, held in has.items() if held],
        "can": {
            "receive_shares": active and (has["investor"] or has["site_owner"] or has["custodian"]),
            "send_shares": not frozen,
            "register_sites": active and has["site_owner"],
            "attest": active and has["attester"],
            "rent": not frozen,
        },
        "reasons": reasons,
    }
