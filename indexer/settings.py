"""The indexer's settings, from the environment; the defaults suit a local Anvil."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is read from ``DRAKEWELL_<FIELD>``; ``database_url`` from ``DATABASE_URL``."""

    model_config = SettingsConfigDict(env_prefix="DRAKEWELL_", extra="ignore", populate_by_name=True, frozen=True)

    database_url: str = Field(
        validation_alias=AliasChoices("DATABASE_URL", "DRAKEWELL_DATABASE_URL", "database_url"),
        description="postgresql://user:password@host:port/name of the primary: a direct connection, no transaction "
        "pooler, because the writer's lock lives in its session",
    )
    rpc_url: str = Field("http://127.0.0.1:8545", description="JSON-RPC endpoint of the node")
    ws_url: str | None = Field(
        None,
        description="WebSocket endpoint for newHeads; unset: rpc_url with ws:// for http://; empty: polling alone",
    )
    deployment: Path = Field(Path("deployments/31337.json"), description="what scripts/deploy.py wrote")
    poll_seconds: float = Field(0.25, gt=0, description="how often the tip is asked for when no newHeads comes")
    batch_logs: int = Field(5_000, ge=1, description="logs that a backfill range aims at: one transaction each")
    max_range: int = Field(2_000, ge=1, description="most blocks in one eth_getLogs")
    rpc_timeout: float = Field(15.0, gt=0, description="seconds until a request to the node is given up")
    rpc_attempts: int = Field(5, ge=1, description="tries of a request that fails in passing, with back-off and jitter")
    lock_seconds: float = Field(10.0, ge=0, description="how long to wait for a dead writer's lock to be freed")
    sweep_blocks: int = Field(256, ge=1, description="every so many blocks the reconciler compares all accounts")

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL as SQLAlchemy names it."""
        return "postgresql+psycopg://" + self.database_url.split("://", 1)[1]

    @property
    def newheads_url(self) -> str | None:
        """Where to subscribe to newHeads; ``None`` for polling alone."""
        if self.ws_url is not None:
            return self.ws_url or None
        parts = urlsplit(self.rpc_url)
        return urlunsplit(parts._replace(scheme={"http": "ws", "https": "wss"}[parts.scheme]))
