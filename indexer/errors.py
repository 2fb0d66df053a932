"""What can go wrong, by what to do about it.

IndexerError
├── SettingsError      the operator's: a wrong URL, no deployments file, a database never migrated
├── WrongChain         the node serves another chain than the database belongs to
├── Locked             another indexer follows this chain
├── LostEpoch          a standby took over while this process was frozen
├── BadMirror          rows are missing that must be there: somebody changed the mirror
├── Halted             the chain is stopped until an operator acts; stays so after a restart
├── FoldError          in `indexer.fold.errors`: the chain's events and the books disagree
└── RpcError           the node's
    ├── Unreachable    no answer, or one that says "try again": passing
    ├── Refused        a JSON-RPC error: `code`, `message`
    └── BadAnswer      an answer that cannot be: a missing id, a log of another block, a header without its parent
        └── Moved      the chain was reorganised between two requests: ask again
"""

from __future__ import annotations


class IndexerError(Exception):
    """Root of all errors of the indexer."""


class SettingsError(IndexerError):
    """The operator's settings cannot work; the message says which and how to mend it."""


class WrongChain(IndexerError):  # noqa: N818 - reads as what it is
    """The node's chain, or its deployment, is not the one in the database."""


class Locked(IndexerError):  # noqa: N818
    """Another process holds the chain's advisory lock."""


class LostEpoch(IndexerError):  # noqa: N818
    """The cursor's epoch was raised by another writer: nothing of this batch was kept."""


class BadMirror(IndexerError):  # noqa: N818
    """The mirror lacks rows that it must have: somebody changed it."""


class Halted(IndexerError):  # noqa: N818
    """The chain is halted; ``reason`` is stored in the database."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}. This chain stays halted, also after a restart, until its mirror is folded anew: "
            "find out what happened, then run `python -m indexer reset`"
        )
        self.reason = reason


class RpcError(IndexerError):
    """The node failed or lied."""


class Unreachable(RpcError):  # noqa: N818
    """No answer, a time-out, or an HTTP status that says to try again."""


class Refused(RpcError):  # noqa: N818
    """The node answered with a JSON-RPC error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code = code
        self.message = message


class BadAnswer(RpcError):  # noqa: N818
    """The node's answer contradicts itself or its headers."""


class Moved(BadAnswer):
    """The blocks asked for were replaced between two requests."""
