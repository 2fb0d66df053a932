"""Routes of sites and bonds."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import AsOf, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import NotFound, declared
from backend.kit.types import Address, Id32, ShortText
from backend.plans.schemas import PlanRequest
from backend.plans.service import PLANNED
from backend.services import Services, reads, writes
from backend.sites import repository, service
from backend.sites.schemas import Bond, OfferSite, PostBond, RegisterSite, Site, WithdrawBond

reading = reads("sites")
writing = writes("sites")
Owner = Annotated[Address | None, Query()]
Region = Annotated[ShortText | None, Query()]


@reading.get("/sites", response_model=Page[Site], operation_id="list_sites")
def list_sites(
    services: Services, asked: Paging, owner: Owner = None, region: Region = None, token: Owner = None
) -> Any:
    """Sites in the order of their ids."""
    with services.mirror.view() as view:
        rows = repository.page(view, asked, owner, region, token)
        return view.page(asked, [service.shown(row, services.assets) for row in rows], "site_id")


@reading.get("/sites/{site_id}", response_model=One[Site], responses=declared(NotFound), operation_id="get_site")
def get_site(services: Services, site_id: Id32, at: AsOf = None) -> Any:
    """One site, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.shown(service.site(view, site_id), services.assets))


@reading.get("/bonds", response_model=Page[Bond], operation_id="list_bonds")
def list_bonds(services: Services, asked: Paging, owner: Owner = None) -> Any:
    """The bond of each site."""
    with services.mirror.view() as view:
        rows = repository.page(view, asked, owner, None, None)
        return view.page(asked, [service.shown(row, services.assets) for row in rows], "site_id")


@reading.get("/bonds/{site_id}", response_model=One[Bond], responses=declared(NotFound), operation_id="get_bond")
def get_bond(services: Services, site_id: Id32, at: AsOf = None) -> Any:
    """The bond of one site, as of any block."""
    return get_site(services, site_id, at)


@writing.post("/sites", operation_id="plan_register_site", **PLANNED)
def plan_register_site(services: Services, body: RegisterSite) -> Response:
    """Plan: register a site of the account, a valid site owner."""
    return services.planner.plan(service.register(services.contracts, body))


@writing.post("/sites/{site_id}/offer", operation_id="plan_offer_site", **PLANNED)
def plan_offer_site(services: Services, site_id: Id32, body: OfferSite) -> Response:
    """Plan: offer the site to a new owner."""
    return services.planner.plan(service.offer(services.contracts, site_id, body))


@writing.post("/sites/{site_id}/accept", operation_id="plan_accept_site", **PLANNED)
def plan_accept_site(services: Services, site_id: Id32, body: PlanRequest) -> Response:
    """Plan: accept a site that was offered."""
    return services.planner.plan(service.accept(services.contracts, site_id, body.account))


@writing.post("/sites/{site_id}/bond", operation_id="plan_post_bond", **PLANNED)
def plan_post_bond(services: Services, site_id: Id32, body: PostBond) -> Response:
    """Plan: add to the site's bond, by anyone."""
    return services.planner.plan(service.post_bond(services.contracts, site_id, body))


@writing.post("/sites/{site_id}/bond/withdraw", operation_id="plan_withdraw_bond", **PLANNED)
def plan_withdraw_bond(services: Services, site_id: Id32, body: WithdrawBond) -> Response:
    """Plan: take unlocked bond back."""
    return services.planner.plan(service.withdraw_bond(services.contracts, site_id, body))
