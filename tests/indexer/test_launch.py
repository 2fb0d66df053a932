"""The launcher's promises: nothing outlives it, a leftover is found, and a chain's time never falls."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from scripts.launch import LaunchError, anvil, child, postgres, run_folder
from scripts.processes import CHECKOUT

WEEK = 7 * 24 * 3600

HOLDER = """
import sys, time
from pathlib import Path
from scripts.launch import anvil, postgres
folder = Path(sys.argv[1])
with postgres(folder / "pg") as pg, anvil(folder / "chain") as node:
    print(pg.url, node.url, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder():
    """A folder that the server's unprivileged user may enter, unlike pytest's own."""
    with run_folder(None) as made:
        yield made


@pytest.fixture(autouse=True)
def own_server(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


def processes(folder: Path) -> list[str]:
    """The command lines of all processes that name the folder, our own test run left out."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and entry.parent.name != str(os.getpid()):
            lines.append(line)
    return lines


def until_none(folder: Path, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def start_holder(folder: Path) -> tuple[subprocess.Popen, str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    return holder, holder.stdout.readline()


def test_kill_minus_nine_of_the_launcher_leaves_no_process(folder):
    holder, said = start_holder(folder)
    assert "postgresql://" in said
    assert len(processes(folder)) >= 3  # the holder, the server, the chain
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert until_none(folder, 10) == []


def test_a_server_left_behind_is_ended_and_its_data_kept(folder, monkeypatch):
    # A launcher whose children live on: what a kernel without the parent's signal would leave.
    monkeypatch.setattr("scripts.processes.PR_SET_PDEATHSIG", 0)
    read, write = os.pipe()
    left = os.fork()
    if left == 0:
        with postgres(folder / "pg") as pg:
            url = pg.new_database("kept")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE site AS SELECT 7 AS id")
            os.write(write, b"x")
            os.kill(os.getpid(), signal.SIGKILL)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    os.waitpid(left, 0)
    assert processes(folder)
    with postgres(folder / "pg") as pg, psycopg.connect(pg.url.replace("/postgres", "/kept")) as connection:
        assert connection.execute("SELECT id FROM site").fetchall() == [(7,)]
    assert until_none(folder, 10) == []


def test_two_launchers_never_share_a_folder(folder):
    with (
        anvil(folder / "chain"),
        pytest.raises(LaunchError, match="in use by another launcher"),
        anvil(folder / "chain"),
    ):
        pass


def test_a_throw_away_run_leaves_no_folder():
    with anvil() as node:
        arguments = Path(f"/proc/{node.pid}/cmdline").read_text().split("\0")
        run = Path(arguments[arguments.index("--cache-path") + 1]).parent
        assert run.exists()
    assert not run.exists()


def test_a_program_that_ends_shows_its_log(tmp_path):
    with (
        pytest.raises(LaunchError, match="no such port"),
        child(
            [sys.executable, "-c", "raise SystemExit('no such port')"],
            folder=tmp_path,
            name="service",
            ready=lambda: False,
        ),
    ):
        pass


def times(node) -> list[int]:
    head = int(node.rpc("eth_blockNumber"), 16)
    return [int(header["timestamp"], 16) for header in node.headers(range(head + 1))]


@pytest.mark.parametrize("automine", [True, False])
def test_a_chain_saved_a_week_ahead_goes_on_from_there(folder, automine):
    state = folder / "state.json"
    with anvil(folder / "chain", state=state) as node:
        node.rpc("evm_increaseTime", WEEK)
        node.rpc("evm_mine")
        genesis, ahead = node.rpc("eth_getBlockByNumber", "0x0", False)["hash"], times(node)[-1]
    assert ahead > time.time() + WEEK - 60
    with anvil(folder / "chain", state=state, automine=automine) as node:
        sender, receiver = node.rpc("eth_accounts")[:2]
        node.rpc("eth_sendTransaction", {"from": sender, "to": receiver, "value": "0x1"})
        node.rpc("evm_mine")
        assert node.rpc("eth_getBlockByNumber", "0x0", False)["hash"] == genesis
        seen = times(node)
    assert seen == sorted(seen)
    assert ahead < seen[-1] < ahead + 60


def test_a_chain_whose_time_fell_is_not_served(folder):
    state = folder / "state.json"
    with anvil(folder / "chain", state=state) as node:
        node.rpc("evm_increaseTime", WEEK)
        node.rpc("evm_mine")
        node.rpc("anvil_setTime", int(time.time()))
        node.rpc("evm_mine")
        fell = times(node)
    assert fell != sorted(fell)
    with pytest.raises(LaunchError, match="time falls at block 2"), anvil(folder / "chain", state=state):
        pass


def test_databases_are_empty_and_apart(pg):
    first, second = pg.new_database(), pg.new_database()
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE site (id int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
