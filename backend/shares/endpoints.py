"""Routes of shares."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import AsOf, Finality, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import LOGS_OF, NotFound, declared
from backend.kit.types import Address, Id32
from backend.plans.schemas import PlanRequest
from backend.plans.service import PLANNED
from backend.services import Services, reads, writes
from backend.shares import repository, service
from backend.shares.schemas import (
    Claim,
    ClaimFor,
    Distribute,
    Distribution,
    Holding,
    IssueShares,
    Offering,
    Source,
    TransferShares,
)
from indexer.schema import tables

reading = reads("shares")
writing = writes("shares")
_404 = declared(NotFound)


@reading.get("/shares", response_model=Page[Offering], operation_id="list_offerings")
def list_offerings(services: Services, asked: Paging) -> Any:
    """Offerings in the order of their sites."""
    with services.mirror.view() as view:
        rows = [service.shown(view, row, services.assets) for row in repository.offering_page(view, asked)]
        return view.page(asked, rows, "site_id")


@reading.get("/shares/{site_id}", response_model=One[Offering], responses=_404, operation_id="get_offering")
def get_offering(services: Services, site_id: Id32, at: AsOf = None) -> Any:
    """The shares of one site, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.shown(view, service.offering(view, site_id), services.assets))


@reading.get("/shares/{site_id}/holders", response_model=Page[Holding], responses=_404, operation_id="list_holders")
def list_holders(services: Services, asked: Paging, site_id: Id32) -> Any:
    """Who holds a site's shares, and what each may claim."""
    with services.mirror.view() as view:
        of = service.offering(view, site_id)
        rows = repository.holding_page(view, asked, of["share"])
        return view.page(asked, service.held(view, rows, {of["share"]: of}, services.assets), "account_id")


@reading.get(
    "/shares/{site_id}/holders/{account}", response_model=One[Holding], responses=_404, operation_id="get_holder"
)
def get_holder(services: Services, site_id: Id32, account: Address, at: AsOf = None) -> Any:
    """What one account holds of a site's shares, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.holder(view, site_id, account, services.assets))


@reading.get(
    "/shares/{site_id}/distributions",
    response_model=Page[Distribution],
    responses=LOGS_OF,
    operation_id="list_distributions",
)
def list_distributions(
    services: Services,
    asked: Paging,
    *,
    site_id: Id32,
    source: Annotated[Source | None, Query()] = None,
    finality: Finality = None,
    at: AsOf = None,
) -> Any:
    """Revenue that came to a site's shares, in the order of the chain, as of any block."""
    table = tables["distribution"]
    with services.mirror.view(at) as view:
        of = service.offering(view, site_id)
        wanted = [view.equal(table, "share", of["share"])]
        if source is not None:
            wanted.append(table.c.source == source)
        page = view.logs(table, asked, finality, *wanted)
        asset = services.assets.of(of["token"])
        return {**page, "data": [{**row, "asset": asset} for row in page["data"]]}


@writing.post("/sites/{site_id}/shares", operation_id="plan_issue_shares", **PLANNED)
def plan_issue_shares(services: Services, site_id: Id32, body: IssueShares) -> Response:
    """Plan: issue the shares of a site of the account."""
    return services.planner.plan(service.issue(services.contracts, site_id, body))


@writing.post("/sites/{site_id}/shares/push", operation_id="plan_push_shares", **PLANNED)
def plan_push_shares(services: Services, site_id: Id32, body: PlanRequest) -> Response:
    """Plan: send a part that the clone had refused again, by anyone."""
    return services.planner.plan(service.push(services.contracts, site_id, body.account))


@writing.post("/shares/{site_id}/distribute", operation_id="plan_distribute", **PLANNED)
def plan_distribute(services: Services, site_id: Id32, body: Distribute) -> Response:
    """Plan: pay revenue to the holders, by anyone."""
    return services.planner.plan(service.distribute(services.contracts, site_id, body))


@writing.post("/shares/{site_id}/claim", operation_id="plan_claim", **PLANNED)
def plan_claim(services: Services, site_id: Id32, body: Claim) -> Response:
    """Plan: claim what the account has earned."""
    return services.planner.plan(service.claim(services.contracts, site_id, body))


@writing.post("/shares/{site_id}/claim-for", operation_id="plan_claim_for", **PLANNED)
def plan_claim_for(services: Services, site_id: Id32, body: ClaimFor) -> Response:
    """Plan: have a holder paid, by anyone."""
    return services.planner.plan(service.claim_for(services.contracts, site_id, body))


@writing.post("/shares/{site_id}/transfer", operation_id="plan_transfer_shares", **PLANNED)
def plan_transfer_shares(services: Services, site_id: Id32, body: TransferShares) -> Response:
    """Plan: transfer shares to another eligible account."""
    return services.planner.plan(service.transfer(services.contracts, site_id, body))
