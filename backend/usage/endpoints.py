"""Routes of usage and reports."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from backend.kit.deps import AsOf, Paging
from backend.kit.pages import One, Page
from backend.kit.problems import NotFound, declared
from backend.kit.types import Id, Id32
from backend.plans.service import PLANNED
from backend.services import Services, reads, writes
from backend.usage import repository, service
from backend.usage.schemas import PostReport, Report, Usage, VoidReport

reading = reads("usage")
writing = writes("usage")
_404 = declared(NotFound)
_KEY = ("report_id", "lease_id")


@reading.get("/leases/{lease_id}/usage", response_model=Page[Usage], responses=_404, operation_id="list_lease_usage")
def list_lease_usage(services: Services, asked: Paging, lease_id: Id32, at: AsOf = None) -> Any:
    """What the meters attested of a lease, report by report, as of any block."""
    with services.mirror.view(at) as view:
        view.need("lease", "lease", lease_id=lease_id)
        return view.page(asked, repository.usage_page(view, asked, "lease_id", lease_id), *_KEY)


@reading.get("/sites/{site_id}/usage", response_model=Page[Usage], responses=_404, operation_id="list_site_usage")
def list_site_usage(services: Services, asked: Paging, site_id: Id32, at: AsOf = None) -> Any:
    """What the meters attested of a site's leases, report by report, as of any block."""
    with services.mirror.view(at) as view:
        view.need("site", "site", site_id=site_id)
        return view.page(asked, repository.usage_page(view, asked, "site_id", site_id), *_KEY)


@reading.get("/reports", response_model=Page[Report], operation_id="list_reports")
def list_reports(services: Services, asked: Paging, site_id: Annotated[Id32 | None, Query()] = None) -> Any:
    """Reports in the order of their ids."""
    with services.mirror.view() as view:
        return view.page(asked, repository.report_page(view, asked, site_id), "report_id")


@reading.get("/reports/{report_id}", response_model=One[Report], responses=_404, operation_id="get_report")
def get_report(services: Services, report_id: Id) -> Any:
    """One report."""
    with services.mirror.view() as view:
        return view.one(view.need("report", "report", report_id=report_id))


@writing.post("/reports", operation_id="plan_post_report", **PLANNED)
def plan_post_report(services: Services, body: PostReport) -> Response:
    """Plan: post a report signed by a quorum of attesters."""
    return services.planner.plan(service.post(services.contracts, body))


@writing.post("/reports/void", operation_id="plan_void_report", **PLANNED)
def plan_void_report(services: Services, body: VoidReport) -> Response:
    """Plan: void a report as a challenger."""
    return services.planner.plan(service.void(services.contracts, body))
