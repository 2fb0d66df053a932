"""Routes of leases."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import AsOf, Finality, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import LOGS_OF, NotFound, declared
from backend.kit.types import Address, Id32
from backend.leases import repository, service
from backend.leases.schemas import (
    CloseLease,
    CollectLease,
    FundLease,
    Lease,
    LeaseEvent,
    OpenLease,
    ReclaimLease,
    SettleLeases,
    Settlement,
    State,
    TransferLease,
)
from backend.plans.schemas import PlanRequest
from backend.plans.service import PLANNED
from backend.services import Services, reads, writes
from indexer.schema import tables

reading = reads("leases")
writing = writes("leases")
_404 = declared(NotFound)


@reading.get("/leases", response_model=Page[Lease], operation_id="list_leases")
def list_leases(
    services: Services,
    asked: Paging,
    *,
    holder: Annotated[Address | None, Query()] = None,
    opened_by: Annotated[Address | None, Query()] = None,
    site_id: Annotated[Id32 | None, Query()] = None,
    listing_id: Annotated[Id32 | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
) -> Any:
    """Leases in the order of their ids."""
    wanted = repository.Search(holder, opened_by, site_id, listing_id, state)
    with services.mirror.view() as view:
        rows = service.shown(view, repository.page(view, asked, wanted), services.assets)
        return view.page(asked, rows, "lease_id")


@reading.get("/leases/{lease_id}", response_model=One[Lease], responses=_404, operation_id="get_lease")
def get_lease(services: Services, lease_id: Id32, at: AsOf = None) -> Any:
    """One lease, as of any block."""
    with services.mirror.view(at) as view:
        return view.one(service.shown(view, [service.lease(view, lease_id)], services.assets)[0])


@reading.get(
    "/leases/{lease_id}/settlements",
    response_model=Page[Settlement],
    responses=LOGS_OF,
    operation_id="list_lease_settlements",
)
def list_settlements(
    services: Services, asked: Paging, lease_id: Id32, finality: Finality = None, at: AsOf = None
) -> Any:
    """The lease's settlements in the order of the chain, as of any block."""
    table = tables["settlement"]
    with services.mirror.view(at) as view:
        service.lease(view, lease_id)
        return view.logs(table, asked, finality, table.c.lease_id == lease_id)


@reading.get(
    "/leases/{lease_id}/events", response_model=Page[LeaseEvent], responses=LOGS_OF, operation_id="list_lease_events"
)
def list_events(services: Services, asked: Paging, lease_id: Id32, finality: Finality = None, at: AsOf = None) -> Any:
    """The lease's history in the order of the chain, as of any block."""
    table = tables["lease_event"]
    with services.mirror.view(at) as view:
        service.lease(view, lease_id)
        page = view.logs(table, asked, finality, table.c.lease_id == lease_id)
        return {**page, "data": [{**row, "end": row["end_at"]} for row in page["data"]]}


@writing.post("/leases", operation_id="plan_open_lease", **PLANNED)
def plan_open_lease(services: Services, body: OpenLease) -> Response:
    """Plan: open a lease with its deposit in escrow."""
    return services.planner.plan(service.open_lease(services.contracts, services.planner, body))


@writing.post("/leases/settle", operation_id="plan_settle_leases", **PLANNED)
def plan_settle_leases(services: Services, body: SettleLeases) -> Response:
    """Plan: settle a page of leases, failures skipped."""
    return services.planner.plan(service.settle_many(services.contracts, body.lease_ids, body.account))


@writing.post("/leases/{lease_id}/fund", operation_id="plan_fund_lease", **PLANNED)
def plan_fund_lease(services: Services, lease_id: Id32, body: FundLease) -> Response:
    """Plan: add to a lease's deposit, a gift to its holder."""
    return services.planner.plan(service.fund(services.contracts, lease_id, body))


@writing.post("/leases/{lease_id}/close", operation_id="plan_close_lease", **PLANNED)
def plan_close_lease(services: Services, lease_id: Id32, body: CloseLease) -> Response:
    """Plan: close as the holder, after the notice."""
    return services.planner.plan(service.end(services.contracts, "close", lease_id, body.account, body.code))


@writing.post("/leases/{lease_id}/reclaim", operation_id="plan_reclaim_lease", **PLANNED)
def plan_reclaim_lease(services: Services, lease_id: Id32, body: ReclaimLease) -> Response:
    """Plan: take the GPUs back as the site's owner, for a compensation from the bond."""
    return services.planner.plan(service.end(services.contracts, "reclaim", lease_id, body.account, body.code))


@writing.post("/leases/{lease_id}/settle", operation_id="plan_settle_lease", **PLANNED)
def plan_settle_lease(services: Services, lease_id: Id32, body: PlanRequest) -> Response:
    """Plan: settle what the meter holds final, by anyone."""
    return services.planner.plan(service.settle(services.contracts, lease_id, body.account))


@writing.post("/leases/{lease_id}/release", operation_id="plan_release_lease", **PLANNED)
def plan_release_lease(services: Services, lease_id: Id32, body: PlanRequest) -> Response:
    """Plan: free the GPUs of an ended lease, by anyone."""
    return services.planner.plan(service.release(services.contracts, lease_id, body.account))


@writing.post("/leases/{lease_id}/collect", operation_id="plan_collect_lease", **PLANNED)
def plan_collect_lease(services: Services, lease_id: Id32, body: CollectLease) -> Response:
    """Plan: pay the holder what the escrow no longer needs."""
    return services.planner.plan(service.collect(services.contracts, lease_id, body.account, body.to))


@writing.post("/leases/{lease_id}/transfer", operation_id="plan_transfer_lease", **PLANNED)
def plan_transfer_lease(services: Services, lease_id: Id32, body: TransferLease) -> Response:
    """Plan: transfer the lease token."""
    return services.planner.plan(service.transfer(services.contracts, lease_id, body))
