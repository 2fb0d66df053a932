"""Brownie's tests run on our own Anvil, which dies with them, instead of one that Brownie starts."""

import hashlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from brownie import rpc
from brownie._config import CONFIG
from brownie.network.rpc import anvil as anvil_backend
from brownie.test.managers import base

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.chain import anvil

# Brownie reads the modules that a test file imports as text if they lie below the project, its compiled ones too.
base._get_ast_hash = lambda path: hashlib.sha1(Path(path).read_bytes()).hexdigest()
running = ExitStack()


def pytest_configure(config):
    node = running.enter_context(anvil(accounts=20, extra=["--block-base-fee-per-gas", "0"]))  # Brownie pays no fee
    # A network with "cmd" is of the development type; Brownie attaches to what already listens there.
    CONFIG.networks["development"] = {
        "name": "Anvil",
        "id": "development",
        "cmd": "anvil",
        "host": node.url,
        "cmd_settings": {},
    }
    rpc.backend = anvil_backend


def pytest_unconfigure(config):
    running.close()


@pytest.fixture(autouse=True)
def _isolation(fn_isolation):
    """Every test begins on the chain that its module's fixtures made."""


def pytest_sessionfinish(session):
    if os.environ.get("CI") != "true":
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if skips := reporter.stats.get("skipped", []):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for report in skips:
            reporter.write_line(f"a skip is a failure in CI: {report.nodeid}: {report.longrepr}", red=True)
