"""Routes of listings and quotes."""

from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import AsOf, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import NotFound, declared
from backend.kit.types import Bps, Id32, ShortText, TimeIn, amount, integer
from backend.listings import repository, service
from backend.listings.schemas import Amend, List, Listing, Quote
from backend.plans.schemas import PlanRequest
from backend.plans.service import PLANNED
from backend.services import Services, reads, writes

reading = reads("listings")
writing = writes("listings")
Names = Annotated[list[ShortText], Query(max_length=50)]
Gpus = Annotated[int, integer(1, 2**24 - 1)]
Seconds = Annotated[int, integer(1, 2**32 - 1)]


@reading.get("/listings", response_model=Page[Listing], operation_id="search_listings")
def search_listings(
    services: Services,
    asked: Paging,
    *,
    site_id: Annotated[Id32 | None, Query()] = None,
    gpu_model: Names = [],  # noqa: B006 - FastAPI copies it
    region: Names = [],  # noqa: B006
    price_lte: Annotated[
        Annotated[int, amount(72)] | None, Query(description="Of the next single GPU, base units an hour.")
    ] = None,
    available_gpus_gte: Annotated[Gpus | None, Query()] = None,
    sla_gte: Annotated[Bps | None, Query()] = None,
    from_: Annotated[TimeIn | None, Query(alias="from", description="The window must have begun by then.")] = None,
    until: Annotated[TimeIn | None, Query(description="The window must last until then.")] = None,
    include_withdrawn: Annotated[bool, Query(description="Also what is withdrawn or over.")] = False,
    sort: Annotated[Literal["listing_id", "-listing_id", "price", "-price"], Query()] = "listing_id",
) -> Any:
    """Search the market."""
    wanted = repository.Search(
        site_id,
        gpu_model,
        region,
        price_lte,
        available_gpus_gte,
        sla_gte,
        from_,
        until,
        include_withdrawn,
        sort,
    )
    with services.mirror.view() as view:
        rows = service.shown(view, repository.search(view, asked, wanted), services.assets)
        key = ("next_price", "listing_id") if sort.endswith("price") else ("listing_id",)
        return view.page(asked, rows, *key)


@reading.get(
    "/listings/{listing_id}", response_model=One[Listing], responses=declared(NotFound), operation_id="get_listing"
)
def get_listing(services: Services, listing_id: Id32, at: AsOf = None) -> Any:
    """One listing, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.shown(view, [service.listing(view, listing_id)], services.assets)[0])


@reading.get("/quotes", response_model=One[Quote], responses=declared(NotFound), operation_id="get_quote")
def get_quote(
    services: Services,
    listing_id: Annotated[Id32, Query()],
    gpus: Annotated[Gpus, Query()],
    term: Annotated[Seconds, Query(description="Seconds.")],
) -> Any:
    """What opening a lease costs at the answer's block."""
    with services.mirror.view() as view:
        return view.one(service.quote(view, listing_id, gpus, term, services.assets))


@writing.post("/listings", operation_id="plan_list_capacity", **PLANNED)
def plan_list_capacity(services: Services, body: List) -> Response:
    """Plan: list capacity of a site of the account."""
    return services.planner.plan(service.list_capacity(services.contracts, body))


@writing.post("/listings/{listing_id}/amend", operation_id="plan_amend_listing", **PLANNED)
def plan_amend_listing(services: Services, listing_id: Id32, body: Amend) -> Response:
    """Plan: new terms, which leases opened before do not get."""
    return services.planner.plan(service.amend(services.contracts, listing_id, body))


@writing.post("/listings/{listing_id}/withdraw", operation_id="plan_withdraw_listing", **PLANNED)
def plan_withdraw_listing(services: Services, listing_id: Id32, body: PlanRequest) -> Response:
    """Plan: take a listing off the market; its leases run on."""
    return services.planner.plan(service.withdraw(services.contracts, listing_id, body.account))
