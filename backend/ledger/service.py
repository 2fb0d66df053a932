"""The trial balance."""

from backend.kit.database import Row
from backend.ledger import repository
from backend.mirror.assets import Assets
from backend.mirror.view import View


def trial_balance(view: View, token: str | None, assets: Assets) -> Row:
    """Return every account's balance at the view's block, and both sides of each token."""
    rows: list[Row] = []
    totals: dict[str, Row] = {}
    for row in repository.balances(view, token):
        asset, balance = assets.of(row["token"]), row["balance"]
        sides = {"debit": max(0, balance), "credit": max(0, -balance), "balance": balance}
        rows.append({"account": row["account"], "asset": asset, **sides})
        total = totals.setdefault(row["token"], {"asset": asset, "debit": 0, "credit": 0, "balance": 0})
        for side, amount in sides.items():
            total[side] += amount
    return {"rows": rows, "totals": [totals[address] for address in sorted(totals)]}


def postings(view: View, rows: list[Row], assets: Assets) -> list[Row]:
    """Return postings as the API shows them."""
    hashes = repository.transactions(view, rows)
    return [
        {
            **row,
            "position": row["ordinal"],
            "balance_after": row["balance"],
            "asset": assets.of(row["token"]),
            "tx_hash": hashes[row["block_number"], row["log_index"]],
        }
        for row in rows
    ]
