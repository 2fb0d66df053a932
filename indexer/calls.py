"""Reading contract storage by `eth_call`: view functions with static arguments and results, from the committed ABIs."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from contracts import load_abi
from indexer.events import keccak256
from indexer.rpc import Call

#: ERC-20's, of any settlement token.
ERC20 = "ERC20"
_BALANCE_OF: dict[str, Any] = {
    "type": "function",
    "name": "balanceOf",
    "inputs": [{"name": "account", "type": "address"}],
    "outputs": [{"name": "", "type": "uint256"}],
}


class View(NamedTuple):
    """A view function: its selector and the (name, type) of each word it returns."""

    selector: str
    words: tuple[tuple[str, str], ...]


@cache
def view(contract: str, name: str) -> View:
    """Return a view function of a contract's ABI. A single result has no name: ``""``."""
    abi = [_BALANCE_OF] if contract == ERC20 else load_abi(contract)
    item = next(each for each in abi if each["type"] == "function" and each["name"] == name)
    types = ",".join(part["type"] for part in item["inputs"])
    words = [field for part in item["outputs"] for field in part.get("components", [part])]
    names = [word["name"] for word in words] if len(words) > 1 else [""]
    return View(
        "0x" + keccak256(f"{name}({types})".encode())[:4].hex(),
        tuple((name, word["type"]) for name, word in zip(names, words, strict=True)),
    )


def call(to: str, function: View, *args: int | str, block_hash: str) -> Call:
    """Return the JSON-RPC call of a view function at a block, by hash (EIP-1898): a reorg cannot change what is asked.

    Args:
        to: the contract.
        function: of `view`.
        *args: integers, or addresses as 0x hex.
        block_hash: 0x hex.
    """
    words = [f"{int(arg, 16) if isinstance(arg, str) else arg:064x}" for arg in args]
    return ("eth_call", [{"to": to, "data": function.selector + "".join(words)}, {"blockHash": block_hash}])


def result(function: View, answer: str) -> dict[str, Any]:
    """Return a call's results by name, a single one under ``""``: integers, booleans, addresses in lower case.

    Where there is no code the answer is empty, and every result is 0: what is not there holds and owes nothing.
    """
    data = answer.removeprefix("0x") or "0" * 64 * len(function.words)
    return {
        name: _word(kind, data[64 * position : 64 * position + 64])
        for position, (name, kind) in enumerate(function.words)
    }


def _word(kind: str, word: str) -> Any:
    if kind == "address":
        return "0x" + word[24:]
    if kind == "bool":
        return word[-1] == "1"
    return bytes.fromhex(word) if kind.startswith("bytes") else int(word, 16)
