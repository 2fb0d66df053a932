"""Why the fold refuses to go on."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.errors import IndexerError


class FoldError(IndexerError):
    """The fold cannot go on; the follower halts."""


@dataclass
class FoldBreach(FoldError):  # noqa: N818 - what an auditor calls it
    """The books and the chain's events disagree: a log is missing, changed or of another contract than we think.

    Names where: the block, the transaction, the account of the journal (or the row) and the amount by which it is off.
    """

    reason: str
    account: str = ""
    token: str = ""
    amount: int = 0
    block: int = 0
    log_index: int = 0
    tx_hash: str = ""

    def __str__(self) -> str:
        """Say it in one line for the log and `/readyz`."""
        parts = [f"block {self.block}", f"log {self.log_index}", f"transaction {self.tx_hash}"]
        if self.account:
            parts.append(f"account {self.account}")
        if self.token:
            parts.append(f"token {self.token}")
        if self.amount:
            parts.append(f"amount {self.amount}")
        return f"{self.reason} ({', '.join(parts)})"
