"""Listings and quotes as the API shows and takes them."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.kit.types import (
    Amount,
    Bps,
    Id32,
    ShortText,
    Time,
    TimeIn,
    amount,
    integer,
)
from backend.mirror.assets import Asset
from backend.plans.schemas import PlanRequest

_SECONDS = Annotated[int, integer(0, 2**32 - 1)]
_PRICE = Annotated[int, amount(72)]


class Terms(BaseModel):
    """What a listing offers. Prices are base units per GPU-hour, spans seconds, ratios basis points."""

    window_from: Time
    window_until: Time
    floor_price: Amount
    ceiling_price: Amount
    gpus: int
    min_term: int
    max_term: int
    notice: int
    sla_bps: int
    penalty_bps: int
    curtailable_bps: int
    watts_per_gpu: int
    pue_bps: int
    reclaim_window: int
    compensation_bps: int
    bond_per_gpu: Amount
    model: str


class TermsIn(BaseModel):
    """The same, as an owner gives it; `ILeaseBook.Terms` says what each means and its bounds."""

    model_config = {"extra": "forbid"}

    window_from: TimeIn
    window_until: TimeIn
    floor_price: _PRICE
    ceiling_price: _PRICE
    gpus: Annotated[int, integer(1, 2**24 - 1)]
    min_term: _SECONDS
    max_term: _SECONDS
    notice: _SECONDS
    sla_bps: Bps
    penalty_bps: Annotated[int, integer(0, 2**32 - 1)]
    curtailable_bps: Bps
    watts_per_gpu: Annotated[int, integer(0, 2**16 - 1)]
    pue_bps: Annotated[int, integer(0, 2**16 - 1)]
    reclaim_window: _SECONDS
    compensation_bps: Bps
    bond_per_gpu: Annotated[int, amount(96)]
    model: ShortText


class Gpu(BaseModel):
    """The GPU as its owner declares it; `verified` once a catalogue knows the model, none is consulted yet."""

    model: str
    verified: bool
    memory_gb: int | None
    tdp_watts: int | None


class Listing(BaseModel):
    """Capacity on offer. `price` is that of the next single GPU, null when none is left."""

    listing_id: int
    site_id: int
    site_name: str
    region: str
    asset: Asset
    version: int
    withdrawn: bool
    leased: int
    available_gpus: int
    price: Amount | None
    listed_at: Time
    gpu: Gpu
    terms: Terms


class Quote(BaseModel):
    """Exactly what `open` charges at this block: price a GPU-hour, bounds of the deposit, bond that would be locked."""

    listing_id: int
    version: int
    gpus: int
    term: int
    asset: Asset
    price: Amount
    start: Time
    term_end: Time
    min_deposit: Amount
    max_deposit: Amount
    max_penalty: Amount
    bond: Amount
    bond_free: Amount


class List(PlanRequest):
    """A new listing of a site of the account."""

    site_id: Id32
    terms: TermsIn


class Amend(PlanRequest):
    """New terms of a listing: its next version."""

    terms: TermsIn = Field(description="All of them, changed or not.")
