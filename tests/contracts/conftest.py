"""Brownie's tests run on our own Anvil, which dies with them, instead of one that Brownie starts.

Its clock stands still but for the tests' own steps (`kit.to`), so that every amount can be compared to the unit.
"""

import gc
import hashlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import kit
import market as drakewell
import pytest
from brownie import accounts, rpc
from brownie._config import CONFIG
from brownie.network.account import Account
from brownie.network.rpc import anvil as anvil_backend
from brownie.test.managers import base

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.chain import anvil

# Brownie reads the modules that a test file imports as text if they lie below the project, its compiled ones too.
base._get_ast_hash = lambda path: hashlib.sha1(Path(path).read_bytes()).hexdigest()
_transact = Account._transact
running = ExitStack()
# Who plays what: Anvil's accounts, in this order.
PEOPLE = (
    "admin officer guardian challenger policy enforcer owner tenant buyer alice bob carol dave stranger"
    " other_owner book"
).split()


def transact(self, tx, allow_revert):
    """Send, and wait until the receipt is there: Brownie takes a counted nonce without a receipt for a dropped one."""
    sent = _transact(self, tx, allow_revert)
    kit.receipt_of(sent.to_0x_hex())
    return sent


Account._transact = transact


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


def pytest_collection_finish(session):
    gc.freeze()  # Brownie collects garbage at every snapshot, 0.2 s over all that is loaded by now


def pytest_unconfigure(config):
    running.close()


@pytest.fixture(autouse=True)
def _isolation(fn_isolation):
    """Every test begins on the chain that its module's fixtures made."""


@pytest.fixture(scope="module")
def people(module_isolation):
    kit.freeze_clock()
    kit.next_hour()
    return SimpleNamespace(**dict(zip(PEOPLE, accounts, strict=False)))


@pytest.fixture(scope="module")
def manager(Authority, IdentityRegistry, people):
    return Authority.deploy(people.admin, {"from": people.admin})


@pytest.fixture(scope="module")
def registry(IdentityRegistry, manager, people):
    """The registry with its roles granted: an owner and two investors, alice and bob, of parties 1, 11 and 12."""
    made = IdentityRegistry.deploy(manager, {"from": people.admin})
    open_role(manager, people, made, 1, people.officer, "register", "registerMany", "setFrozen")
    open_role(manager, people, made, 2, people.guardian, "setEntriesPaused")
    until = kit.now() + 1000 * kit.DAY
    made.registerMany(
        [people.owner, people.alice, people.bob],
        [
            (until, 276, kit.SITE_OWNER | kit.INVESTOR, 1),
            (until, 840, kit.INVESTOR, 11),
            (until, 702, kit.INVESTOR, 12),
        ],
        {"from": people.officer},
    )
    return made


@pytest.fixture(scope="module")
def usd(TestUSD, people):
    """A dollar of which everybody has ten million."""
    token = TestUSD.deploy({"from": people.admin})
    for person in vars(people).values():
        token.mint(person, 10**7 * kit.USD, {"from": people.admin})
    return token


@pytest.fixture(scope="module")
def market(LeaseBook, UsageMeter, ListingLib, CapacityShare, manager, registry, usd, people):
    """LeaseBook and UsageMeter with all roles granted; the dollar allowed; tenant, buyer and owner have approved it."""
    ListingLib.deploy({"from": people.admin})
    meter_at = people.admin.get_deployment_address(people.admin.nonce + 1)
    book = LeaseBook.deploy(manager, registry, meter_at, drakewell.FEE_BPS, {"from": people.admin})
    meter = UsageMeter.deploy(
        manager, registry, book, drakewell.QUORUM, drakewell.WINDOW, drakewell.GRACE, {"from": people.admin}
    )
    assert meter.address == meter_at
    open_role(manager, people, book, 2, people.guardian, "setEntriesPaused")
    open_role(manager, people, book, 4, people.policy, "setFee", "setTokenAllowed", "withdrawFees")
    open_role(manager, people, meter, 3, people.challenger, "void")
    enforced = [s for s, n in CapacityShare.selectors.items() if n in ("forcedTransfer", "setFrozenTokens")]
    manager.grantRole(5, people.enforcer, 0, {"from": people.admin})
    manager.setTargetFunctionRole(book, enforced, 5, {"from": people.admin})
    book.setTokenAllowed(usd, True, {"from": people.policy})
    until = kit.now() + 1000 * kit.DAY
    registry.registerMany(
        [people.other_owner, *(a.address for a in drakewell.ATTESTERS)],
        [
            (until, 276, kit.SITE_OWNER, 2),
            *((until, 756, kit.ATTESTER, 50 + n) for n, _ in enumerate(drakewell.ATTESTERS)),
        ],
        {"from": people.officer},
    )
    for person in (people.owner, people.tenant, people.buyer, people.other_owner):
        usd.approve(book, 2**255, {"from": person})
    return drakewell.Market(manager, registry, usd, book, meter, people, CapacityShare.abi)


def open_role(manager, people, target, role, holder, *functions):
    """Grant ``role`` to ``holder`` and open those functions of ``target`` to it."""
    selectors = [selector for selector, name in target.selectors.items() if name in functions]
    assert len(selectors) >= len(functions), functions
    manager.grantRole(role, holder, 0, {"from": people.admin})
    manager.setTargetFunctionRole(target, selectors, role, {"from": people.admin})


def pytest_sessionfinish(session):
    if os.environ.get("CI") != "true":
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if skips := reporter.stats.get("skipped", []):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for report in skips:
            reporter.write_line(f"a skip is a failure in CI: {report.nodeid}: {report.longrepr}", red=True)
