"""Routes of accounts."""

from typing import Any

from backend.accounts import service
from backend.accounts.schemas import Eligibility, Portfolio
from backend.kit.deps import AsOf
from backend.kit.pages import One
from backend.kit.types import Address
from backend.services import Services, reads

reading = reads("accounts")


@reading.get("/accounts/{account}/portfolio", response_model=One[Portfolio], operation_id="get_portfolio")
def get_portfolio(services: Services, account: Address, at: AsOf = None) -> Any:
    """All that an account has, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.portfolio(view, account, services.assets))


@reading.get("/accounts/{account}/eligibility", response_model=One[Eligibility], operation_id="get_eligibility")
def get_eligibility(services: Services, account: Address) -> Any:
    """What an account may do, and how to mend what it may not."""
    with services.mirror.view() as view:
        return view.one(service.eligibility(view, account))
