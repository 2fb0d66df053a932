"""The application: parts made from the settings, routers of each domain, one OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend import __version__
from backend.accounts import endpoints as accounts
from backend.chain.contracts import Contracts
from backend.chain.deployment import Deployment
from backend.chain.node import Node
from backend.kit import problems
from backend.kit.database import Database
from backend.kit.http import Envelope
from backend.kit.limits import Limits
from backend.kit.metrics import Metrics
from backend.leases import endpoints as leases
from backend.ledger import endpoints as ledger
from backend.listings import endpoints as listings
from backend.mirror.assets import Assets
from backend.mirror.service import Mirror
from backend.payouts import endpoints as payouts
from backend.plans.service import Planner
from backend.services import Held
from backend.settings import Settings
from backend.shares import endpoints as shares
from backend.sites import endpoints as sites
from backend.status import endpoints as status
from backend.transactions import endpoints as transactions
from backend.usage import endpoints as usage

DOMAINS = (sites, listings, leases, usage, shares, payouts, accounts, ledger, transactions)
DESCRIPTION = """A ledger and marketplace for GPU capacity on chain.

Amounts are decimal strings of base units beside their `asset`; times RFC 3339 in UTC by the chain's clock; addresses
EIP-55. Every answer's `meta` names the block that it is true of. Errors are RFC 9457 problem documents with a stable
`code`. Writes are plans: a `POST` answers with what to sign, and `POST /v1/transactions` takes the plan back with the
signed bytes. No key ever reaches the server."""


def create_app(settings: Settings) -> FastAPI:
    """Return the service for one chain.

    Raises:
        indexer.errors.SettingsError: there is no deployments file.
    """
    metrics = Metrics()
    deployment = Deployment(settings.deployment)
    node = Node(settings.rpc_url, settings.node_seconds, metrics)
    contracts = Contracts(node, deployment)
    database = Database(settings.primary, settings.replica, settings.pool_size)
    held = Held(
        settings=settings,
        mirror=Mirror(database, deployment.chain_id, settings.min_block_seconds),
        contracts=contracts,
        planner=Planner(contracts, settings.plan_secret.get_secret_value().encode(), settings.plan_seconds),
        assets=Assets(contracts),
        metrics=metrics,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        node.close()
        database.close()

    app = FastAPI(
        title="Drakewell",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.held = held
    problems.install(app)
    app.add_middleware(Envelope, limits=Limits(settings.limit_reads, settings.limit_writes), metrics=metrics)
    for domain in DOMAINS:
        # Plans first: `/leases/settle` is not the lease of that name.
        for router in (getattr(domain, "writing", None), domain.reading):
            if router is not None:
                app.include_router(router)
    app.include_router(status.reading)
    app.include_router(status.plain)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, its errors as problem documents only."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = problems.ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas["ProblemDocument"] = problem
        for path in document["paths"].values():
            for operation in path.values():
                answer = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(answer):
                    del operation["responses"]["422"]
        app.openapi_schema = document
    return app.openapi_schema
