"""Routes of transactions."""

from typing import Any

from backend.kit.pages import One
from backend.kit.problems import (
    NodeUnavailable,
    NotFound,
    NotReady,
    PlanExpired,
    PlanInvalid,
    PlanMismatch,
    RefusedByNode,
    declared,
)
from backend.kit.types import Hash
from backend.services import Services, reads, writes
from backend.transactions import service
from backend.transactions.schemas import Submission, Tracked

reading = reads("transactions")
writing = writes("transactions")


@reading.get(
    "/transactions/{tx_hash}",
    response_model=One[Tracked],
    responses=declared(NotFound, NodeUnavailable),
    operation_id="get_transaction",
)
def get_transaction(services: Services, tx_hash: Hash) -> Any:
    """How far a transaction is, with its decoded events and the resource that it made."""
    with services.mirror.view() as view:
        meta = view.one(None)["meta"]
    return {"data": service.track(services, tx_hash), "meta": meta}


@writing.post(
    "/transactions",
    status_code=202,
    response_model=One[Tracked],
    responses=declared(PlanInvalid, PlanMismatch, PlanExpired, RefusedByNode, NotReady),
    operation_id="submit_transaction",
)
def submit_transaction(services: Services, body: Submission) -> Any:
    """Submit a signed step of a plan, or the hash of one that was broadcast already."""
    tracked = service.submit(services, body)
    with services.mirror.view() as view:
        return view.one(tracked)
