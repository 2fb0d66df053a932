"""Bringing a database to the schema that this code expects, and telling whether it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from indexer.errors import SettingsError

FOLDER = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x4472616B65  # one migration at a time in a database


def head() -> str:
    """Return the newest revision of the history; revisions are numbered by their file names."""
    return max(path.name.split("_", 1)[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))


def upgrade(sqlalchemy_url: str) -> str:
    """Run the migrations that the database lacks, in one transaction, and return its revision."""
    # Alembic and SQLAlchemy take a second to import, which only this command has.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, func, select
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    engine = create_engine(sqlalchemy_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def revision(connection: psycopg.Connection[Any]) -> str:
    """Return the database's revision; empty if it was never migrated."""
    try:
        row = connection.execute("SELECT version_num FROM desk.alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        row = None
    return row[0] if row else ""


def ensure(database_url: str, sqlalchemy_url: str) -> None:
    """Migrate a database that lacks something.

    Raises:
        SettingsError: it is at a later revision than this code knows.
    """
    with psycopg.connect(database_url) as connection:
        found = revision(connection)
    if found > head():
        raise SettingsError(f"the database is at revision {found}, this code knows none after {head()}: update it")
    if found < head():
        upgrade(sqlalchemy_url)
