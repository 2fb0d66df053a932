"""The last file: every custom error that our contracts declare was met by a test of this run, by name."""

from pathlib import Path

import pytest
from kit import errors_declared, errors_met

OURS = ("IdentityRegistry_", "CapacityShare_", "LeaseBook_", "UsageMeter_")
INHERITED = ("ERC7943", "ERC20", "ERC721", "ERC2612", "ECDSA", "ReentrancyGuard", "AccessManagedUnauthorized")
# Inherited errors that no call can reach, each with the reason.
UNREACHABLE = {
    "ERC7943CannotTransfer": "of the standard; one of the narrower errors always fits",
    "ERC20InvalidApprover": "nobody can call as the zero address",
    "ERC20InvalidSender": "nobody can call as the zero address",
    "ERC721InvalidSender": "ids are minted once, counted up",
}


@pytest.fixture(autouse=True)
def _isolation():
    """Nothing here needs the chain."""


def test_every_custom_error_was_met(request):
    files = {Path(item.path).name for item in request.session.items}
    everything = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    if files != everything or request.config.option.keyword:
        pytest.skip(f"only a run of all files of tests/contracts can tell: not {sorted(everything - files)}")
    declared = {entry["name"] for entry in errors_declared().values()}
    wanted = {name for name in declared if name.startswith(OURS + INHERITED)} - UNREACHABLE.keys()
    assert len(wanted) > 60
    assert sorted(wanted - errors_met) == []
    assert sorted(errors_met & UNREACHABLE.keys()) == [], "met after all: take it off the list"
