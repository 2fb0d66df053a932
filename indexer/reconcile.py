"""Comparing the books with the chain: what each account should hold is asked of the contracts, by block hash.

After every block: the accounts it posted to, and cash and the stored total owed of each contract it touched; of the
LeaseBook always, so that each block is compared with something. Every 256 blocks and on demand all accounts, and the
journal with itself. It follows the mirror in its own process: the mirror never waits for it. What it found is kept in
`desk.reconciliation`; a check that compared nothing has not passed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from indexer import deployment as deployments
from indexer.calls import ERC20, View, call, result, view
from indexer.desk import CHANNEL
from indexer.errors import BadMirror, Refused, RpcError
from indexer.fold import Genesis
from indexer.rpc import Call, Node, open_node
from indexer.settings import Settings
from indexer.store import Cursor, connect

logger = logging.getLogger(__name__)

LEASEBOOK = "leasebook"
NO_TOKEN = "0x" + 40 * "0"  # before a token is allowed the LeaseBook owes nothing, not even in this one
BLOCKS_A_STEP = 32
PAUSE_SECONDS = 1.0
REVERTED = 3  # JSON-RPC code of a call that the contract refused

Difference = dict[str, str]
Amount = Callable[[dict[str, Any]], int]


class Account(NamedTuple):
    """An account of the journal in one token, and what the books say: base units, as the chain counts them."""

    name: str
    token: str
    books: int


class Question(NamedTuple):
    """An account, the call that answers for it, and how its results make the amount."""

    account: Account
    view: View
    call: Call
    amount: Amount


class Result(NamedTuple):
    """What comparing one block found."""

    block: int
    hash: str
    kind: str
    accounts_compared: int
    differences: list[Difference]
    node_calls: int
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.error is None and self.accounts_compared > 0 and not self.differences


class Reconciler:
    """Compares one chain's books with its node.

    Args:
        connection: its own; it reads the mirror and writes its results.
        node: its own.
        chain_id: EIP-155.
        genesis: the deployment.
        sweep_blocks: every so many blocks all accounts are compared.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], node: Node, chain_id: int, genesis: Genesis, sweep_blocks: int = 256
    ) -> None:
        self.connection = connection
        self.node = node
        self.chain_id = chain_id
        self.genesis = genesis
        self.sweep_blocks = sweep_blocks
        self._last: Cursor | None = None
        self._addresses: dict[str, str] = {}
        self._openings: dict[tuple[str, str], int] = {}

    # ------------------------------------------------------------------ following

    def step(self) -> list[Result]:
        """Compare the next blocks that the mirror has and no result is kept for; return the results."""
        books: list[tuple[Cursor, list[Account], str]] = []
        with self.connection.transaction():
            # one snapshot: postings and headers of the same chain, whatever the follower does meanwhile
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for block in self._waiting():
                if block.number % self.sweep_blocks == 0:  # first, for the block's own result says where to go on
                    books.append((block, self._all(block.number), "sweep"))
                books.append((block, self._touched(block.number), "block"))
            checked = {block.number: self.check_journal(block.number) for block, _, kind in books if kind == "sweep"}
        results = self._compare(books)
        for position, found in enumerate(results):
            if found.kind == "sweep":
                results[position] = found._replace(differences=found.differences + checked[found.block])
            self._keep(results[position])
        if books:
            self._last = books[-1][0]
        return results

    def sweep(self) -> Result:
        """Compare every account at the mirror's newest block, and the whole journal with itself; keep the result."""
        with self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = self._one("SELECT block_number, block_hash FROM mirror.cursor WHERE chain_id = %s", self.chain_id)
            if row is None:
                raise BadMirror("the mirror is empty: run `python -m indexer follow` first")
            block = Cursor(*row)
            accounts = self._all(block.number)
            differences = self.check_journal(block.number, whole=True)
        found = self._compare([(block, accounts, "sweep")])[0]
        found = found._replace(differences=found.differences + differences)
        self._keep(found)
        return found

    def _waiting(self) -> list[Cursor]:
        """Return the next blocks to compare: after the last one compared that the mirror still holds."""
        last = self._last
        if last is not None:
            row = self._one(
                "SELECT hash FROM mirror.header WHERE chain_id = %s AND block_number = %s", self.chain_id, last.number
            )
            if row is None or row[0] != last.hash:
                last = None
                self._addresses.clear()
                self._openings.clear()
        after = -1 if last is None else last.number
        if last is None:
            row = self._one(
                "SELECT r.block_number FROM desk.reconciliation r JOIN mirror.header h ON h.chain_id = r.chain_id "
                "AND h.block_number = r.block_number AND h.hash = r.block_hash "
                "WHERE r.chain_id = %s AND r.kind = 'block' ORDER BY r.block_number DESC LIMIT 1",
                self.chain_id,
            )
            after = row[0] if row else -1
        rows = self.connection.execute(
            "SELECT h.block_number, h.hash FROM mirror.header h JOIN mirror.chain c USING (chain_id) "
            "WHERE h.chain_id = %s AND h.block_number > %s AND h.block_number >= c.first_block "
            "ORDER BY h.block_number LIMIT %s",
            [self.chain_id, after, BLOCKS_A_STEP],
        )
        return [Cursor(*row) for row in rows]

    def _keep(self, found: Result) -> None:
        self.connection.execute(
            "INSERT INTO desk.reconciliation (chain_id, block_number, block_hash, kind, accounts_compared, "
            "differences, node_calls, error) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (chain_id, block_number, block_hash, kind) DO UPDATE SET checked_at = now(), "
            "accounts_compared = excluded.accounts_compared, differences = excluded.differences, "
            "node_calls = excluded.node_calls, error = excluded.error",
            [
                self.chain_id,
                found.block,
                found.hash,
                found.kind,
                found.accounts_compared,
                Jsonb(found.differences),
                found.node_calls,
                found.error,
            ],
        )
        if found.differences:
            logger.error(
                "the books differ from the chain",
                extra={"block": found.block, "hash": found.hash, "differences": found.differences},
            )
        elif found.error:
            logger.warning("a block could not be compared", extra={"block": found.block, "error": found.error})

    # ------------------------------------------------------------------ what the books say

    def _touched(self, block: int) -> list[Account]:
        """Return the accounts that a block posted to, and cash and total owed of each contract it touched."""
        posted = self.connection.execute(
            "SELECT DISTINCT ON (p.account, p.token) a.name, lower(t.address), p.balance FROM mirror.posting p "
            "JOIN mirror.account a ON a.chain_id = p.chain_id AND a.id = p.account "
            "JOIN mirror.address t ON t.chain_id = p.chain_id AND t.id = p.token "
            "WHERE p.chain_id = %s AND p.block_number = %s "
            "ORDER BY p.account, p.token, p.log_index DESC, p.ordinal DESC",
            [self.chain_id, block],
        ).fetchall()
        found = {(name, token): Account(name, token, _as_chain(name, balance)) for name, token, balance in posted}
        for contract, token in self._contracts(block, [name for name, _, _ in posted]):
            cash = self._balance(f"cash:{contract}", token, block)
            gifts = self._balance(f"unsolicited:{contract}", token, block)
            if token != NO_TOKEN:
                found[f"cash:{contract}", token] = Account(f"cash:{contract}", token, cash)
            found[f"owed:{contract}", token] = Account(f"owed:{contract}", token, cash + gifts)
        return [account for account in found.values() if account.name.partition(":")[0] in _ASKED]

    def _contracts(self, block: int, posted: list[str]) -> list[tuple[str, str]]:
        """Return (contract, token): the LeaseBook in every token, and the clones that the block touched."""
        tokens = [
            token
            for (token,) in self.connection.execute(
                "SELECT DISTINCT lower(a.address) FROM mirror.token_version v "
                "JOIN mirror.address a ON a.chain_id = v.chain_id AND a.id = v.token "
                "WHERE v.chain_id = %s AND v.block_number <= %s",
                [self.chain_id, block],
            )
        ]
        pairs = [(LEASEBOOK, token) for token in tokens or [NO_TOKEN]]
        names = {name.split(":")[1] for name in posted if name.startswith("cash:offering/")}
        clones = self.connection.execute(
            "SELECT DISTINCT o.site_id, lower(t.address) FROM mirror.offering o "
            "JOIN mirror.address t ON t.chain_id = o.chain_id AND t.id = o.token "
            "LEFT JOIN mirror.raw_log l ON l.chain_id = o.chain_id AND l.address = o.share AND l.block_number = %s "
            "WHERE o.chain_id = %s AND (l.address IS NOT NULL OR 'offering/' || o.site_id = ANY(%s))",
            [block, self.chain_id, list(names)],
        )
        return pairs + [(f"offering/{site}", token) for site, token in clones]

    def _all(self, block: int) -> list[Account]:
        """Return every account at a block, and the total owed of each contract."""
        rows = self.connection.execute(
            "SELECT a.name, lower(t.address), p.balance FROM mirror.balance b "
            "JOIN mirror.account a ON a.chain_id = b.chain_id AND a.id = b.account "
            "JOIN mirror.address t ON t.chain_id = b.chain_id AND t.id = b.token CROSS JOIN LATERAL ("
            "SELECT balance FROM mirror.posting p WHERE p.chain_id = b.chain_id AND p.account = b.account "
            "AND p.token = b.token AND p.block_number <= %s "
            "ORDER BY p.block_number DESC, p.log_index DESC, p.ordinal DESC LIMIT 1) p "
            "WHERE b.chain_id = %s ORDER BY a.name, 2",
            [block, self.chain_id],
        ).fetchall()
        found = {(name, token): Account(name, token, _as_chain(name, balance)) for name, token, balance in rows}
        owed: dict[tuple[str, str], int] = {}
        for account in found.values():
            kind = account.name.partition(":")[0]
            if kind in _OWED:
                key = (_contract_of(account.name), account.token)
                owed[key] = owed.get(key, 0) + account.books
        for contract, token in self._contracts(block, [name for name, _, _ in rows]):
            if token != NO_TOKEN:
                found.setdefault((f"cash:{contract}", token), Account(f"cash:{contract}", token, 0))
            total = owed.get((contract, token), 0)
            found[f"owed:{contract}", token] = Account(f"owed:{contract}", token, total)
        return [account for account in found.values() if account.name.partition(":")[0] in _ASKED]

    def _balance(self, name: str, token: str, block: int) -> int:
        row = self._one(
            "SELECT p.balance FROM mirror.posting p "
            "JOIN mirror.account a ON a.chain_id = p.chain_id AND a.id = p.account AND a.name = %s "
            "JOIN mirror.address t ON t.chain_id = p.chain_id AND t.id = p.token AND lower(t.address) = %s "
            "WHERE p.chain_id = %s AND p.block_number <= %s "
            "ORDER BY p.block_number DESC, p.log_index DESC, p.ordinal DESC LIMIT 1",
            name,
            token,
            self.chain_id,
            block,
        )
        return int(row[0]) if row else 0

    def check_journal(self, block: int, *, whole: bool = False) -> list[Difference]:
        """Compare the journal with itself: entries sum to zero, each balance continues the one before.

        Args:
            block: up to here.
            whole: from the beginning; else the last `sweep_blocks` blocks.
        """
        first = 0 if whole else block - self.sweep_blocks
        rows = self.connection.execute(_JOURNAL, {"chain": self.chain_id, "first": first, "last": block})
        return [
            {"account": name, "token": token, "books": str(books), "chain": str(expected)}
            for name, token, books, expected in rows
        ]

    # ------------------------------------------------------------------ what the chain says

    def _compare(self, books: list[tuple[Cursor, list[Account], str]]) -> list[Result]:
        """Ask the node for all accounts of all blocks at once."""
        asked = [self._questions(block, accounts) for block, accounts, _ in books]
        answers = iter(self.node.try_batch([question.call for questions, _ in asked for question in questions]))
        results = []
        for (block, _, kind), (questions, unreadable) in zip(books, asked, strict=True):
            differences: list[Difference] = []
            error = unreadable
            for question in questions:
                answer = next(answers)
                if isinstance(answer, Refused) and answer.code != REVERTED:
                    error = answer
                    continue
                # what reverts is not there, and holds nothing
                chain = question.amount(result(question.view, "0x" if isinstance(answer, Refused) else answer))
                name, token, said = question.account
                if chain != said:
                    differences.append({"account": name, "token": token, "books": str(said), "chain": str(chain)})
            compared = 0 if error else len(questions)
            why = f"state_unavailable: {error}" if error else None
            results.append(Result(block.number, block.hash, kind, compared, differences, len(questions), why))
        return results

    def _questions(self, block: Cursor, accounts: list[Account]) -> tuple[list[Question], Refused | None]:
        try:
            return [self._question(account, block.hash) for account in accounts], None
        except Refused as refused:  # what was there before the books cannot be read any more
            return [], refused

    def _question(self, account: Account, block_hash: str) -> Question:
        kind, _, subject = account.name.partition(":")
        token, book = account.token, self.genesis.leasebook

        def ask(to: str, contract: str, name: str, *args: int | str, amount: Amount = _plain) -> Question:
            function = view(contract, name)
            return Question(account, function, call(to, function, *args, block_hash=block_hash), amount)

        if kind == "cash":
            opening = self._opening(subject, token)
            account = account._replace(books=account.books + opening)
            return ask(token, ERC20, "balanceOf", self._address(subject))
        if kind == "owed":
            name = "LeaseBook" if subject == LEASEBOOK else "CapacityShare"
            return ask(self._address(subject), name, "totalOwed", token)
        if kind == "credit":
            return ask(book, "LeaseBook", "creditOf", token, subject)
        if kind == "fee":
            return ask(book, "LeaseBook", "feesOf", token)
        if kind == "payable":
            contract, _, holder = subject.rpartition("/")
            return ask(self._address(contract), "CapacityShare", "accountOf", holder, amount=_accrued)
        number = int(subject.split("/")[1])
        if kind == "escrow":
            return ask(book, "LeaseBook", "leaseOf", number, amount=_held)
        if kind == "bond":
            return ask(book, "LeaseBook", "siteOf", number, amount=_bond)
        return ask(book, "LeaseBook", "pendingSharesOf", number)  # deferred

    def _address(self, contract: str) -> str:
        """Return the address of a contract by its name in the books."""
        if contract == LEASEBOOK:
            return self.genesis.leasebook
        if contract in self._addresses:
            return self._addresses[contract]
        row = self._one(
            "SELECT lower(a.address) FROM mirror.offering o JOIN mirror.address a ON a.chain_id = o.chain_id "
            "AND a.id = o.share WHERE o.chain_id = %s AND o.site_id = %s",
            self.chain_id,
            int(contract.split("/")[1]),
        )
        if row is None:
            raise BadMirror(f"the books name {contract}, and the mirror has no such offering")
        self._addresses[contract] = str(row[0])
        return self._addresses[contract]

    # ------------------------------------------------------------------ what was there before the books

    def _opening(self, contract: str, token: str) -> int:
        """Return what strangers had sent to a contract before the mirror read its token, or it existed.

        A clone's address can be computed before it is made, so anybody may leave a coin there.
        """
        if (contract, token) not in self._openings:
            self._openings[contract, token] = self._read_opening(contract, token)
        return self._openings[contract, token]

    def _read_opening(self, contract: str, token: str) -> int:
        row = self._one(_BEFORE, {"chain": self.chain_id, "token": token, "contract": contract})
        if row is None:
            return 0
        key = [self.chain_id, f"cash:{contract}", token, row[0]]
        known = self._one(
            "SELECT amount FROM desk.opening WHERE chain_id = %s AND account = %s AND token = %s AND block_hash = %s",
            *key,
        )
        if known is not None:
            return int(known[0])
        function = view(ERC20, "balanceOf")
        asked = call(token, function, self._address(contract), block_hash=row[0])
        amount = int(result(function, self.node.batch([asked])[0])[""])
        self.connection.execute(
            "INSERT INTO desk.opening (chain_id, account, token, block_hash, amount) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [*key, amount],
        )
        return amount

    def _one(self, statement: str, *values: Any) -> Any:
        given = values[0] if values and isinstance(values[0], dict) else values
        return self.connection.execute(statement, given).fetchone()


#: Accounts that the chain has an answer for; a pool's is in the total owed, together with what is payable.
_ASKED = {"cash", "owed", "escrow", "bond", "credit", "fee", "deferred", "payable"}
_OWED = {"escrow", "bond", "credit", "fee", "deferred", "pool", "payable"}

#: The block before both a token and a contract were known to the mirror.
_BEFORE = """
SELECT h.hash FROM mirror.header h WHERE h.chain_id = %(chain)s AND h.block_number = -1 + greatest(
  (SELECT min(v.block_number) FROM mirror.token_version v
   JOIN mirror.address a ON a.chain_id = v.chain_id AND a.id = v.token AND lower(a.address) = %(token)s
   WHERE v.chain_id = %(chain)s),
  (SELECT min(v.block_number) FROM mirror.offering_version v
   WHERE v.chain_id = %(chain)s AND 'offering/' || v.site_id = %(contract)s))
"""

_JOURNAL = """
WITH p AS (
  SELECT p.*, a.name, lower(t.address) AS token_text FROM mirror.posting p
  JOIN mirror.account a ON a.chain_id = p.chain_id AND a.id = p.account
  JOIN mirror.address t ON t.chain_id = p.chain_id AND t.id = p.token
  WHERE p.chain_id = %(chain)s AND p.block_number > %(first)s AND p.block_number <= %(last)s
), running AS (
  SELECT p.name, p.token_text, p.balance, p.amount + coalesce(
    lag(p.balance) OVER (PARTITION BY p.account, p.token ORDER BY p.block_number, p.log_index, p.ordinal),
    (SELECT b.balance FROM mirror.posting b WHERE b.chain_id = %(chain)s AND b.account = p.account
       AND b.token = p.token AND b.block_number <= %(first)s
     ORDER BY b.block_number DESC, b.log_index DESC, b.ordinal DESC LIMIT 1), 0) AS expected
  FROM p
), ends AS (
  SELECT DISTINCT ON (p.account, p.token) p.name, p.token_text, p.balance FROM p
  ORDER BY p.account, p.token, p.block_number DESC, p.log_index DESC, p.ordinal DESC
)
SELECT name, token_text, balance, expected FROM running WHERE balance <> expected
UNION ALL
SELECT name, token_text, balance, 0 FROM ends
WHERE balance <> 0 AND split_part(name, ':', 1) IN ('clearing', 'revenue', 'sla', 'compensation')
UNION ALL
SELECT 'entry ' || block_number || '/' || log_index || ' ' || string_agg(name, ' ' ORDER BY ordinal), token_text,
       sum(amount), 0
FROM p GROUP BY block_number, log_index, token_text HAVING sum(amount) <> 0
"""


def _as_chain(name: str, balance: int) -> int:
    """Return a balance as the chain counts it: what is owed is positive there, and a credit here."""
    return balance if name.startswith("cash:") else -balance


def _contract_of(name: str) -> str:
    """Return the contract whose total owed holds a liability: the clone's for pools and payables."""
    kind, _, subject = name.partition(":")
    if kind == "pool":
        return subject
    return subject.rpartition("/")[0] if kind == "payable" else LEASEBOOK


def _plain(found: dict[str, Any]) -> int:
    return int(found[""])


def _bond(found: dict[str, Any]) -> int:
    return int(found["bond"])


def _accrued(found: dict[str, Any]) -> int:
    return int(found["accrued"])


def _held(lease: dict[str, Any]) -> int:
    paid_in = lease["deposited"] + lease["compensation"] + lease["penalty"]
    return int(paid_in - lease["rentTotal"] - lease["collected"])


@contextmanager
def open_reconciler(settings: Settings) -> Iterator[Reconciler]:
    """Open a reconciler with a connection and a node of its own."""
    deployment = deployments.load(settings.deployment)
    with open_node(settings) as node, connect(settings.database_url) as connection:
        yield Reconciler(connection, node, deployment.chain_id, deployment.genesis(), settings.sweep_blocks)


def sweep_once(settings: Settings) -> Result:
    """Compare every account at the mirror's newest block."""
    with open_reconciler(settings) as reconciler:
        return reconciler.sweep()


def run(settings: Settings, stopping: Callable[[], bool]) -> None:
    """Follow the mirror until ``stopping``, comparing each block."""
    with open_reconciler(settings) as reconciler:
        reconciler.connection.execute(f"LISTEN {CHANNEL}")
        while not stopping():
            try:
                done = reconciler.step()
            except (
                RpcError,
                psycopg.errors.UndefinedTable,
                BadMirror,
            ) as error:  # no node, no schema yet, or a rebuild
                logger.warning("cannot compare now", extra={"error": str(error)})
                time.sleep(PAUSE_SECONDS)
                continue
            if not done:
                for _ in reconciler.connection.notifies(timeout=PAUSE_SECONDS, stop_after=1):
                    pass
