"""The books as the API shows them: amounts signed, debit positive."""

from typing import Any, Literal

from pydantic import BaseModel

from backend.kit.types import Amount, Time
from backend.mirror.assets import Asset


class Balance(BaseModel):
    """An account's balance, and the side on which it stands."""

    account: str
    asset: Asset
    debit: Amount
    credit: Amount
    balance: Amount


class Total(BaseModel):
    """Both sides of one token: equal, or the books are broken."""

    asset: Asset
    debit: Amount
    credit: Amount
    balance: Amount


class TrialBalance(BaseModel):
    """Every account that is not zero."""

    rows: list[Balance]
    totals: list[Total]


class Posting(BaseModel):
    """One posting and its account's balance after it; `position` counts the postings of a log."""

    block_number: int
    log_index: int
    position: int
    tx_hash: str
    time: Time
    finality: str
    account: str
    asset: Asset
    amount: Amount
    balance_after: Amount


class Comparison(BaseModel):
    """One comparison of the books with the chain's own state, by block hash."""

    block_number: int
    block_hash: str
    kind: str
    status: Literal["ok", "differs", "failed"]
    accounts_compared: int
    node_calls: int
    differences: list[dict[str, Any]]
    error: str | None
