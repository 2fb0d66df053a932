"""The fold: events of the chain, in order, to rows and postings. The store calls three functions a batch:

    events = fold.decode(state, logs)         # any number of blocks, in chain order
    state.prefetch(fold.keys(state, events))  # one loader call a table
    fold.apply(state, events)                 # rows, versions, appends, postings; raises FoldBreach

`apply` calls no node, no database (but the state's loader) and no clock: following, backfill and rebuild are this code.
Logs of one transaction must come in one batch. On a `FoldError` the state is of no more use.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from indexer import events
from indexer.events import Event, Log
from indexer.fold import leasebook, meter, registry, share, token
from indexer.fold.errors import FoldBreach, FoldError
from indexer.fold.journal import LEASEBOOK, Books, Handler
from indexer.fold.state import BALANCE, Key, Known, Loader, Posting, State, Version

__all__ = [
    "BALANCE",
    "FOLD_VERSION",
    "Event",
    "Fold",
    "FoldBreach",
    "FoldError",
    "Genesis",
    "Key",
    "Known",
    "Loader",
    "Log",
    "Posting",
    "State",
    "Version",
]


def _version() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.glob("*.py"), here.parent / "events.py", here.parent / "formulas.py"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


#: SHA-256 (hex) over the sources of fold, decoders and formulas: rows folded by another version are rebuilt.
FOLD_VERSION = _version()

_HANDLERS: dict[str, dict[str, Handler]] = {
    events.REGISTRY: registry.HANDLERS,
    events.LEASEBOOK: leasebook.HANDLERS,
    events.METER: meter.HANDLERS,
    events.SHARE: share.HANDLERS,
    events.TOKEN: token.HANDLERS,
}

_KEYS = {
    events.REGISTRY: registry.keys,
    events.LEASEBOOK: leasebook.keys,
    events.METER: meter.keys,
    events.SHARE: share.keys,
}


class Genesis(NamedTuple):
    """What is known before the first log: our contracts' addresses (lower-case 0x hex) and the block they start at."""

    registry: str
    leasebook: str
    meter: str
    block: int


class Fold:
    """The fold of one deployment."""

    def __init__(self, genesis: Genesis) -> None:
        """Fold the logs of the contracts of `genesis`, of the clones they make and of the tokens they allow."""
        self.genesis = genesis

    def state(self, loader: Loader, offerings: Iterable[tuple[str, int]] = (), tokens: Iterable[str] = ()) -> State:
        """Return a state over `loader` that knows the clones `(share, site_id)` of `mirror.offering` and the `token`
        of every row of `mirror.token`, as of the block from which it goes on.
        """
        known = {
            self.genesis.registry: Known(events.REGISTRY, ""),
            self.genesis.meter: Known(events.METER, ""),
            self.genesis.leasebook: Known(events.LEASEBOOK, LEASEBOOK),
        }
        known |= {address: Known(events.TOKEN, "") for address in tokens}
        known |= {address: Known(events.SHARE, f"offering/{site_id}") for address, site_id in offerings}
        return State(loader, known)

    def topics(self) -> list[bytes]:
        """Return every topic0 that the fold reads, for the node's filter."""
        return sorted({topic for kind in _HANDLERS for topic in events.topics(kind)})

    def discovers(self, log: Log) -> str | None:
        """Return the address whose logs must be read from this log's block on (a clone, a token), or None.

        A clone may have logged earlier in the same transaction: read its logs from the block's first on.
        """
        if log.address != self.genesis.leasebook:
            return None
        event = events.decode(events.LEASEBOOK, log)
        found = _creation(event) if event else None
        return found[0] if found else None

    def decode(self, state: State, logs: Iterable[Log]) -> list[Event]:
        """Return the events of `logs`, in the order to apply them; what concerns us not is left out.

        Adds clones and tokens to `state.known`. Logs of a clone that precede its `SharesIssued` come after it.

        Raises:
            FoldBreach: a log of a contract of ours does not decode.
        """
        found: list[Event] = []
        early: dict[str, list[Log]] = {}
        for log in logs:
            known = state.known.get(log.address)
            if known is None:
                early.setdefault(log.address, []).append(log)
                continue
            event = _decode(known.kind, log)
            if event is None:
                continue
            if known.kind == events.TOKEN and not _is_cash(state, event):
                continue
            found.append(event)
            if known.kind == events.LEASEBOOK and (created := _creation(event)):
                address, made = created
                # A clone stays one, even should policy allow its shares as a settlement token.
                if made.kind == events.SHARE or address not in state.known:
                    state.known[address] = made
                held = [a for a in early.pop(address, ()) if (a.block, a.tx_index) == (log.block, log.tx_index)]
                found += [made_event for a in held if (made_event := _decode(made.kind, a))]
        return found

    def keys(self, state: State, found: Iterable[Event]) -> list[tuple[str, Key]]:
        """Return the rows (table, key) and balances that events are known to touch, to be prefetched."""
        wanted: list[tuple[str, Key]] = []
        for event in found:
            if event.kind == events.TOKEN:
                wanted += token.keys(state.known, event.args)
            else:
                name = state.known[event.log.address].name
                wanted += _KEYS[event.kind](event.name, name, event.log, event.args)
        return wanted

    def apply(self, state: State, found: Iterable[Event]) -> None:
        """Fold events, which hold whole transactions, into `state`.

        Raises:
            FoldBreach: the events contradict the books.
        """
        books = Books(state)
        transaction = None
        log: Log | None = None
        try:
            for event in found:
                if transaction != (event.log.block, event.log.tx_index):
                    books.end_transaction()
                    transaction = event.log.block, event.log.tx_index
                log = event.log
                _HANDLERS[event.kind][event.name](books, log, event.args)
                state.end_log(log.block, log.index)
            books.end_transaction()
        except FoldBreach as breach:
            if log:
                breach.block, breach.log_index, breach.tx_hash = log.block, log.index, log.tx_hash
            raise

    def fold_block(self, state: State, logs: Iterable[Log]) -> None:
        """Decode, prefetch and apply the logs of one block or of many."""
        found = self.decode(state, logs)
        state.prefetch(self.keys(state, found))
        self.apply(state, found)


def _creation(event: Event) -> tuple[str, Known] | None:
    if event.name == "SharesIssued":
        return event.args["share"], Known(events.SHARE, f"offering/{event.args['siteId']}")
    if event.name == "TokenAllowed":
        return event.args["token"], Known(events.TOKEN, "")
    return None


def _is_cash(state: State, event: Event) -> bool:
    return bool(token.holds_cash(state.known, event.args["from"]) or token.holds_cash(state.known, event.args["to"]))


def _decode(kind: str, log: Log) -> Event | None:
    try:
        return events.decode(kind, log)
    except struct.error as error:
        raise FoldBreach(
            f"a log of a {kind} does not decode: {error}",
            block=log.block,
            log_index=log.index,
            tx_hash=log.tx_hash,
        ) from error
