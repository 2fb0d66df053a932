"""Usage as the API shows it, and reports as it takes them."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.kit.types import Address, Hash, Id32, Time, hex_bytes, integer
from backend.plans.schemas import PlanRequest

_U32 = Annotated[int, integer(0, 2**32 - 1)]
_U64 = Annotated[int, integer(0, 2**63 - 1)]
Signature = Annotated[str, hex_bytes(65, 65)]


class Usage(BaseModel):
    """What one report added to one lease: GPU-seconds and watt-hours over the hours `(from_epoch, to_epoch]`."""

    lease_id: int
    report_id: int
    from_epoch: int
    to_epoch: int
    round: int
    available: int
    busy: int
    curtailed: int
    watt_hours: int
    due: int
    posted_at: Time
    voided: bool


class Report(BaseModel):
    """A batch of entries for a site, and the root of the samples behind them."""

    report_id: int
    site_id: int
    samples_root: str
    submitter: Address
    posted_at: Time
    tx_hash: str


class EntryIn(BaseModel):
    """What a report adds to one lease; see `IUsageMeter.Entry`."""

    model_config = {"extra": "forbid"}

    lease_id: Id32
    from_epoch: _U32
    to_epoch: _U32
    round: _U32
    available: _U64
    busy: _U64
    curtailed: _U64
    watt_hours: _U64


class ReportIn(BaseModel):
    """What attesters signed (EIP-712)."""

    model_config = {"extra": "forbid"}

    site_id: Id32
    samples_root: Hash
    entries: Annotated[list[EntryIn], Field(min_length=1, max_length=100)]


class PostReport(PlanRequest):
    """A report with its signatures, signers ascending; by anyone."""

    report: ReportIn
    signatures: Annotated[list[Signature], Field(min_length=1, max_length=32)]


class VoidReport(PlanRequest):
    """The report of a lease that starts at `from_epoch`, and the later ones."""

    lease_id: Id32
    from_epoch: _U32
