"""A market on a chain of its own and an empty, migrated database for each test."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from indexer import migrate, schema
from indexer.follow import Follower
from indexer.rpc import open_node
from indexer.settings import Settings
from indexer.store import connect
from indexer.verify import verify
from scripts.launch import Postgres, anvil
from scripts.launch import sqlalchemy_url as sqlalchemy
from tests.indexer.market import Market

#: Time limits are for an idle machine of two cores; a busy one is given this much more.
SLOWNESS = float(os.environ.get("DRAKEWELL_SLOWNESS", "3"))
ALL_TABLES = frozenset(table.name for table in schema.mirror_tables)


@pytest.fixture(scope="session")
def template(pg: Postgres) -> str:
    """The name of a migrated database: copying it takes 50 ms, migrating another a second."""
    name = f"drakewell_template_{os.getpid()}"
    migrate.upgrade(sqlalchemy(pg.new_database(name)))
    return name


@pytest.fixture
def database(pg: Postgres, template: str) -> Iterator[str]:
    name = f"{template}_copy"
    with psycopg.connect(pg.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield pg.url.rsplit("/", 1)[0] + f"/{name}"
    pg.drop_database(name)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with anvil(accounts=10) as node:
        yield Market(node, tmp_path_factory.mktemp("deployment"))


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    """The deployment with nothing in it yet; the chain goes back there after the test."""
    snapshot = deployed.node.rpc("evm_snapshot")
    yield deployed
    assert deployed.node.rpc("evm_revert", snapshot)


@pytest.fixture
def settings(market: Market, database: str) -> Settings:
    return Settings(database_url=database, rpc_url=market.node.url, deployment=market.file, ws_url="", rpc_attempts=2)


@contextmanager
def following(settings: Settings) -> Iterator[Follower]:
    """A follower in this process that has the lock and has begun; `catch_up` brings it to the tip."""
    with open_node(settings) as node, open_node(settings) as ahead, connect(settings.database_url) as connection:
        follower = Follower(settings, connection, node, ahead)
        follower.desk.take_lock(5)
        follower.desk.check_halted()
        follower.begin()
        yield follower


def to_tip(follower: Follower, steps: int = 50) -> None:
    """Step until the mirror is at the node's tip."""
    for _ in range(steps):
        if follower.step():
            return
    raise AssertionError(f"not at the tip after {steps} steps")


def follow_once(settings: Settings) -> None:
    with following(settings) as follower:
        to_tip(follower)


def faults(settings: Settings, *, strict: bool = False) -> list[str]:
    """What `verify` finds wrong: the mirror against its raw logs, the node and contract storage."""
    return verify(settings, frozenset() if strict else ALL_TABLES, lambda line: None)


def rows(settings: Settings, statement: str):
    """Query the database."""
    with psycopg.connect(settings.database_url) as connection:
        return connection.execute(statement).fetchall()


@contextmanager
def process(settings: Settings, *options: str, wait: bool = True) -> Iterator[subprocess.Popen[str]]:
    """`python -m indexer follow` until the block ends, once it has said that it is ready."""
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "DRAKEWELL_RPC_URL": settings.rpc_url,
        "DRAKEWELL_DEPLOYMENT": str(settings.deployment),
    }
    command = [sys.executable, "-m", "indexer", "follow", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            if wait:
                assert running.stdout is not None
                assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def await_block(settings: Settings, number: int, seconds: float = 20) -> None:
    """Return once the mirror has a block."""
    deadline = time.monotonic() + seconds
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        while connection.execute("SELECT max(block_number) FROM mirror.cursor").fetchone()[0] < number:
            assert time.monotonic() < deadline, f"block {number} did not come"
            time.sleep(0.005)
