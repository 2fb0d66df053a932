"""Logs to events: topic0 picks a decoder that was made once from the committed ABI.

An event of ours holds static words, which one `struct` call reads, and now and then a string. Amounts become exact
integers, addresses lower-case 0x hex, `bytes32` names text (`region`, `model`) or stay bytes. Nothing here imports an
ABI library: the indexer must be ready within two seconds of a crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Any, NamedTuple

from Crypto.Hash import keccak

from contracts import load_abi

REGISTRY, LEASEBOOK, METER, SHARE, TOKEN = "registry", "leasebook", "meter", "share", "token"

#: Whose ABI each kind of contract is decoded by. Of a settlement token only ERC-20's Transfer is read.
CONTRACTS = {REGISTRY: "IdentityRegistry", LEASEBOOK: "LeaseBook", METER: "UsageMeter", SHARE: "CapacityShare"}

_TRANSFER: dict[str, Any] = {
    "type": "event",
    "name": "Transfer",
    "inputs": [
        {"name": "from", "type": "address", "indexed": True},
        {"name": "to", "type": "address", "indexed": True},
        {"name": "value", "type": "uint256", "indexed": False},
    ],
}

#: Events in the ABIs that the fold does not read, each with the reason. Their topic0 is not asked of the node.
IGNORED: dict[tuple[str, str], str] = {
    (REGISTRY, "AuthorityUpdated"): "names who may change policy; no row of the mirror depends on it",
    (LEASEBOOK, "AuthorityUpdated"): "names who may change policy; no row of the mirror depends on it",
    (METER, "AuthorityUpdated"): "names who may change policy; no row of the mirror depends on it",
    (LEASEBOOK, "Approval"): "an approval moves neither lease nor money",
    (LEASEBOOK, "ApprovalForAll"): "an approval moves neither lease nor money",
    (LEASEBOOK, "SettleSkipped"): "nothing was settled",
    (METER, "EntrySkipped"): "nothing was recorded",
    (METER, "EIP712DomainChanged"): "declared by ERC-5267; the domain of an immutable contract is constant",
    (SHARE, "EIP712DomainChanged"): "declared by ERC-5267; the domain of an immutable contract is constant",
    (SHARE, "Approval"): "an allowance moves neither shares nor money",
    (SHARE, "ForcedTransfer"): "stands beside a Transfer of the same shares, which the fold reads",
}


class Log(NamedTuple):
    """One log of the chain as the node gave it. `time` is the block's, `address` and `tx_hash` lower-case 0x hex,
    `topics` 32 bytes each.
    """

    block: int
    index: int  # type: ignore[assignment]  # a log's index is the chain's word; nobody searches a log as a tuple
    tx_index: int
    tx_hash: str
    time: int
    address: str
    topics: tuple[bytes, ...]
    data: bytes


class Event(NamedTuple):
    """A log with a meaning. `kind` is the contract's; `args` has the names of the ABI, a struct's fields flattened."""

    log: Log
    kind: str
    name: str
    args: dict[str, Any]


Decoder = Callable[[tuple[bytes, ...], bytes], dict[str, Any]]


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 of `data`, 32 bytes."""
    return keccak.new(digest_bits=256, data=data).digest()


def decode(kind: str, log: Log) -> Event | None:
    """Return the event that `log` of a contract of `kind` states, or None when the fold does not read that event."""
    topics = log.topics
    if not topics:
        return None
    found = decoders(kind).get(topics[0])
    # ERC-20 and ERC-721 share Transfer's topic0 and differ in topics: a foreign token's log may have either form.
    if found is None or len(topics) != found[1]:
        return None
    return Event(log, kind, found[0], found[2](topics, log.data))


@cache
def decoders(kind: str) -> dict[bytes, tuple[str, int, Decoder]]:
    """Return topic0 -> (event, number of topics, decoder) of the events that the fold reads of a contract of `kind`."""
    return {
        topic0(item): (item["name"], 1 + sum(part["indexed"] for part in item["inputs"]), _decoder(item))
        for item in abi_events(kind)
        if (kind, item["name"]) not in IGNORED
    }


@cache
def topics(kind: str) -> tuple[bytes, ...]:
    """Return the topic0 of each event that the fold reads of a contract of `kind`."""
    return tuple(decoders(kind))


def abi_events(kind: str) -> list[dict[str, Any]]:
    """Return the ABI items of the events that a contract of `kind` may emit, the ignored ones included."""
    if kind == TOKEN:
        return [_TRANSFER]
    return [item for item in load_abi(CONTRACTS[kind]) if item["type"] == "event"]


def signature(item: dict[str, Any]) -> str:
    """Return an event's canonical signature, such as `Transfer(address,address,uint256)`."""
    return f"{item['name']}({','.join(_canonical(part) for part in item['inputs'])})"


def topic0(item: dict[str, Any]) -> bytes:
    """Return the topic that marks the logs of an ABI event."""
    return keccak256(signature(item).encode())


def _canonical(part: dict[str, Any]) -> str:
    if part["type"].startswith("tuple"):
        return f"({','.join(_canonical(field) for field in part['components'])}){part['type'][5:]}"
    return str(part["type"])


def text(word: bytes) -> str:
    """Return a left-aligned name as text; what is no ASCII text is shown as 0x hex, for anybody may write it."""
    name = word.rstrip(b"\0")
    if all(32 <= byte < 127 for byte in name):
        return name.decode("ascii")
    return "0x" + word.hex()


def _tail(data: bytes, offset: int) -> bytes:
    size = int.from_bytes(data[offset : offset + 32])
    return data[offset + 32 : offset + 32 + size]


def _string(data: bytes, offset: int) -> str:
    # PostgreSQL's text holds no NUL, and a stranger may register any bytes as a name.
    return _tail(data, offset).decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


#: The bytes32 that are names rather than hashes.
_NAMES = {"region", "model"}

_UINT = re.compile(r"uint(\d+)$")


def _decoder(item: dict[str, Any]) -> Decoder:
    """Compile the decoder of one event: a single unpack of its static words and a dict display.

    Raises:
        ValueError: a type that no event of ours has; teach it here.
    """
    fields: list[str] = []
    layout: list[str] = []
    topic = 0
    for part in item["inputs"]:
        if part["indexed"]:
            topic += 1
            fields.append(f"{part['name']!r}: {_from_topic(part['type'], topic)}")
            continue
        for leaf in part["components"] if part["type"] == "tuple" else [part]:
            code, value = _from_word(leaf, f"w{len(layout)}")
            layout.append(code)
            fields.append(f"{leaf['name']!r}: {value}")
    words = Struct(">" + "".join(layout))
    names = ", ".join(f"w{i}" for i in range(len(layout)))
    unpack = f"    {names}, = unpack(data)\n" if layout else ""
    source = f"def decoder(topics, data):\n{unpack}    return {{{', '.join(fields)}}}\n"
    scope: dict[str, Any] = {"unpack": words.unpack_from, "integer": int.from_bytes, "text": text, "string": _string}
    exec(compile(source, f"<decoder of {item['name']}>", "exec"), scope)  # noqa: S102 - from our own ABI
    decoder: Decoder = scope["decoder"]
    return decoder


def _from_topic(kind: str, index: int) -> str:
    if kind == "address":
        return f"'0x' + topics[{index}][12:].hex()"
    if _UINT.match(kind):
        return f"integer(topics[{index}])"
    raise ValueError(f"no decoder for an indexed {kind}")


def _from_word(part: dict[str, Any], word: str) -> tuple[str, str]:
    """Return the struct code of one word of data and the expression of its value."""
    kind = part["type"]
    uint = _UINT.match(kind)
    if uint and int(uint[1]) <= 64:
        return "24xQ", word
    if uint:
        return "32s", f"integer({word})"
    if kind == "bool":
        return "31x?", word
    if kind == "address":
        return "12x20s", f"'0x' + {word}.hex()"
    if kind == "bytes32":
        return "32s", f"text({word})" if part["name"] in _NAMES else f"'0x' + {word}.hex()"
    if kind == "string":
        return "24xQ", f"string(data, {word})"
    raise ValueError(f"no decoder for {kind} {part['name']}")
