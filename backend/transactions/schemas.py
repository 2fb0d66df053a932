"""Submissions and tracked transactions."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from backend.kit.problems import Revert
from backend.kit.types import Address, Amount, Hash, Time, hex_bytes, text

State = Literal["submitted", "included", "safe", "finalized", "reverted", "replaced", "dropped", "unknown"]
RAW_BYTES = 128 * 1024


class Submission(BaseModel):
    """A signed step of a plan; or the hash of a transaction that its sender has broadcast."""

    model_config = {"extra": "forbid"}

    plan: dict[str, Any] | None = Field(None, description="The plan, unchanged.")
    step_id: Annotated[str, text(1, 32)] | None = None
    raw_transaction: Annotated[str, hex_bytes(1, RAW_BYTES)] | None = None
    hash: Hash | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Submission":
        if (self.raw_transaction is None) == (self.hash is None):
            raise ValueError("give either raw_transaction or hash")
        if (self.plan is None) != (self.step_id is None):
            raise ValueError("give plan and step_id together")
        if self.raw_transaction is not None and self.plan is None:
            raise ValueError("a raw_transaction comes with its plan and step_id")
        return self


class Event(BaseModel):
    """A decoded log; `name` is null for one that none of our ABIs knows."""

    log_index: int
    address: Address
    contract: str | None
    name: str | None
    args: dict[str, Any]


class Resource(BaseModel):
    """What the transaction made, and where it is read."""

    type: Literal["site", "listing", "lease", "offering", "report"]
    id: int
    href: str


class Tracked(BaseModel):
    """A transaction as the node knows it now. `submitted_at` is the wall's clock, `time` the block's."""

    hash: str
    status: State
    account: Address
    to: Address | None
    nonce: int
    action: str | None
    plan_id: str | None
    submitted_at: datetime | None
    block_number: int | None
    block_hash: str | None
    time: Time | None
    gas_used: int | None
    effective_gas_price: Amount | None
    revert: Revert | None
    replaced_by: str | None
    events: list[Event]
    resource: Resource | None
