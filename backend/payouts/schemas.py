"""Payouts as the API shows them, and the withdrawal of credits."""

from typing import Literal

from pydantic import BaseModel, Field

from backend.kit.types import Address, Amount, Recipient, Time
from backend.mirror.assets import Asset
from backend.plans.schemas import PlanRequest

Kind = Literal["claim", "collect", "credit", "fees", "bond"]


class Payout(BaseModel):
    """Cash that left a contract: `account` had the right to it, `recipient` got it, `subject` says of what."""

    block_number: int
    log_index: int
    tx_hash: str
    time: Time
    finality: str
    kind: Kind
    contract: Address
    account: Address
    recipient: Address
    subject: str
    amount: Amount
    asset: Asset


class WithdrawCredit(PlanRequest):
    """All of the account's credit in a token."""

    token: Recipient
    to: Recipient | None = Field(None, description="The account without one.")
