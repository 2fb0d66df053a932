"""The demo, once: its outcome as data, every figure of a settlement computed again from its inputs."""

import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.processes import CHECKOUT
from scripts.story import cast

MARK = "DRAKEWELL_E2E_RUN"
DATA = Path(os.environ.get("DRAKEWELL_DATA") or CHECKOUT.parent / "shared/data")


@dataclass
class Run:
    outcome: dict[str, Any]
    printed: str
    seconds: float
    left: list[str]


def processes(mark: str) -> list[str]:
    """Return the command lines of all processes that were started with the mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("demo") / "outcome.json"
    command = [sys.executable, "-m", "scripts.demo", "--json", str(out)]
    if DATA.exists():
        command += ["--nodes", str(DATA / "gpu_nodes.csv"), "--trace", str(DATA / "gpu_duty_cycle.csv.gz")]
    mark = uuid.uuid4().hex
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, MARK: mark}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return Run(json.loads(out.read_text()), done.stdout, time.monotonic() - started, processes(mark))


@pytest.fixture(scope="module")
def outcome(run: Run) -> dict[str, Any]:
    return run.outcome


def lease(outcome: dict[str, Any], story: str) -> dict[str, Any]:
    (found,) = (row for row in outcome["leases"] if row["story"] == story)
    return found


def test_plays_on_the_real_fleet_and_trace(run: Run):
    if not DATA.exists():
        pytest.skip(f"the data folder is not there: {DATA}; the story was made up")
    assert run.outcome["inputs"] == {"nodes": "gpu_nodes.csv", "trace": "gpu_duty_cycle.csv.gz"}


def test_leaves_nothing_behind(run: Run):
    assert run.left == []


def test_prints_what_a_person_reads(run: Run):
    for words in ("Sites", "Leases", "Investors", "The books", "0 differences", "estimate", "blocklisted"):
        assert words in run.printed


def test_books_balance_and_every_block_was_compared(outcome: dict[str, Any]):
    books = outcome["books"]
    assert books["blocks_compared"] >= books["blocks_mined"] > cast.HOURS
    assert books["head"] < 1_000
    assert books["accounts_compared"] > books["blocks_mined"]
    assert books["node_calls"] > 0
    assert books["differences"] == []
    assert sum(int(row["balance"]) for row in books["trial_balance"]) == 0
    assert [row["balance"] for row in books["totals"]] == ["0"]
    for row in books["trial_balance"]:
        assert int(row["debit"]) - int(row["credit"]) == int(row["balance"])
        if row["account"].startswith(("clearing:", "revenue:", "sla:", "compensation:")):
            assert row["balance"] == "0", row


def test_each_contract_holds_what_it_owes(outcome: dict[str, Any]):
    balance = {row["account"]: int(row["balance"]) for row in outcome["books"]["trial_balance"]}
    for site in (1, 2, 3):
        owed = sum(amount for name, amount in balance.items() if name.startswith(tuple(_owed_to(site))))
        assert balance.get(f"cash:offering/{site}", 0) == -owed >= 0
    liabilities = ("escrow:", "bond:", "credit:", "fee:", "deferred:", "unsolicited:leasebook")
    assert balance["cash:leasebook"] == -sum(v for name, v in balance.items() if name.startswith(liabilities))


def _owed_to(site: int) -> tuple[str, str, str]:
    return f"pool:offering/{site}", f"payable:offering/{site}/", f"unsolicited:offering/{site}"


@pytest.mark.parametrize("plan", cast.LEASES, ids=lambda plan: plan.name)
def test_settlement_by_its_formula(outcome: dict[str, Any], plan: cast.LeasePlan):
    row = lease(outcome, plan.name)
    amount = {key: int(value) for key, value in row.items() if isinstance(value, str) and value.isdigit()}
    rent = amount["price"] * row["available"] // 3600
    fee = rent * row["fee_bps"] // 10_000
    shares = (rent - fee) * row["revenue_bps"] // 10_000
    short = max(0, row["sla_bps"] * row["due"] - 10_000 * row["available"])
    penalty = amount["price"] * short * row["penalty_bps"] // (3600 * 10**8)
    assert row["state"] == "final"
    assert row["due"] + row["curtailed"] == row["gpus"] * row["seconds"]
    assert amount["rent_total"] == rent > 0
    assert (amount["fee_total"], amount["shares_total"]) == (fee, shares)
    assert amount["owner_total"] == rent - fee - shares
    assert amount["penalty"] == min(penalty, row["gpus"] * amount["bond_per_gpu"])
    assert amount["collected"] == amount["deposited"] - rent + amount["penalty"]
    assert amount["collectable"] == 0


def test_one_lease_was_short_and_paid_from_the_bond(outcome: dict[str, Any]):
    paid = {row["story"]: int(row["penalty"]) for row in outcome["leases"] if int(row["penalty"])}
    assert list(paid) == ["short of its SLA"]
    by_site = {site["site_id"]: int(site["sla_credits"]) for site in outcome["sites"]}
    assert by_site == {1: 0, 2: paid["short of its SLA"], 3: 0}


def test_leases_end_as_the_story_has_it(outcome: dict[str, Any]):
    codes = {row["story"]: row["code"] for row in outcome["leases"]}
    assert codes == {
        "runs its term": 20_000,
        "short of its SLA": 20_000,
        "runs dry": 20_001,
        "sold on": 1,
        "topped up, closed": 1,
        "curtailed for the grid": 20_000,
    }
    dry = lease(outcome, "runs dry")
    assert dry["seconds"] == int(dry["deposited"]) * 3600 // (dry["gpus"] * int(dry["price"])) == 30 * 3600
    assert {paid["account"] for paid in lease(outcome, "sold on")["collected_by"]} == {"Esther"}
    topped = lease(outcome, "topped up, closed")
    assert int(topped["deposited"]) == int(topped["price"]) * topped["gpus"] * (24 + 24)
    assert int(topped["collected"]) > 0
    curtailed = lease(outcome, "curtailed for the grid")
    assert curtailed["curtailed"] == curtailed["gpus"] * 3600 * len(cast.CURTAILED_HOURS)


def test_blocklisted_holder_waits_and_stops_nobody(outcome: dict[str, Any]):
    assert {row["account"] for row in outcome["refused"]} == {cast.BLOCKED}
    for row in outcome["investors"]:
        assert int(row["paid"]) > 0, row
        assert row["yield_ppm"] == int(row["paid"]) * 10**6 // int(row["agreed_price"])
        assert (int(row["claimable"]) > 0) == (row["name"] == cast.BLOCKED)


def test_revenue_by_source(outcome: dict[str, Any]):
    for site in outcome["sites"]:
        revenue = {source: int(amount) for source, amount in site["holders_revenue"].items()}
        leases = [row for row in outcome["leases"] if row["site_id"] == site["site_id"]]
        assert revenue["lease"] == sum(int(row["shares_total"]) for row in leases)
        assert revenue["mining"] == (cast.MINING[3] if site["site_id"] == cast.MINING[1] else 0)
        assert revenue["demand_response"] == (cast.DEMAND_RESPONSE[3] if site["site_id"] == cast.CURTAILED_SITE else 0)
        assert int(site["rent"]) == revenue["lease"] + int(site["fees"]) + int(site["owner_part"])
        assert 0 < site["watt_hours_per_gpu_hour_estimate"] < 700
