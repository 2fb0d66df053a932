"""The fold: events of the chain, in order, to rows and postings. The store calls three functions a batch:

    events = fold.decode(state, logs)         # any number of blocks, in chain order
    state.prefetch(fold.keys(state, events))  # one loader call a table
    fold.apply(state, events)                 # rows, versions, appends, postings; raises FoldBreach

`apply` calls no node, no database (but the state's loader) and no clock: following, backfill and rebuild are this code.
Logs of one transaction must come in one batch. On a `FoldError` the state is of no more use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from indexer.events import Event, Log
from indexer.fold.errors import FoldBreach, FoldError
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

#: SHA-256 (hex) over the sources of the fold, the decoders and the formulas: rows folded by another version are rebuilt.
FOLD_VERSION = ""


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

    def state(
        self, loader: Loader, offerings: Iterable[tuple[str, int]] = (), tokens: Iterable[str] = ()
    ) -> State:
        """Return a state over `loader` that knows the clones `(share, site_id)` of `mirror.offering` and the `token`
        of every row of `mirror.token`, as of the block from which it goes on."""
        raise NotImplementedError

    def topics(self) -> list[bytes]:
        """Return every topic0 that the fold reads, for the node's filter."""
        raise NotImplementedError

    def discovers(self, log: Log) -> str | None:
        """Return the address whose logs must be read from this log's block on (a clone, a token), or None.

        A clone may have logged earlier in the same transaction: read its logs from the block's first on.
        """
        raise NotImplementedError

    def decode(self, state: State, logs: Iterable[Log]) -> list[Event]:
        """Return the events of `logs`, in the order to apply them; what concerns us not is left out.

        Adds clones and tokens to `state.known`. Logs of a clone that precede its `SharesIssued` come after it.
        """
        raise NotImplementedError

    def keys(self, state: State, events: Iterable[Event]) -> list[tuple[str, Key]]:
        """Return the rows (table, key) and balances that the events are known to touch, to be prefetched."""
        raise NotImplementedError

    def apply(self, state: State, events: list[Event]) -> None:
        """Fold `events`, which hold whole transactions, into `state`.

        Raises:
            FoldBreach: the events contradict the books.
        """
        raise NotImplementedError

    def fold_block(self, state: State, logs: Iterable[Log]) -> None:
        """Decode, prefetch and apply the logs of one block or of many."""
        events = self.decode(state, logs)
        state.prefetch(self.keys(state, events))
        self.apply(state, events)
