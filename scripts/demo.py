"""`make demo`: a market of three sites over five days, on a chain and a database that are thrown away at the end.

    python -m scripts.demo [--seed N] [--nodes CSV --trace CSV[.gz]] [--json PATH] [--verify] [--stay]

This process only starts the others: PostgreSQL, Anvil, the deployment, the indexer, the API. The story is a process of
its own that is given the API, the node and a key, and no database.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from eth_account import Account
from eth_utils.crypto import keccak
from rich.console import Console

from scripts.launch import LaunchError, Node, anvil, child, free_port, postgres, python, run_folder
from scripts.processes import CHECKOUT
from scripts.story import cast

GENESIS = 1_767_571_200
"""Monday, 5 January 2026, 00:00 UTC: where time begins changes no amount, but makes runs alike."""
DEPLOYER_ETH = 10**20
DEFAULT_SEED = 7
TENANT = "Amber"
READY_SECONDS = 90


@dataclass(frozen=True)
class Stack:
    """All that runs: where, and with which environment its own processes are started."""

    api: str
    node: Node
    deployment: Path
    environment: dict[str, str]
    deployer_key: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Start everything, play the story, verify if asked; exit with the first failure's code."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, _end)
    console = Console()
    started = time.monotonic()

    def say(what: str) -> None:
        console.print(f"{time.monotonic() - started:5.1f} s  {what}")

    try:
        code = _run(options, say)
    except LaunchError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    say("done")
    sys.exit(code)


def _run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Return the exit code of the first process that failed, or 0."""
    with stack(options.seed, say) as running:
        say("play five days")
        code = _story(running, options)
        if code == 0 and options.verify:
            say("fold and fetch the mirror again")
            code = subprocess.run(
                python("indexer", "verify"), env={**os.environ, **running.environment}, check=False
            ).returncode
        if code == 0 and options.stay:
            _stay(running, options.seed)
        return code


def _stay(running: Stack, seed: int) -> None:
    """Leave it all running until Ctrl-C, blocks coming as transactions do; say how to use it."""
    running.node.rpc("evm_setAutomine", True)
    print(
        f"\nexport DRAKEWELL_API={running.api}\n"
        f"export DRAKEWELL_DEPLOYMENT={running.deployment}\n"
        f"export WALLET_KEY=0x{bytes(cast.account(seed, TENANT).key).hex()}   # {TENANT}, a tenant with TestUSD\n\n"
        "running until Ctrl-C; in another terminal, with these three set:\n"
        "  curl $DRAKEWELL_API/v1/ledger/trial-balance?as_of_block=120\n"
        "  .venv/bin/python examples/wallet.py",
        flush=True,
    )
    with suppress(KeyboardInterrupt):
        signal.pause()


@contextmanager
def stack(seed: int = DEFAULT_SEED, say: Callable[[str], None] = lambda _: None) -> Iterator[Stack]:
    """Run a throw-away database, a chain with our contracts, the indexer and the API until the block ends.

    Args:
        seed: of the deployer's key, so that addresses are the same in each run.
        say: told what is done next.

    Raises:
        LaunchError: something did not start; the message has the end of its log.
    """
    with ExitStack() as open_:
        folder = open_.enter_context(run_folder(None))
        say("start the chain")
        node = open_.enter_context(anvil(timestamp=GENESIS))
        say("start the database")
        server = open_.enter_context(postgres())
        database = server.new_database()
        # A server of the user's own goes on after us.
        open_.callback(server.drop_database, database.rsplit("/", 1)[1])
        say("deploy the contracts")
        deployer_key = "0x" + keccak(text=f"drakewell demo {seed} deployer").hex()
        deployment = folder / "deployment.json"
        _deploy(node, deployer_key, deployment)
        say("start the mirror and the API")
        environment = {
            "DATABASE_URL": database,
            "DRAKEWELL_RPC_URL": node.url,
            "DRAKEWELL_DEPLOYMENT": str(deployment),
            "DRAKEWELL_PORT": str(free_port()),
        }
        api = f"http://127.0.0.1:{environment['DRAKEWELL_PORT']}"
        follow = child(python("indexer", "follow"), folder=folder, name="indexer", env=environment)
        indexer = open_.enter_context(follow)

        def ready() -> bool:
            if code := indexer.poll():
                raise LaunchError(f"the indexer ended with {code}:\n{(folder / 'indexer.log').read_text()[-2000:]}")
            return _is_ready(api)

        serve = child(
            python("backend"), folder=folder, name="backend", env=environment, ready=ready, timeout=READY_SECONDS
        )
        open_.enter_context(serve)
        yield Stack(api, node, deployment, environment, deployer_key)


def _end(*_: object) -> None:
    """Leave through every `with`, so that nothing stays behind."""
    sys.exit(128 + signal.SIGTERM)


def _deploy(node: Node, key: str, out: Path) -> None:
    """Deploy in Brownie's environment, by a key that the node's first account gives ETH."""
    deployer = Account.from_key(key).address
    sponsor = node.rpc("eth_accounts")[0]
    node.rpc("eth_sendTransaction", {"from": sponsor, "to": deployer, "value": hex(DEPLOYER_ETH)})
    python_ = str(CHECKOUT / ".venv-contracts/bin/python")
    command = [python_, "scripts/deploy.py", "--rpc", node.url, "--out", str(out)]
    environment = {**os.environ, "DRAKEWELL_DEPLOYER_KEY": key}
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LaunchError(f"scripts/deploy.py ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _is_ready(api: str) -> bool:
    """Ask the API whether the mirror has the chain."""
    try:
        return httpx.get(f"{api}/readyz", timeout=1.0).is_success
    except httpx.HTTPError:
        return False


def _story(running: Stack, options: argparse.Namespace) -> int:
    """Play the story in a process that is given the API, the node and the deployer's key, and no database."""
    arguments = ["--api", running.api, "--node", running.node.url, "--deployment", str(running.deployment)]
    arguments += ["--seed", str(options.seed)]
    for name in ("json", "nodes", "trace"):
        if path := getattr(options, name):
            arguments += [f"--{name}", str(path)]
    environment = {key: value for key, value in os.environ.items() if "DATABASE" not in key}
    environment["DRAKEWELL_DEPLOYER_KEY"] = running.deployer_key
    return subprocess.run(python("scripts.story", *arguments), env=environment, check=False).returncode


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts.demo", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="deals the GPUs and makes the keys")
    parser.add_argument("--nodes", type=Path, help="CSV of GPU nodes: gpu_model, gpu_capacity_num")
    parser.add_argument("--trace", type=Path, help="CSV of duty cycles: value, timestamp_anon, container_ip")
    parser.add_argument("--json", type=Path, help="write the outcome as data")
    parser.add_argument("--verify", action="store_true", help="compare the mirror with its raw logs and the node")
    parser.add_argument("--stay", action="store_true", help="keep chain, mirror and API running until Ctrl-C")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
