"""The form of a plan."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from backend.kit.problems import Revert
from backend.kit.types import Address, Amount, Time

Approval = Literal["auto", "permit", "approve", "none"]


class PlanRequest(BaseModel):
    """What every request for a plan names."""

    model_config = {"extra": "forbid"}

    account: Address = Field(description="Who will sign.")


class PayingRequest(PlanRequest):
    """A plan that pulls settlement tokens from the account."""

    approval: Approval = Field("auto", description="How to let the contract pull: a permit where the token has it.")


class Transaction(BaseModel):
    """What to sign. `nonce` is a hint; `data` is null while the step has holes."""

    type: Literal[2] = 2
    chain_id: int
    to: Address
    value: Amount
    data: str | None
    nonce: int
    gas: int
    max_fee_per_gas: Amount
    max_priority_fee_per_gas: Amount


class SimulatedEvent(BaseModel):
    """A log that the call would leave."""

    address: str
    contract: str | None
    name: str | None
    args: dict[str, Any]


class Simulation(BaseModel):
    """The outcome on the state of `as_of_block`, after the steps before."""

    status: Literal["success", "reverted", "unknown"]
    gas_used: int | None
    revert: Revert | None
    events: list[SimulatedEvent]


class SignStep(BaseModel):
    """Typed data to sign (EIP-712)."""

    kind: Literal["sign"]
    id: str
    title: str
    typed_data: dict[str, Any]


class SendStep(BaseModel):
    """A transaction to sign and send, and the call that its data encodes."""

    kind: Literal["send"]
    id: str
    title: str
    contract: str = Field(description="Name of the ABI.")
    function: str
    args: dict[str, Any]
    holes: dict[str, str] = Field(description="Argument path to the id of the sign step that fills it.")
    transaction: Transaction
    simulation: Simulation


class Issue(BaseModel):
    """What the caller can mend before or by sending."""

    message: str
    asset: dict[str, Any] | None = None
    needed: Amount | None = None
    available: Amount | None = None
    revert: Revert | None = None


class Issues(BaseModel):
    """Null where there is nothing to mend."""

    allowance: Issue | None
    balance: Issue | None
    eligibility: Issue | None
    gas: Issue | None


class Plan(BaseModel):
    """What to do, in order. Give it back unchanged to `POST /v1/transactions`."""

    id: str
    mac: str
    action: str
    account: Address
    chain_id: int
    as_of_block: int
    as_of_block_hash: str
    expires_at: Time
    simulation: Literal["complete", "partial"]
    issues: Issues
    context: dict[str, Any]
    steps: list[SignStep | SendStep]
