"""The rules of the house, held by reading the source: who imports whom, no float near money, queries in their place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Each room and what of ours it may import.
FLOW = {
    "contracts": set(),
    "indexer": {"contracts"},
    "backend": {"contracts", "indexer"},
    "drakewell": {"contracts"},
}
ROOMS = {*FLOW, "scripts", "tests"}
DOMAINS = ("sites", "listings", "leases", "usage", "shares", "payouts", "accounts", "ledger", "transactions", "status")
#: The public side of a domain. A domain's rows may be read by the one that shows an account's whole portfolio.
PUBLIC = {"service", "schemas"}
ALLOWED = {("accounts", "shares", "repository")}


def files(room: str) -> Iterator[Path]:
    return (path for path in (ROOT / room).rglob("*.py") if "migrations" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


@pytest.mark.parametrize("room", FLOW)
def test_imports_follow_the_flow(room: str) -> None:
    for path in files(room):
        for name in imports(path):
            top = name.split(".")[0]
            assert top not in ROOMS - {room} - FLOW[room], f"{path} imports {name}"


def test_the_indexer_starts_without_the_heavy_libraries() -> None:
    for path in files("indexer"):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"fastapi", "web3"}, path


def test_domains_meet_by_their_public_side() -> None:
    for domain in DOMAINS:
        for path in (ROOT / "backend" / domain).glob("*.py"):
            for name in imports(path):
                parts = name.split(".")
                if parts[0] != "backend" or len(parts) < 3 or parts[1] not in DOMAINS or parts[1] == domain:
                    continue
                assert parts[2] in PUBLIC or (domain, parts[1], parts[2]) in ALLOWED, f"{path} imports {name}"


def test_kit_knows_no_domain() -> None:
    for path in (ROOT / "backend/kit").glob("*.py"):
        for name in imports(path):
            assert not name.startswith("backend.") or name.startswith("backend.kit"), f"{path} imports {name}"


#: Where seconds are floats; amounts never come here.
DURATIONS = ("backend/kit/*.py", "backend/status/*.py", "backend/settings.py", "backend/chain/node.py")


def test_no_float_near_money() -> None:
    timed = {path for pattern in DURATIONS for path in ROOT.glob(pattern)} | {ROOT / "backend/mirror/service.py"}
    for path in set(files("backend")) - timed:
        for node in ast.walk(ast.parse(path.read_text())):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            named = isinstance(node, ast.Name) and node.id == "float"
            assert not any((literal, division, named)), f"{path}:{node.lineno}"


def test_queries_are_made_in_repositories() -> None:
    homes = {"repository.py", "view.py"}
    for path in files("backend"):
        if path.name in homes or path.parent.name in {"kit", "mirror"}:
            continue
        assert not any(name.split(".")[0] == "sqlalchemy" for name in imports(path)), path
