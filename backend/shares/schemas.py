"""Shares as the API shows and takes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from backend.kit.types import Address, Amount, Recipient, Time, Uint256, amount, integer, text
from backend.mirror.assets import Asset
from backend.plans.schemas import PayingRequest, PlanRequest

Source = Literal["lease", "mining", "demand_response", "other"]


class Stream(BaseModel):
    """The line on which the per-share index runs, in base units x 1e36 a share unit; `current_index` at this block."""

    index: Amount
    index_end: Amount
    start: Time
    end: Time
    current_index: Amount


class Revenue(BaseModel):
    """Base units distributed up to this block, by source."""

    lease: Amount
    mining: Amount
    demand_response: Amount
    other: Amount


class Offering(BaseModel):
    """The shares of a site. `asset` is what they earn; `owed` is what the clone owes, streamed in or not."""

    site_id: int
    share: Address
    asset: Asset
    name: str
    symbol: str
    decimals: int
    revenue_bps: int
    supply: Amount
    owed: Amount
    distributed: Amount
    claimed: Amount
    stream: Stream
    holders: int
    revenue: Revenue
    issued_at: Time


class Holding(BaseModel):
    """What an account holds of an offering; `share_bps` of the supply, rounded down."""

    site_id: int
    share: Address
    account: Address
    balance: Amount
    share_bps: int
    frozen: Amount
    claimable: Amount
    claimed: Amount
    asset: Asset


class Distribution(BaseModel):
    """Revenue that came in; `ref` is the lease id for `lease`, else the payer's own reference."""

    block_number: int
    log_index: int
    tx_hash: str
    time: Time
    finality: str
    site_id: int
    share: Address
    source: Source
    ref: Amount
    payer: Address
    amount: Amount
    asset: Asset


class IssueShares(PlanRequest):
    """A claim on part of a site's rent; once a site. `supply` in share units of 18 decimals."""

    revenue_bps: Annotated[int, integer(1, 10_000)]
    supply: Annotated[int, amount(256, least=1)]
    name: Annotated[str, text(1, 64)]
    symbol: Annotated[str, text(1, 16)]


class Distribute(PayingRequest):
    """Revenue for the holders, by anyone."""

    amount: Annotated[int, amount(256, least=1)]
    source: Literal["mining", "demand_response", "other"]
    ref: Uint256 = Field("0", description="The payer's own reference.", validate_default=True)


class Claim(PlanRequest):
    """The account's claimable."""

    to: Recipient | None = Field(None, description="The account without one.")


class ClaimFor(PlanRequest):
    """A holder's claimable, paid to the holder; by anyone."""

    holder: Recipient


class TransferShares(PlanRequest):
    """Share units to another eligible account."""

    to: Recipient
    amount: Annotated[int, amount(256, least=1)]
