"""Calls, errors and events of the contracts, to and from the JSON forms of the API, by the committed ABIs.

In JSON every integer of a contract is a decimal string, an address EIP-55, bytes 0x hex, a struct an object.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

from backend.kit.types import checksummed
from contracts import load_abi

#: Whose ABI serves for a settlement token: all that is called of it is ERC-20 with EIP-2612.
TOKEN = "TestUSD"  # noqa: S105 - no secret
NAMES = ("LeaseBook", "UsageMeter", "IdentityRegistry", "CapacityShare", "AccessManager", TOKEN)

_BUILT_IN = {
    "0x08c379a0": {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    "0x4e487b71": {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
}
_WORD = 32


@dataclass(frozen=True)
class Function:
    """One function of an ABI."""

    contract: str
    name: str
    selector: bytes
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]


def _signature(item: dict[str, Any]) -> str:
    return f"{item['name']}({','.join(collapse_if_tuple(part) for part in item['inputs'])})"


@cache
def functions(contract: str) -> dict[str, Function]:
    """Return the functions of a contract by name; none that we call is overloaded."""
    return {
        item["name"]: Function(
            contract,
            item["name"],
            keccak(text=_signature(item))[:4],
            tuple(item["inputs"]),
            tuple(item["outputs"]),
        )
        for item in load_abi(contract)
        if item["type"] == "function"
    }


@cache
def _errors() -> dict[str, tuple[str | None, dict[str, Any]]]:
    known: dict[str, tuple[str | None, dict[str, Any]]] = {key: (None, item) for key, item in _BUILT_IN.items()}
    for contract in NAMES:
        for item in load_abi(contract):
            if item["type"] == "error":
                known.setdefault("0x" + keccak(text=_signature(item))[:4].hex(), (contract, item))
    return known


@cache
def _events(contract: str) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        ("0x" + keccak(text=_signature(item)).hex(), 1 + sum(part["indexed"] for part in item["inputs"])): item
        for item in load_abi(contract)
        if item["type"] == "event"
    }


def call_data(function: Function, args: dict[str, Any]) -> str:
    """Encode a call whose arguments are in their JSON form."""
    types = [collapse_if_tuple(part) for part in function.inputs]
    values = [_from_json(part, args[_name(part, at)]) for at, part in enumerate(function.inputs)]
    return "0x" + (function.selector + encode(types, values)).hex()


def call_args(function: Function, data: str) -> dict[str, Any] | None:
    """Decode a call to the JSON form of its arguments; None when `data` is no call of `function`."""
    raw = bytes.fromhex(data[2:])
    if raw[:4] != function.selector:
        return None
    return _decoded(function.inputs, raw[4:])


def returned(function: Function, data: str) -> Any:
    """Decode what a call returned: the value, or several by the outputs' names."""
    decoded = _decoded(function.outputs, bytes.fromhex(data[2:]))
    if decoded is None:
        raise ValueError(f"{function.contract}.{function.name} returned {data[:74]!r}")
    return decoded if len(decoded) > 1 else next(iter(decoded.values()))


def revert(data: str | None) -> dict[str, Any]:
    """Decode a revert's bytes: the contract whose error it is, its name and arguments."""
    data = data if isinstance(data, str) and data.startswith("0x") else "0x"
    contract, item = _errors().get(data[:10], (None, None))
    args = _decoded(tuple(item["inputs"]), bytes.fromhex(data[10:])) if item else None
    if item is None or args is None:
        return {"contract": None, "name": "Unknown" if len(data) > 2 else "NoReason", "args": {}, "data": data}
    return {"contract": contract, "name": item["name"], "args": args, "data": data}


def event(contract: str | None, log: dict[str, Any]) -> dict[str, Any]:
    """Decode a log of a contract of that ABI; `name` is None for a log nobody knows."""
    topics, data = log["topics"], bytes.fromhex(log["data"][2:])
    shown: dict[str, Any] = {"address": checksummed(log["address"]), "contract": contract, "name": None, "args": {}}
    item = _events(contract).get((topics[0], len(topics))) if contract and topics else None
    if item is None:
        return shown
    indexed = [part for part in item["inputs"] if part["indexed"]]
    plain = tuple(part for part in item["inputs"] if not part["indexed"])
    args = _decoded(plain, data)
    if args is None:
        return shown
    for part, topic in zip(indexed, topics[1:], strict=True):
        args[part["name"]] = _to_json(part, decode([part["type"]], bytes.fromhex(topic[2:]))[0])
    ordered = {part["name"]: args[part["name"]] for part in item["inputs"]}
    return {**shown, "name": item["name"], "args": ordered}


def _name(part: dict[str, Any], at: int) -> str:
    return part["name"] or f"arg{at}"


def _decoded(inputs: tuple[dict[str, Any], ...], data: bytes) -> dict[str, Any] | None:
    try:
        values = decode([collapse_if_tuple(part) for part in inputs], data)
    except (DecodingError, OverflowError):
        return None
    return {_name(part, at): _to_json(part, value) for at, (part, value) in enumerate(zip(inputs, values, strict=True))}


def _to_json(part: dict[str, Any], value: Any) -> Any:
    kind = part["type"]
    if kind.endswith("]"):
        item = {**part, "type": kind[: kind.rindex("[")]}
        return [_to_json(item, each) for each in value]
    if kind == "tuple":
        return {
            _name(field, at): _to_json(field, each)
            for at, (field, each) in enumerate(zip(part["components"], value, strict=True))
        }
    if kind == "address":
        return checksummed(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool | str):
        return value
    return str(value)


def _from_json(part: dict[str, Any], value: Any) -> Any:
    kind = part["type"]
    if kind.endswith("]"):
        item = {**part, "type": kind[: kind.rindex("[")]}
        return [_from_json(item, each) for each in value]
    if kind == "tuple":
        return tuple(_from_json(field, value[_name(field, at)]) for at, field in enumerate(part["components"]))
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:])
    if kind.startswith(("uint", "int")):
        return int(value)
    return value


_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def domain_separator(domain: dict[str, Any]) -> str:
    """Return the EIP-712 hash of a domain of name, version, chain and contract."""
    words = [
        keccak(text=_DOMAIN_TYPE),
        keccak(text=domain["name"]),
        keccak(text=domain["version"]),
        domain["chainId"],
        domain["verifyingContract"],
    ]
    return "0x" + keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], words)).hex()
