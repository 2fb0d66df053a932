"""The mirror without a database: a chain's logs through decoder and fold into dicts, as the store would keep them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

from indexer.events import Log
from indexer.fold import BALANCE, Fold, Genesis, Key, Posting, State
from tests.chain import Market

Row = dict[str, Any]


class MemoryMirror:
    """Rows and balances as of the last block followed; restarted and shrunk at random, which must change nothing."""

    def __init__(self, market: Market, rng: Random) -> None:
        """Mirror the contracts of `market` from their first block on."""
        self.market, self.rng = market, rng
        registry, book, meter = (market.addresses[n].lower() for n in ("IdentityRegistry", "LeaseBook", "UsageMeter"))
        self.fold = Fold(Genesis(registry, book, meter, min(r["block"] for r in market.records.values())))
        self.rows: dict[str, dict[Key, Row]] = {}
        self.balances: dict[tuple[str, str], int] = {}
        self.events: Counter[str] = Counter()
        self.next_block = self.fold.genesis.block
        self.time = 0
        #: Coins sent to an address before it was ours, by (holder, token): no log of ours tells of them.
        self.early: dict[tuple[str, str], int] = {}
        self.state = self._restarted()

    def table(self, name: str) -> dict[Key, Row]:
        """Return the current rows of a table by key."""
        return self.rows.get(name, {})

    def follow(self) -> list[Posting]:
        """Fold every block up to the head; return what was posted."""
        head = self.market.number
        posted: list[Posting] = []
        for number in range(self.next_block, head + 1):
            posted += self._fold_block(number)
        self.next_block = head + 1
        return posted

    def _fold_block(self, number: int) -> list[Posting]:
        at = hex(number)
        header, found = self.market.rpc.batch(
            [("eth_getBlockByNumber", (at, False)), ("eth_getLogs", ({"fromBlock": at, "toBlock": at},))]
        )
        self.time = int(header["timestamp"], 16)
        decoded = self.fold.decode(self.state, [_log(entry, self.time) for entry in found])
        self.events.update(f"{event.kind}.{event.name}" for event in decoded)
        self.state.prefetch(self.fold.keys(self.state, decoded))
        self.fold.apply(self.state, decoded)
        for table, rows in self.state.current().items():
            self.rows.setdefault(table, {}).update(rows)
        self.balances.update(self.state.balances())
        posted = self.state.postings
        self.state.clear()
        chance = self.rng.random()
        if chance < 0.1:
            self.state = self._restarted()
        elif chance < 0.3:
            self.state.shrink()
        return posted

    def _restarted(self) -> State:
        offerings = [(row["share"], row["site_id"]) for row in self.table("offering").values()]
        return self.fold.state(self._load, offerings, [token for (token,) in self.table("token")])

    def _load(self, table: str, keys: Iterable[Key]) -> dict[Key, Any]:
        if table == BALANCE:
            wanted = {account for (account,) in keys}
            return {key: amount for key, amount in self.balances.items() if key[0] in wanted}
        rows = self.table(table)
        return {key: rows[key] for key in keys if key in rows}


def _log(entry: dict[str, Any], time: int) -> Log:
    return Log(
        int(entry["blockNumber"], 16),
        int(entry["logIndex"], 16),
        int(entry["transactionIndex"], 16),
        entry["transactionHash"],
        time,
        entry["address"].lower(),
        tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"]),
        bytes.fromhex(entry["data"][2:]),
    )
