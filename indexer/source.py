"""What a node says of a range of blocks, checked before anything is made of it.

Headers of every block, parent-linked; the logs of our contracts (and Transfers of settlement tokens to and from them),
each in its block, in order, none removed; a bloom that promises a log where none came is a question that the block's
receipts decide, a log that its bloom denies is a fault of the node. A contract found by a log is read from that log's
block on: the range is asked again for its address alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from indexer.errors import BadAnswer, Moved
from indexer.events import LEASEBOOK, TOKEN, Log, decode, keccak256, topics
from indexer.fold import Fold, Genesis, Known
from indexer.rpc import Call, Node

logger = logging.getLogger(__name__)

TRANSFER = topics(TOKEN)[0]


class Header(NamedTuple):
    """A block's header. ``bloom`` is its 2048-bit filter; ``time`` unix seconds."""

    number: int
    hash: str
    parent_hash: str
    time: int
    bloom: int


class Batch(NamedTuple):
    """Consecutive blocks and, in chain order, their logs that concern us."""

    headers: list[Header]
    logs: list[Log]


class Watch:
    """Whose logs are read, and from which block on: the deployment's contracts and what their logs made known.

    Args:
        fold: tells which log makes a contract known.
        genesis: the deployment.
        known: clones and tokens of earlier blocks, by address.
    """

    def __init__(self, fold: Fold, genesis: Genesis, known: Iterable[tuple[str, Known]] = ()) -> None:
        self._fold = fold
        self.topics = frozenset(fold.topics())
        # a contract that emits: address -> the block from which its logs are read
        self.emitters = dict.fromkeys((genesis.registry, genesis.leasebook, genesis.meter), 0)
        self.holders = {genesis.leasebook: 0}  # contracts of ours that hold cash
        self.tokens: dict[str, int] = {}
        for address, contract in known:
            self.add(address, contract.kind == TOKEN, 0)

    def add(self, address: str, is_token: bool, block: int) -> None:
        """Read ``address`` from ``block`` on."""
        if is_token:
            self.tokens.setdefault(address, block)
        else:
            self.emitters.setdefault(address, block)
            self.holders.setdefault(address, block)

    def discover(self, logs: Iterable[Log]) -> dict[str, int]:
        """Add what ``logs`` make known and return the addresses that are new, with their blocks."""
        new: dict[str, int] = {}
        for log in logs:
            found = self._fold.discovers(log)
            if found is None or found in self.emitters or found in self.tokens:
                continue
            event = decode(LEASEBOOK, log)
            self.add(found, event is not None and event.name == "TokenAllowed", log.block)
            new[found] = log.block
        return new

    def wants(self, log: Log) -> bool:
        """Whether a log concerns us: the same answer however the blocks were cut into ranges."""
        since = self.emitters.get(log.address)
        if since is not None and since <= log.block:
            return bool(log.topics) and log.topics[0] in self.topics
        since = self.tokens.get(log.address)
        if since is None or since > log.block or len(log.topics) != 3 or log.topics[0] != TRANSFER:
            return False
        parties = ("0x" + topic[12:].hex() for topic in log.topics[1:])
        return any(self.holders.get(party, log.block + 1) <= log.block for party in parties)

    def filters(self, only: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return the filters of ``eth_getLogs`` that select our logs, of some addresses alone where given."""
        emitters = [address for address in self.emitters if only is None or address in only]
        found: list[dict[str, Any]] = []
        if emitters:
            found.append({"address": emitters, "topics": [["0x" + topic.hex() for topic in sorted(self.topics)]]})
        for tokens, holders in self._transfers(only):
            words = ["0x" + holder[2:].rjust(64, "0") for holder in holders]
            transfer = "0x" + TRANSFER.hex()
            found.append({"address": tokens, "topics": [transfer, words]})
            found.append({"address": tokens, "topics": [transfer, None, words]})
        return found

    def _transfers(self, only: Iterable[str] | None) -> list[tuple[list[str], list[str]]]:
        tokens, holders = list(self.tokens), list(self.holders)
        if only is None:
            return [(tokens, holders)] if tokens else []
        pairs = [
            ([token for token in tokens if token in only], holders),
            (tokens, [holder for holder in holders if holder in only]),
        ]
        return [pair for pair in pairs if all(pair)]


class Source:
    """Batches of one chain from a node, checked."""

    def __init__(self, node: Node, watch: Watch) -> None:
        self.node = node
        self.watch = watch
        self._masks: dict[bytes, int] = {}

    def headers(self, first: int, last: int) -> list[Header]:
        """Return the headers of the blocks ``first`` to ``last``, linked.

        Raises:
            Moved: a block is not there (any more), or its parent is not the one before it.
        """
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in range(first, last + 1)]
        found = [header(answer) for answer in self.node.batch(calls)]
        for number, here in enumerate(found, first):
            if here.number != number:
                raise BadAnswer(f"asked for block {number}, got {here.number}")
            if number > first and here.parent_hash != found[number - first - 1].hash:
                raise Moved(f"block {number} does not follow block {number - 1}")
        return found

    def fetch(self, first: int, last: int, headers: Sequence[Header] | None = None) -> Batch:
        """Return the batch of the blocks ``first`` to ``last``.

        Args:
            first: block number.
            last: block number; a single block's logs are asked for by its hash.
            headers: of these blocks, where they are known already.
        """
        headers = list(headers or self.headers(first, last))
        watch = self.watch
        logs = self._unique(self._logs(headers, watch.filters()))
        decided: dict[int, list[Log]] = {}
        while True:
            if new := watch.discover(logs.values()):
                logs |= self._unique(self._logs(headers[min(new.values()) - first :], watch.filters(only=new)))
                logs |= self._unique(log for whole in decided.values() for log in whole)
            elif questions := [here for here in self._questions(headers, logs.values()) if here.number not in decided]:
                for here in questions:
                    decided[here.number] = self._decide(here, logs)
            else:
                return Batch(headers, [logs[key] for key in sorted(logs)])

    def _unique(self, logs: Iterable[Log]) -> dict[tuple[int, int], Log]:
        """Keep what concerns us; a transfer between two contracts of ours comes by two filters."""
        return {(log.block, log.index): log for log in logs if self.watch.wants(log)}

    def _logs(self, headers: Sequence[Header], filters: list[dict[str, Any]]) -> list[Log]:
        first, last = headers[0], headers[-1]
        where = (
            {"blockHash": first.hash}
            if first is last
            else {"fromBlock": hex(first.number), "toBlock": hex(last.number)}
        )
        by_number = {here.number: here for here in headers}
        logs: list[Log] = []
        # one try: the caller halves the range instead of asking the same again
        for answer in self.node.batch([("eth_getLogs", [{**where, **each}]) for each in filters], attempts=1):
            logs += self._checked(answer, by_number)
        return logs

    def _checked(self, answer: Any, headers: dict[int, Header]) -> list[Log]:
        if not isinstance(answer, list):
            raise BadAnswer(f"eth_getLogs answered {type(answer).__name__}")
        logs: list[Log] = []
        before = (-1, -1)
        for item in answer:
            found = log(item, headers)
            if (found.block, found.index) <= before:
                raise BadAnswer(f"logs out of order at block {found.block}, log {found.index}")
            before = (found.block, found.index)
            if not self._in_bloom(headers[found.block].bloom, bytes.fromhex(found.address[2:]), *found.topics[:1]):
                raise BadAnswer(f"block {found.block} has a log {found.index} that its bloom denies")
            logs.append(found)
        return logs

    def _in_bloom(self, bloom: int, *values: bytes) -> bool:
        for value in values:
            mask = self._masks.get(value)
            if mask is None:
                mask = self._masks[value] = bloom_mask(value)
            if bloom & mask != mask:
                return False
        return True

    def _questions(self, headers: Iterable[Header], logs: Iterable[Log]) -> list[Header]:
        """Return the blocks whose bloom says that a contract of ours may have logged where no log of it came.

        An answer that was cut short ends inside a block: of the last one of each filter every topic is looked at.
        """
        seen: dict[int, set[str]] = {}
        topics: dict[int, set[bytes]] = {}
        ends = [0, 0]
        for found in logs:
            seen.setdefault(found.block, set()).add(found.address)
            topics.setdefault(found.block, set()).add(found.topics[0])
            of_token = found.address in self.watch.tokens
            ends[of_token] = max(ends[of_token], found.block)
        watch = self.watch
        return [
            here
            for here in headers
            if here.bloom
            and (
                self._silent(here, watch.emitters, seen.get(here.number, set()), watch.topics)
                or self._silent(here, watch.tokens, seen.get(here.number, set()), [TRANSFER], watch.holders)
                or (
                    here.number in ends
                    and any(
                        topic not in topics[here.number] and self._in_bloom(here.bloom, topic) for topic in watch.topics
                    )
                )
            )
        ]

    def _silent(
        self,
        here: Header,
        addresses: dict[str, int],
        seen: set[str],
        topics: Iterable[bytes],
        parties: Iterable[str] | None = None,
    ) -> bool:
        for address, since in addresses.items():
            if since > here.number or address in seen or not self._in_bloom(here.bloom, bytes.fromhex(address[2:])):
                continue
            if not any(self._in_bloom(here.bloom, topic) for topic in topics):
                continue
            if parties is None or any(self._in_bloom(here.bloom, word(party)) for party in parties):
                return True
        return False

    def _decide(self, here: Header, logs: dict[tuple[int, int], Log]) -> list[Log]:
        """Replace a block's logs by those of its receipts, and return all that these have, ours or not."""
        receipts = self.node.call("eth_getBlockReceipts", here.hash)
        if not isinstance(receipts, list):
            raise Moved(f"block {here.number} has no receipts under its hash")
        try:
            items = [item for receipt in receipts for item in receipt["logs"]]
        except (KeyError, TypeError) as error:
            raise BadAnswer(f"a receipt of block {here.number} without {error}") from error
        whole = self._checked(items, {here.number: here})
        found = self._unique(whole)
        had = {key for key in logs if key[0] == here.number}
        if had != set(found):
            logger.warning(
                "the node's eth_getLogs left out logs that the block's receipts have",
                extra={"block": here.number, "logs": len(had), "receipts": len(found)},
            )
        for key in had:
            del logs[key]
        logs.update(found)
        return whole


def header(answer: Any) -> Header:
    """Read a header as the node gives it.

    Raises:
        Moved: there is no such block.
        BadAnswer: a field is missing or malformed.
    """
    if answer is None:
        raise Moved("a block that was there is gone")
    try:
        return Header(
            int(answer["number"], 16),
            answer["hash"],
            answer["parentHash"],
            int(answer["timestamp"], 16),
            int(answer["logsBloom"], 16),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"a header without {error}") from error


def log(item: Any, headers: dict[int, Header]) -> Log:
    """Read a log as the node gives it.

    Raises:
        Moved: it is of another block than the header of its number.
        BadAnswer: it was removed, lies outside the range, or a field is malformed.
    """
    try:
        number = int(item["blockNumber"], 16)
        here = headers.get(number)
        if here is None or item.get("removed"):
            raise BadAnswer(f"a log of block {number} that was not asked for, or was removed")
        if item["blockHash"] != here.hash:
            raise Moved(f"a log of another block {number}")
        return Log(
            number,
            int(item["logIndex"], 16),
            int(item["transactionIndex"], 16),
            item["transactionHash"],
            here.time,
            item["address"].lower(),
            tuple([bytes.fromhex(topic[2:]) for topic in item["topics"]]),
            bytes.fromhex(item["data"][2:]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswer(f"a log without {error}") from error


def word(address: str) -> bytes:
    """Return an address as an indexed topic."""
    return bytes.fromhex(address[2:].rjust(64, "0"))


def bloom_mask(value: bytes) -> int:
    """Return the three bits that a log's address or topic sets in its block's bloom (yellow paper, 4.3.1)."""
    digest = keccak256(value)
    mask = 0
    for start in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[start : start + 2]) & 2047)
    return mask
