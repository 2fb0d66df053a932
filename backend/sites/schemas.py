"""Sites and bonds as the API shows them."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.kit.types import Address, Amount, Recipient, ShortText, Time, amount, integer, text
from backend.mirror.assets import Asset
from backend.plans.schemas import PayingRequest, PlanRequest


class Site(BaseModel):
    """A data centre. `revenue_bps` is the part of its rent that goes to share holders."""

    site_id: int
    owner: Address
    pending_owner: Address | None
    asset: Asset
    gpus: int
    region: str
    name: str
    share: Address | None
    revenue_bps: int
    bond: Amount
    locked_bond: Amount
    free_bond: Amount
    pending_shares: Amount
    registered_at: Time


class Bond(BaseModel):
    """What a site's owner has staked, and how much of it stands behind leases."""

    site_id: int
    owner: Address
    asset: Asset
    bond: Amount
    locked_bond: Amount
    free_bond: Amount


class RegisterSite(PlanRequest):
    """A new site of the account."""

    token: Recipient = Field(description="Settlement token.")
    gpus: Annotated[int, integer(1, 2**32 - 1)]
    region: ShortText
    name: Annotated[str, text(1, 128)]


class OfferSite(PlanRequest):
    """The first step of a hand-over."""

    new_owner: Address = Field(description="Zero takes an offer back.")


class PostBond(PayingRequest):
    """Base units to stake."""

    amount: Annotated[int, amount(128, least=1)]


class WithdrawBond(PlanRequest):
    """Base units of free bond to take back."""

    amount: Annotated[int, amount(128, least=1)]
    to: Recipient | None = Field(None, description="The account without one.")
