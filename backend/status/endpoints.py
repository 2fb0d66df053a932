"""Routes of the service itself."""

from typing import Any

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from backend.kit.deps import known_parameters
from backend.kit.pages import One
from backend.kit.problems import NotReady, UnknownParameter, declared
from backend.services import Services, reads
from backend.status import service
from backend.status.schemas import Health, Status

reading = reads("status")
plain = APIRouter(tags=["status"], dependencies=[Depends(known_parameters)], responses=declared(UnknownParameter))


@reading.get("/status", response_model=One[Status], operation_id="get_status")
def get_status(services: Services) -> Any:
    """Where chain, mirror and reconciler stand."""
    with services.mirror.view() as view:
        return view.one(service.status(services, view))


@plain.get("/healthz", response_model=Health, operation_id="get_health")
async def get_health() -> Any:
    """The process lives."""
    return {"status": "ok"}


@plain.get("/readyz", response_model=Health, responses=declared(NotReady), operation_id="get_readiness")
def get_readiness(services: Services) -> Any:
    """Whether answers are truthful now: database, migrations, chain id, lag, no halt."""
    service.check_ready(services)
    return {"status": "ready"}


@plain.get("/metrics", response_class=PlainTextResponse, operation_id="get_metrics")
def get_metrics(services: Services) -> Response:
    """Prometheus metrics."""
    service.gauges(services)
    return Response(services.metrics.page(), media_type=CONTENT_TYPE_LATEST)
