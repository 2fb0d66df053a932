"""Following a chain, from top to bottom: check that it is ours, catch up, stay at the tip, mend reorgs, or halt.

    connect -> check -> ( look -> reorganised? roll back : catch up : wait )*

Each look compares the node's block at our height with the one we hold, so that a tip replaced at the same height or
lowered is seen, at start too. What no code can mend safely (a reorg below a finalized block, events that contradict the
books) halts the chain for good, with its reason in the database.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import psycopg

from indexer import deployment as deployments
from indexer import migrate
from indexer.deployment import Deployment
from indexer.desk import Desk
from indexer.errors import BadAnswer, Moved, RpcError, WrongChain
from indexer.events import keccak256
from indexer.fold import FOLD_VERSION, Fold, FoldError
from indexer.heads import Heads
from indexer.rpc import Node, open_node
from indexer.settings import Settings
from indexer.source import Batch, Header, Source, header
from indexer.store import Cursor, Store, connect

logger = logging.getLogger(__name__)

ANCESTOR_STEP = 16
SLOW_SECONDS = 2.0
MAX_PAUSE_SECONDS = 5.0
HEARTBEAT_SECONDS = 1.0
PATIENCE = 8  # ranges that must succeed after a failure before longer ones are tried again
MOVES = 3  # reorganised under a request: ask again at once, so many times


class Look(NamedTuple):
    """The node's tip, and its block at our cursor's height (None: it has none)."""

    at_cursor: Header | None
    latest: Header
    safe: Header
    finalized: Header


class Follower:
    """Follows one chain into one database.

    Args:
        settings: of this process.
        connection: the store's; it will hold the writer's lock.
        node: for looking.
        ahead: for fetching ranges, in a thread of its own.
    """

    def __init__(
        self, settings: Settings, connection: psycopg.Connection[Any], node: Node, ahead: Node | None = None
    ) -> None:
        self.settings = settings
        self.node = node
        self.ahead = ahead or node
        self.connection = connection
        self.deployment: Deployment = deployments.load(settings.deployment)
        self.desk = Desk(connection, self.deployment.chain_id)
        self.heads = Heads(settings.newheads_url)
        self.ranges = Ranges(settings)
        self.store: Store
        self._tip: tuple[str, str] | None = None
        self._beat = 0.0

    # ------------------------------------------------------------------ the story

    def run(self, on_ready: Callable[[], None], stopping: Callable[[], bool] = lambda: False) -> None:
        """Follow until ``stopping``; call ``on_ready`` once at the tip.

        Raises:
            WrongChain: node, database and deployments file do not belong together.
            Locked: another process follows this chain.
            LostEpoch: another process took over.
            Halted: the chain is halted, now or since an earlier run.
        """
        self.desk.take_lock(self.settings.lock_seconds)
        self.desk.check_halted()
        self.heads.start()
        began = ready = False
        failures = 0
        while not stopping():
            try:
                if not began:
                    self.begin()
                    began = True
                at_tip = self.step()
            except RpcError as error:
                failures += 1
                if not isinstance(error, Moved) or failures > MOVES:
                    self.failed(error, failures)
                if began:
                    self.store.reset()  # what a half-used batch made known is forgotten
                continue
            failures = 0
            if at_tip:
                if not ready:
                    self.desk.ready()
                    on_ready()
                    ready = True
                self.heads.wait(self.settings.poll_seconds)

    def failed(self, error: RpcError, failures: int) -> None:
        """Record that the node failed once more, and pause, the longer the more often."""
        logger.warning("the node failed", extra={"error": str(error), "failures": failures})
        self.desk.failed(error)
        longest = min(MAX_PAUSE_SECONDS, 0.05 * 2 ** min(failures, 10))
        time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter is no secret

    def begin(self) -> None:
        """Check that node, deployments file and database belong together, and begin the mirror if it is empty."""
        self._check_node()
        genesis = self.deployment.genesis()
        fold = Fold(genesis)
        chain = self.connection.execute(
            "SELECT genesis_hash, deployment, fold_version FROM mirror.chain WHERE chain_id = %s",
            [self.deployment.chain_id],
        ).fetchone()
        mine = (self.deployment.genesis_hash, self.deployment.identity())
        if chain is not None and chain[:2] != mine:
            raise WrongChain(
                f"this database mirrors another chain: genesis {chain[0]} with {chain[1]}, but the node and the "
                f"deployments file have genesis {mine[0]} with {mine[1]}. To drop that mirror and begin this one, run "
                "`python -m indexer reset`"
            )
        if chain is not None and chain[2] != FOLD_VERSION:
            from indexer.rebuild import rebuild

            logger.info("the fold has changed: folding the raw logs again")
            rebuild(self.connection, self.settings.sqlalchemy_url)
        self.store = Store(self.connection, self.deployment.chain_id, fold, genesis)
        if chain is None:
            anchor = header(self.node.call("eth_getBlockByNumber", hex(genesis.block - 1), False))
            self.store.begin(*mine, anchor)

    def step(self) -> bool:
        """Look once and do what the look asks for; return whether the mirror is at the tip."""
        cursor = self.cursor()
        look = self.look(cursor)
        if look.at_cursor is None or look.at_cursor.hash != cursor.hash:
            self.reorganised(cursor, look)
            return False
        behind = look.latest.number - cursor.number
        if behind != 1:
            self._remember(look)
        if behind <= 0:
            return True
        self.catch_up(cursor, look)
        if behind == 1:  # at the tip the block is shown first
            self._remember(look)
        return False

    # ------------------------------------------------------------------ looking

    def cursor(self) -> Cursor:
        """Return where the mirror stands."""
        found = self.store.cursor()
        if found is None:
            raise WrongChain("the mirror was dropped while it was followed: start again")
        return found

    def look(self, cursor: Cursor) -> Look:
        """Ask the node for its tip and for its block at the cursor, at once."""
        asked = [hex(cursor.number), "latest", "safe", "finalized"]
        answers = self.node.batch([("eth_getBlockByNumber", [block, False]) for block in asked])
        here, latest, safe, finalized = (None if answer is None else header(answer) for answer in answers)
        if latest is None:
            raise BadAnswer("the node has no latest block")
        floor = Header(0, self.deployment.genesis_hash, "", 0, 0)  # nothing is safe yet on a young chain
        return Look(here, latest, safe or floor, finalized or floor)

    def _remember(self, look: Look) -> None:
        tip = (look.latest.hash, look.finalized.hash)
        if tip == self._tip and time.monotonic() - self._beat < HEARTBEAT_SECONDS:
            return
        final = look.finalized
        self.desk.remember_tip((look.latest.number, look.latest.time), look.safe.number, (final.number, final.hash))
        self._tip, self._beat = tip, time.monotonic()

    # ------------------------------------------------------------------ going forward

    def catch_up(self, cursor: Cursor, look: Look) -> None:
        """Apply what lies between the cursor and the tip seen, fetching one range ahead of the one being stored."""
        for batch in self.fetched(cursor.number + 1, look):
            self.apply(batch)

    def fetched(self, first: int, look: Look) -> Iterator[Batch]:
        """Yield checked batches in order; the next is fetched while the last is stored."""
        source = Source(self.ahead, self.store.watch)
        last = look.latest.number
        if first == last:  # one block at the tip: its header is here already, its logs are asked for by its hash
            yield source.fetch(first, last, [look.latest])
            return
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
            waiting = pool.submit(self.ranges.fetch, source, first, last)
            while True:
                batch = waiting.result()
                following = batch.headers[-1].number + 1
                if following <= last:
                    waiting = pool.submit(self.ranges.fetch, source, following, last)
                yield batch
                if following > last:
                    return

    def apply(self, batch: Batch) -> None:
        """Store a batch with its line in the outbox, in one transaction.

        Raises:
            Moved: it does not follow the cursor, so the chain was reorganised meanwhile.
            Halted: its events contradict the books.
        """
        first, last = batch.headers[0], batch.headers[-1]
        try:
            self.store.apply(batch, lambda: self.desk.applied(first.number, last.number, last.hash))
        except FoldError as breach:
            self.store.reset()
            raise self.desk.halt(f"the books and the chain's events disagree: {breach}") from breach
        logger.debug("applied", extra={"from": first.number, "to": last.number, "logs": len(batch.logs)})

    # ------------------------------------------------------------------ going back

    def reorganised(self, cursor: Cursor, look: Look) -> None:
        """Find the last block that the node and the mirror share, and take back what lies above it.

        Raises:
            Halted: that block lies below one that was finalized.
            WrongChain: they share not even the genesis.
        """
        self._check_node()
        known = self.desk.finalized() or (0, self.deployment.genesis_hash)
        ancestor = self.ancestor(min(cursor.number, look.latest.number))
        if ancestor is None or ancestor.number < known[0]:
            if ancestor is not None and ancestor.number == look.latest.number:
                # all that it has is ours, and less than was once finalized: it has not caught up yet
                raise BadAnswer(
                    f"the node is behind: at block {ancestor.number}, block {known[0]} was finalized before"
                )
            where = "the mirror's first block" if ancestor is None else f"block {ancestor.number}"
            raise self.desk.halt(
                f"the chain was reorganised past finality: it was replaced after {where}, and block {known[0]} "
                f"{known[1]} was finalized"
            )
        logger.info("reorganised", extra={"ancestor": ancestor.number, "from": cursor.number})
        self.store.roll_back(
            ancestor.number,
            lambda: self.desk.rolled_back(ancestor.number, ancestor.hash, cursor.number, cursor.hash),
        )

    def ancestor(self, highest: int) -> Cursor | None:
        """Return the last block at or below ``highest`` that the node has under the same hash, if any."""
        last = highest
        while mine := self.store.headers(max(0, last - ANCESTOR_STEP + 1), last):
            answers = self.node.batch([("eth_getBlockByNumber", [hex(block.number), False]) for block in mine])
            for block, answer in zip(reversed(mine), reversed(answers), strict=True):
                if answer is not None and header(answer).hash == block.hash:
                    return block
            last = mine[0].number - 1
        return None

    # ------------------------------------------------------------------ whether all belongs together

    def _check_node(self) -> None:
        """Compare chain id, genesis and code with the deployments file.

        Raises:
            WrongChain: they differ.
        """
        contracts = list(self.deployment.contracts.items())
        chain_id, genesis, *codes = self.node.batch(
            [
                ("eth_chainId", []),
                ("eth_getBlockByNumber", ["0x0", False]),
                *(("eth_getCode", [contract.address, "latest"]) for _, contract in contracts),
            ]
        )
        file = self.settings.deployment
        if int(chain_id, 16) != self.deployment.chain_id:
            raise WrongChain(
                f"the node serves chain {int(chain_id, 16)}, {file} is of chain {self.deployment.chain_id}: "
                "set DRAKEWELL_RPC_URL or DRAKEWELL_DEPLOYMENT"
            )
        if (found := header(genesis).hash) != self.deployment.genesis_hash:
            raise WrongChain(
                f"the node's genesis is {found}, {file} was deployed on {self.deployment.genesis_hash}: a new chain "
                "with the same id. Deploy on it, then run `python -m indexer reset`"
            )
        for (name, contract), code in zip(contracts, codes, strict=True):
            if code == "0x":
                raise BadAnswer(
                    f"the node has no code at {contract.address} ({name}): it is not synced, or lost its state"
                )
            if "0x" + keccak256(bytes.fromhex(code[2:])).hex() != contract.code_hash:
                raise WrongChain(f"the node has other code than {file} says at {contract.address} ({name})")


class Ranges:
    """How many blocks to ask for at once: halved on any error, doubled while answers are small and quick."""

    def __init__(self, settings: Settings) -> None:
        self.blocks = 64
        self._patience = 0
        self._most = settings.max_range
        self._logs = settings.batch_logs

    def fetch(self, source: Source, first: int, last: int) -> Batch:
        """Return the longest batch from ``first`` that the node gives.

        Raises:
            RpcError: it does not even give the one block ``first``.
            Moved: the chain was reorganised under the request.
        """
        while True:
            upto = min(last, first + self.blocks - 1)
            started = time.monotonic()
            try:
                batch = source.fetch(first, upto)
            except Moved:
                raise
            except RpcError as error:
                if upto == first:
                    raise
                self.blocks = (upto - first + 1) // 2
                self._patience = PATIENCE
                logger.info("range halved", extra={"from": first, "blocks": self.blocks, "error": str(error)})
                continue
            self._adapt(len(batch.logs), time.monotonic() - started)
            return batch

    def _adapt(self, logs: int, seconds: float) -> None:
        if logs > self._logs or seconds > SLOW_SECONDS:
            self.blocks = max(1, self.blocks // 2)
        elif self._patience:
            self._patience -= 1
        elif logs < self._logs // 2:
            self.blocks = min(self._most, self.blocks * 2)


def follow(settings: Settings, on_ready: Callable[[], None], stopping: Callable[[], bool] = lambda: False) -> None:
    """Connect, migrate if the database lacks something, and follow the chain; errors as for `Follower.run`."""
    migrate.ensure(settings.database_url, settings.sqlalchemy_url)
    with open_node(settings) as node, open_node(settings) as ahead, connect(settings.database_url) as connection:
        Follower(settings, connection, node, ahead).run(on_ready, stopping)
