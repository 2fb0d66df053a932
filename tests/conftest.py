"""What every suite but the contracts' shares: servers that are thrown away, and no silent skips in CI."""

import os
from collections.abc import Iterator

import pytest

from scripts.launch import Node, Postgres, anvil, postgres

# Brownie's plugin would take over a run that can see its tests; they have their own pytest.ini.
collect_ignore = ["contracts"]

# The only reason for which a test may be skipped in CI: the data folder lies outside the checkout.
ALLOWED_SKIP = "data folder"


@pytest.fixture(scope="session")
def pg() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with postgres() as server:
        yield server


@pytest.fixture
def database(pg: Postgres) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    url = pg.new_database()
    yield url
    pg.drop_database(url.rsplit("/", 1)[1])


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A fresh chain for the test module; it mines each transaction at once."""
    with anvil() as chain:
        yield chain


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("CI") != "true":
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skips = [report for report in reporter.stats.get("skipped", []) if ALLOWED_SKIP not in str(report.longrepr)]
    if skips:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for report in skips:
            reporter.write_line(f"a skip is a failure in CI: {report.nodeid}: {report.longrepr}", red=True)
