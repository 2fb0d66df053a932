"""What the API shows of an account."""

from typing import Literal

from pydantic import BaseModel

from backend.kit.types import Address, Amount, Time
from backend.leases.schemas import Lease
from backend.mirror.assets import Asset
from backend.shares.schemas import Holding
from backend.sites.schemas import Site

Role = Literal["investor", "site_owner", "attester", "custodian"]


class Credit(BaseModel):
    """What the LeaseBook owes the account, to be withdrawn."""

    asset: Asset
    amount: Amount


class Totals(BaseModel):
    """Base units of one token that the account could have paid to itself now."""

    asset: Asset
    claimable: Amount
    collectable: Amount
    credits: Amount


class Portfolio(BaseModel):
    """All that an account has here."""

    account: Address
    sites: list[Site]
    leases: list[Lease]
    shares: list[Holding]
    credits: list[Credit]
    totals: list[Totals]


class Can(BaseModel):
    """What the registry lets the account do."""

    receive_shares: bool
    send_shares: bool
    register_sites: bool
    attest: bool
    rent: bool


class Eligibility(BaseModel):
    """What an account may do, and why not."""

    account: Address
    registered: bool
    frozen: bool
    valid_until: Time | None
    country: int | None
    roles: list[Role]
    can: Can
    reasons: list[str]
