"""The books: signed postings, debit positive, and the rules that make them a ledger.

Chart of accounts, `<contract>` being `leasebook` or `offering/3` (3 is the site):

    assets       cash:<contract>               posted only from the token's own Transfer logs
    clearing     clearing:<contract>           where cash meets events; zero at the end of every transaction
    liabilities  escrow:lease/7                deposits, penalty and compensation not yet paid out or earned
                 bond:site/3                   the owner's stake
                 credit:0x..                   an owner's earnings, to be withdrawn
                 fee:protocol                  the protocol's
                 deferred:site/3               holders' part that the clone refused
                 pool:offering/3               distributed, not yet attributed to a holder
                 payable:offering/3/0x..       attributed at a transfer or claim
                 unsolicited:<contract>        cash that no event of ours explains: a stranger's gift
    transit      revenue:site/3/<source>       credited and debited in one entry: balance zero, turnover is the report
                 sla:site/3  compensation:site/3

An entry is one log's postings in one token and sums to zero. No asset falls below zero, no liability is owed to us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from indexer.events import Log
from indexer.fold.errors import FoldBreach
from indexer.fold.state import Posting, Row, State

FEE = "fee:protocol"
LEASEBOOK = "leasebook"

_ASSETS = {"cash"}
_CLEARING = {"clearing"}
_LIABILITIES = {"escrow", "bond", "credit", "fee", "deferred", "pool", "payable", "unsolicited"}
_TRANSIT = {"revenue", "sla", "compensation"}


def cash(contract: str) -> str:
    """Settlement tokens that a contract of ours holds."""
    return f"cash:{contract}"


def clearing(contract: str) -> str:
    """Between the token's logs and our events."""
    return f"clearing:{contract}"


def escrow(lease_id: int) -> str:
    """What the LeaseBook holds for a lease."""
    return f"escrow:lease/{lease_id}"


def bond(site_id: int) -> str:
    """A site's bond, locked or not."""
    return f"bond:site/{site_id}"


def credit(account: str) -> str:
    """What an account may withdraw from the LeaseBook."""
    return f"credit:{account}"


def deferred(site_id: int) -> str:
    """Share holders' part that waits for `pushShares`."""
    return f"deferred:site/{site_id}"


def pool(contract: str) -> str:
    """Distributed to an offering (`offering/3`) and attributed to nobody yet."""
    return f"pool:{contract}"


def payable(contract: str, account: str) -> str:
    """Attributed to one holder of an offering (`offering/3`)."""
    return f"payable:{contract}/{account}"


def revenue(site_id: int, source: str) -> str:
    """A site's turnover by source: lease, mining, demand_response, other."""
    return f"revenue:site/{site_id}/{source}"


def sla(site_id: int) -> str:
    """Turnover of penalties that a site paid."""
    return f"sla:site/{site_id}"


def compensation(site_id: int) -> str:
    """Turnover of compensation that a site paid for reclaims."""
    return f"compensation:site/{site_id}"


def unsolicited(contract: str) -> str:
    """Cash of a contract that no event of ours explains."""
    return f"unsolicited:{contract}"


class Journal:
    """Writes the postings of a state, log by log and transaction by transaction."""

    def __init__(self, state: State) -> None:
        """Post into `state`."""
        self.state = state
        self._log: Log | None = None
        self._ordinal = 0
        self._clearing: set[tuple[str, str]] = set()

    def entry(self, log: Log, token: str, *lines: tuple[str, int]) -> None:
        """Post one log's lines `(account, amount)`, debit positive; lines of 0 are left out.

        Raises:
            FoldBreach: the lines do not sum to zero, or an account ends on the wrong side of zero.
        """
        if log is not self._log:
            self._log, self._ordinal = log, 0
        state = self.state
        block, index, ordinal = log.block, log.index, self._ordinal
        off = 0
        after: dict[str, int] = {}
        for account, amount in lines:
            if amount:
                off += amount
                after[account] = balance = state.post(account, token, amount)
                state.postings.append(Posting(block, index, ordinal, account, token, amount, balance))
                ordinal += 1
        self._ordinal = ordinal
        if off:
            raise FoldBreach("the entry does not sum to zero", account=", ".join(after), token=token, amount=off)
        for account, balance in after.items():
            self._check_side(account, token, balance)

    def _check_side(self, account: str, token: str, balance: int) -> None:
        kind = account.partition(":")[0]
        if kind in _CLEARING:
            self._clearing.add((account, token))
        elif kind in _LIABILITIES:
            if balance > 0:
                raise FoldBreach("more was paid out than owed", account=account, token=token, amount=balance)
        elif kind in _ASSETS:
            if balance < 0:
                raise FoldBreach("more cash left than there was", account=account, token=token, amount=-balance)
        elif kind in _TRANSIT:
            if balance:
                raise FoldBreach("a transit account is not zero", account=account, token=token, amount=balance)
        else:
            raise FoldBreach("no such account in the chart", account=account, token=token)

    def expect(self, account: str, token: str, owed: int) -> None:
        """Check a liability against the value after that the contract's event states.

        Raises:
            FoldBreach: they differ, so an earlier log is missing or changed.
        """
        if off := self.state.balance(account, token) + owed:
            raise FoldBreach("the event states another balance", account=account, token=token, amount=off)

    def end_transaction(self) -> None:
        """Move cash that nothing explained to `unsolicited`, as postings of the transaction's last posted log.

        Raises:
            FoldBreach: cash left unexplained, or an event promised cash that did not come.
        """
        log = self._log
        if not self._clearing or not log:
            return
        for account, token in sorted(self._clearing):
            left = self.state.balance(account, token)
            if left > 0:
                raise FoldBreach("no cash came or left as the events say", account=account, token=token, amount=left)
            if left < 0:
                contract = account.partition(":")[2]
                self.entry(log, token, (account, -left), (unsolicited(contract), left))
        self._clearing.clear()
        self._log = None


class Books:
    """What a handler works with: the rows, the journal, and what one transaction must remember."""

    def __init__(self, state: State) -> None:
        """Fold into `state`."""
        self.state = state
        self.journal = Journal(state)
        #: Holder of each lease token burnt in this transaction: `LeaseCollected` does not name him.
        self.burnt: dict[int, str] = {}

    def end_transaction(self) -> None:
        """Check the clearing accounts and forget the transaction."""
        self.journal.end_transaction()
        if self.burnt:
            self.burnt.clear()

    def owe(self, contract: str, token: str, delta: int) -> int:
        """Change what a contract owes in a token, and return what it owes now."""
        key = (contract, token)
        row = self.state.get("owed", key)
        amount: int = (row["amount"] if row else 0) + delta
        if amount < 0:
            raise FoldBreach("more was paid out than owed", account=f"owed:{contract}", token=token, amount=-amount)
        self.state.put("owed", key, {"contract": contract, "token": token, "amount": amount})
        return amount


#: What an event does: `handler(books, log, args)`, args by the ABI's names.
Args = dict[str, Any]
Handler = Callable[[Books, Log, Args], None]


def payout(
    books: Books, log: Log, *, kind: str, token: str, account: str, recipient: str, subject: str, amount: int
) -> None:
    """Record cash that left one of our contracts by somebody's right."""
    row: Row = {
        "block_number": log.block,
        "log_index": log.index,
        "time": log.time,
        "tx_hash": log.tx_hash,
        "kind": kind,
        "contract": log.address,
        "token": token,
        "account": account,
        "recipient": recipient,
        "subject": subject,
        "amount": amount,
    }
    books.state.append("payout", row)
