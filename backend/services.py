"""What the endpoints stand on: made once for an application, handed to each endpoint that declares `Services`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from backend.chain.contracts import Contracts
from backend.kit.deps import known_parameters
from backend.kit.metrics import Metrics
from backend.kit.problems import PLANNING, READING
from backend.kit.types import BlockNumber
from backend.mirror.assets import Assets
from backend.mirror.service import Mirror
from backend.plans.service import Planner
from backend.settings import Settings


@dataclass(frozen=True)
class Held:
    """The parts of the service."""

    settings: Settings
    mirror: Mirror
    contracts: Contracts
    planner: Planner
    assets: Assets
    metrics: Metrics


async def _held(request: Request) -> Held:
    held: Held = request.app.state.held
    return held


Services = Annotated[Held, Depends(_held)]


async def _reached(
    services: Services,
    min_block: Annotated[BlockNumber | None, Query(description="Wait until the mirror has this block.")] = None,
) -> None:
    if min_block is not None:
        await services.mirror.wait(min_block)


def reads(tag: str) -> APIRouter:
    """Return a router of reads under `/v1`."""
    return APIRouter(
        prefix="/v1", tags=[tag], dependencies=[Depends(known_parameters), Depends(_reached)], responses=READING
    )


def writes(tag: str) -> APIRouter:
    """Return a router of what plans or submits under `/v1`."""
    return APIRouter(prefix="/v1", tags=[tag], dependencies=[Depends(known_parameters)], responses=PLANNING)
