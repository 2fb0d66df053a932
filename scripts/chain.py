"""Anvil, the local chain, as a child of ours."""

import itertools
import json
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.processes import LaunchError, child, end_leftovers, foundry, free_port, run_folder

HEADERS_CHECKED = 256


@dataclass
class Node:
    """A running Anvil."""

    url: str
    pid: int
    ids: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def rpc(self, method: str, *params: Any, timeout: float = 30.0) -> Any:
        """Call a JSON-RPC method and return its result.

        Raises:
            OSError: the node does not answer.
            LaunchError: it answers with an error.
        """
        answer = self._post({"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}, timeout)
        if "error" in answer:
            raise LaunchError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def headers(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the headers of the blocks ``numbers``, in that order, in one round trip."""
        batch = [
            {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [hex(n), False]} for n in numbers
        ]
        by_id = {answer["id"]: answer["result"] for answer in self._post(batch, 30.0)}
        return [by_id[n] for n in numbers]

    def _post(self, body: Any, timeout: float) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always http on loopback
            self.url, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return json.load(response)


@contextmanager
def anvil(
    dir: Path | None = None,
    *,
    chain_id: int = 31337,
    automine: bool = True,
    block_time: int | None = None,
    slots_in_an_epoch: int | None = None,
    max_persisted_states: int = 100_000,
    port: int | None = None,
    accounts: int = 10,
    timestamp: int | None = None,
    state: Path | None = None,
    extra: Sequence[str] = (),
) -> Iterator[Node]:
    """Run a chain on loopback; it is thrown away unless ``state`` names a file that keeps it.

    Args:
        dir: the folder of its cache and log, which are worth nothing after it ends.
        chain_id: EIP-155 id.
        automine: mine each transaction at once; else by ``evm_mine`` or ``block_time``.
        block_time: seconds between blocks, mined empty too; no automine then.
        slots_in_an_epoch: 1 makes ``finalized`` the head less 2; Anvil's default 32 the head less 64.
        max_persisted_states: of how many past blocks calls are answered (without ``state``).
        port: a free one if not given.
        accounts: how many unlocked accounts with 10,000 ETH the node has.
        timestamp: of the genesis block, unix seconds.
        state: loaded if it exists, written every 5 s and at the end; after a restart only the head's state answers.
        extra: more options of Anvil's own.

    Raises:
        LaunchError: it does not start, or the time of the loaded blocks falls somewhere.
    """
    loaded = state is not None and state.exists()
    with run_folder(dir) as folder:
        end_leftovers(folder)
        port = port or free_port()
        # The folder of old states grows by 0.4 MB a block and is never cleaned up by Anvil.
        cache = folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        options: list[str | Path] = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
        options += ["--accounts", str(accounts), "--cache-path", cache, "--quiet", *extra]
        if state is None:
            options += ["--max-persisted-states", str(max_persisted_states)]
        else:
            options += ["--prune-history", "300", "--state", state, "--state-interval", "5"]
        if loaded or block_time is not None or not automine:
            options.append("--no-mining")
        if slots_in_an_epoch is not None:
            options += ["--slots-in-an-epoch", str(slots_in_an_epoch)]
        if timestamp is not None:
            options += ["--timestamp", str(timestamp)]
        node = Node(f"http://127.0.0.1:{port}", 0)

        def answers() -> bool:
            return int(node.rpc("eth_chainId", timeout=1.0), 16) == chain_id

        with child(
            [foundry("anvil"), *options], folder=folder, name="anvil", ready=answers, stop=signal.SIGINT
        ) as process:
            node.pid = process.pid
            if loaded:
                _keep_time_rising(node)
            if block_time is not None:
                node.rpc("evm_setIntervalMining", block_time)
            elif automine and loaded:
                node.rpc("evm_setAutomine", True)
            yield node


def _keep_time_rising(node: Node) -> None:
    """Set the clock of a chain just loaded to where it stopped: Anvil would go on from the wall clock, even backwards.

    Raises:
        LaunchError: the time falls among the last 256 blocks, so that an earlier run did just that.
    """
    head = int(node.rpc("eth_blockNumber"), 16)
    headers = node.headers(range(max(0, head - HEADERS_CHECKED), head + 1))
    for before, after in itertools.pairwise(headers):
        if int(after["timestamp"], 16) < int(before["timestamp"], 16):
            raise LaunchError(f"the chain's time falls at block {int(after['number'], 16)}: delete its state file")
    last = int(headers[-1]["timestamp"], 16)
    node.rpc("anvil_setTime", max(last + 1, int(time.time())))
