"""What an operator sets: `DATABASE_URL`, `DATABASE_READ_URL`, and each other field as `DRAKEWELL_<FIELD>`."""

import secrets
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's configuration."""

    model_config = SettingsConfigDict(env_prefix="DRAKEWELL_", extra="ignore", populate_by_name=True)

    database_url: str = Field(
        validation_alias=AliasChoices("DATABASE_URL", "DRAKEWELL_DATABASE_URL", "database_url"),
        description="PostgreSQL: the primary, for writes and for reads of `desk`.",
    )
    database_read_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_READ_URL", "DRAKEWELL_DATABASE_READ_URL", "database_read_url"),
        description="A replica for reads of `mirror`; the primary without one.",
    )
    rpc_url: str = Field("http://127.0.0.1:8545", description="The node: to plan, to submit, and for the head.")
    deployment: Path = Field(Path("deployments/31337.json"), description="What scripts/deploy.py wrote.")
    plan_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)),
        description="Key of the plans' MAC; the same in every process that serves one address. Random without one.",
    )
    plan_seconds: int = Field(900, ge=30, le=86_400, description="How long a plan is good, in the chain's time.")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    pool_size: int = Field(8, ge=1, le=100, description="Database connections to each server.")
    limit_reads: str = Field("500/second", description="Reads from one client address.")
    limit_writes: str = Field("100/second", description="Plans and submissions from one client address.")
    node_seconds: float = Field(10.0, gt=0, description="How long to wait for the node.")
    ready_lag_blocks: int = Field(50, ge=0, description="/readyz is red when the mirror is further behind.")
    min_block_seconds: float = Field(5.0, ge=0, description="How long ?min_block= waits.")
    log_level: str = "INFO"

    @property
    def primary(self) -> str:
        """The primary as SQLAlchemy names it."""
        return _sqlalchemy(self.database_url)

    @property
    def replica(self) -> str:
        """Where reads of `mirror` go, as SQLAlchemy names it."""
        return _sqlalchemy(self.database_read_url or self.database_url)


def _sqlalchemy(url: str) -> str:
    return "postgresql+psycopg://" + url.split("://", 1)[1]
