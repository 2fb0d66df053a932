"""Leases as the API shows and takes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from backend.kit.types import Address, Amount, Id32, Recipient, Time, TimeIn, amount, integer
from backend.mirror.assets import Asset
from backend.plans.schemas import PayingRequest, PlanRequest

State = Literal["forward", "active", "closing", "reclaiming", "ended", "final"]
Kind = Literal[
    "opened",
    "funded",
    "transferred",
    "closing",
    "reclaimed",
    "settled",
    "finalised",
    "released",
    "collected",
]


class Runway(BaseModel):
    """How long the lease still runs: `seconds` to its end; the deposit pays until `funded_until`."""

    seconds: int
    funded_until: Time
    rent_per_hour: Amount


class Metered(BaseModel):
    """All that was reported of a lease and not voided, final or not: GPU-seconds and watt-hours."""

    reported_to: int
    round: int
    count: int
    available: int
    due: int
    busy: int
    curtailed: int
    watt_hours: int


class Lease(BaseModel):
    """GPUs for a term, and the escrow that pays for them. `available` and `due` are GPU-seconds settled."""

    lease_id: int
    site_id: int
    listing_id: int
    version: int
    state: State
    holder: Address | None
    opened_by: Address
    opened_at: Time
    gpus: int
    start: Time
    term_end: Time
    end: Time
    closing_at: Time | None
    code: int
    asset: Asset
    price: Amount
    fee_bps: int
    sla_bps: int
    bond_locked: Amount
    deposited: Amount
    rent_total: Amount
    fee_total: Amount
    shares_total: Amount
    owner_total: Amount
    settled_until: Time
    available: int
    due: int
    compensation: Amount
    penalty: Amount
    penalty_view: Amount = Field(description="The penalty were the last settlement at this block.")
    collected: Amount
    collectable: Amount
    finalised: bool
    released: bool
    runway: Runway
    usage: Metered


class Settlement(BaseModel):
    """One settlement: totals of GPU-seconds after it, and the amounts that it moved."""

    block_number: int
    log_index: int
    tx_hash: str
    time: Time
    finality: str
    lease_id: int
    settled_until: Time
    available: int
    due: int
    rent: Amount
    fee: Amount
    shares: Amount
    owner_part: Amount


class LeaseEvent(BaseModel):
    """One event of a lease's life; `end` is when the lease ended as things stood after it."""

    block_number: int
    log_index: int
    tx_hash: str
    time: Time
    finality: str
    lease_id: int
    kind: Kind
    account: Address | None
    amount: Amount
    end: Time
    code: int


class OpenLease(PayingRequest):
    """A lease to open; what is not given is as quoted at the head."""

    listing_id: Id32
    gpus: Annotated[int, integer(1, 2**24 - 1)]
    term: Annotated[int, integer(1, 2**32 - 1)] = Field(description="Seconds.")
    deposit: Annotated[int, amount(96, least=1)] | None = Field(None, description="The whole term's price without one.")
    max_price: Annotated[int, amount(72)] | None = Field(
        None, description="Base units per GPU-hour; the quoted price without one."
    )
    version: Annotated[int, integer(1, 2**16 - 1)] | None = None
    holder: Recipient | None = Field(None, description="Receives the lease token; the account without one.")
    deadline: TimeIn | None = Field(None, description="The plan's expiry without one.")


class FundLease(PayingRequest):
    """Base units to add to the deposit."""

    amount: Annotated[int, amount(96, least=1)]


class CloseLease(PlanRequest):
    """A tenant's closing."""

    code: Annotated[int, integer(1, 9_999)] = 1


class ReclaimLease(PlanRequest):
    """An owner's reclaim."""

    code: Annotated[int, integer(10_000, 19_999)] = 10_000


class SettleLeases(PlanRequest):
    """A page of leases to settle; failures are skipped."""

    lease_ids: Annotated[list[Id32], Field(min_length=1, max_length=50)]


class CollectLease(PlanRequest):
    """What the escrow no longer needs."""

    to: Recipient | None = Field(None, description="The account without one.")


class TransferLease(PlanRequest):
    """The lease token and all that it will ever pay."""

    to: Recipient
