"""Is the mirror what the chain says? Three mirrors, table by table, and contract storage.

The live mirror is compared with one folded again from its raw logs (so it is a function of them alone) and with one
fetched again from the node (so nothing is missing or was added), each built in a schema beside it. The digest of a
table is SHA-256 over its rows in key order, ids and all: dictionaries are among them, so equal ids mean equal texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from indexer import deployment as deployments
from indexer import schema
from indexer.calls import call, result, view
from indexer.errors import BadMirror, Refused
from indexer.fold import Fold, FoldError
from indexer.follow import Ranges
from indexer.rebuild import Chain, chains, fold_again
from indexer.rpc import Call, Node, open_node
from indexer.settings import Settings
from indexer.source import Header, Source, header
from indexer.store import Cursor, Store, connect

FOLDED = "verify_folded"
FETCHED = "verify_fetched"

Say = Callable[[str], None]


class Digest(NamedTuple):
    """A table's rows of one chain: how many, and their SHA-256 in key order."""

    rows: int
    sha256: str


def verify(settings: Settings, allow_empty: frozenset[str], say: Say) -> list[str]:
    """Run all comparisons, saying what they find, and return the faults.

    Args:
        settings: database, node and deployment.
        allow_empty: tables that may be empty, for a chain on which not everything has happened yet.
        say: told each line of the report.
    """
    chain_id = deployments.load(settings.deployment).chain_id
    engine = create_engine(settings.sqlalchemy_url, poolclass=NullPool)
    url = settings.database_url
    with open_node(settings) as node, connect(url) as live, connect(url) as built, live.transaction():
        # one snapshot from here to the end: `follow` may run on
        live.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        chain = next((each for each in chains(live) if each.chain_id == chain_id), None)
        if chain is None:
            raise BadMirror(f"the database has no mirror of chain {chain_id}: run `python -m indexer follow` first")
        store = Store(live, chain_id, Fold(chain.genesis()), chain.genesis())
        head = store.cursor()
        if head is None:
            raise BadMirror(f"the mirror of chain {chain_id} has no cursor")
        with _beside(engine):
            faults = _fold(live, built, chain)
            faults += _fetch(built, chain, node, settings, head)
            faults += _compare(live, built, chain, allow_empty, say)
        faults += _storage(store, chain, node, head, say)
    return faults


# ------------------------------------------------------------------ building the other two


@contextmanager
def _beside(engine: Engine) -> Iterator[None]:
    """Make the empty mirrors, and drop them at the end."""
    try:
        with engine.begin() as making:
            for name in (FOLDED, FETCHED):
                schema.drop_mirror(making, name)
                schema.create_mirror(making, name, for_search=False)
        yield
    finally:
        with engine.begin() as dropping:
            for name in (FOLDED, FETCHED):
                schema.drop_mirror(dropping, name)


def _fold(live: psycopg.Connection[Any], built: psycopg.Connection[Any], chain: Chain) -> list[str]:
    try:
        fold_again(live, built, chain, FOLDED)
    except (FoldError, BadMirror) as error:
        return [f"the raw logs cannot be folded again: {error}"]
    return []


def _fetch(built: psycopg.Connection[Any], chain: Chain, node: Node, settings: Settings, head: Cursor) -> list[str]:
    if header(node.call("eth_getBlockByNumber", hex(head.number), False)).hash != head.hash:
        raise BadMirror(f"the node has another block {head.number}: verify again when `follow` has mended the reorg")
    store = Store(built, chain.chain_id, Fold(chain.genesis()), chain.genesis(), FETCHED)
    anchor: Header = header(node.call("eth_getBlockByNumber", hex(chain.first_block - 1), False))
    store.begin(header(node.call("eth_getBlockByNumber", "0x0", False)).hash, chain.deployment, anchor)
    source, ranges = Source(node, store.watch), Ranges(settings)
    first = chain.first_block
    try:
        while first <= head.number:
            batch = ranges.fetch(source, first, head.number)
            store.apply(batch)
            first = batch.headers[-1].number + 1
    except FoldError as error:
        return [f"what the node says cannot be folded: {error}"]
    return []


# ------------------------------------------------------------------ comparing tables


def _compare(
    live: psycopg.Connection[Any],
    built: psycopg.Connection[Any],
    chain: Chain,
    allow_empty: frozenset[str],
    say: Say,
) -> list[str]:
    faults = []
    say(f"{'table':<24}{'rows':>9}  {'live':<18}{'folded again':<18}{'fetched again':<18}")
    for table in schema.mirror_tables:
        mine = digest(live, "mirror", table.name, chain.chain_id)
        others = {name: digest(built, beside, table.name, chain.chain_id) for name, beside in _OTHERS.items()}
        cells = "".join(f"{each.sha256[:16]:<18}" for each in (mine, *others.values()))
        wrong = {name: other for name, other in others.items() if other != mine}
        say(f"{table.name:<24}{mine.rows:>9}  {cells}{'DIFFERS' if wrong else 'equal'}")
        faults += [
            f"{table.name}: the live mirror has {mine.rows} rows, {name} it has {other.rows}, and they differ"
            for name, other in wrong.items()
        ]
        if not mine.rows and table.name not in allow_empty:
            faults.append(f"{table.name} is empty: nothing was compared (--allow-empty {table.name} if that can be)")
    mine_by_account = _turnover(live, "mirror", chain.chain_id)
    for name, beside in _OTHERS.items():
        found = _turnover(built, beside, chain.chain_id)
        for account in sorted(mine_by_account.keys() | found.keys()):
            if mine_by_account.get(account) != found.get(account):
                sums = f"the live mirror has {mine_by_account.get(account)}, {name} {found.get(account)}"
                faults.append(f"account {account[0]} in {account[1]}: (postings, sum, last balance) {sums}")
    return faults


_OTHERS = {"folded again": FOLDED, "fetched again": FETCHED}


def _turnover(
    connection: psycopg.Connection[Any], mirror: str, chain_id: int
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return (postings, sum, last balance) by account and token, to name the accounts that differ."""
    rows = connection.execute(
        "SELECT a.name, lower(t.address), count(*), sum(p.amount), "
        "(array_agg(p.balance ORDER BY p.block_number DESC, p.log_index DESC, p.ordinal DESC))[1] "
        f"FROM {mirror}.posting p JOIN {mirror}.account a ON a.chain_id = p.chain_id AND a.id = p.account "
        f"JOIN {mirror}.address t ON t.chain_id = p.chain_id AND t.id = p.token WHERE p.chain_id = %s GROUP BY 1, 2",
        [chain_id],
    )
    return {(name, token): tuple(sums) for name, token, *sums in rows}


def digest(connection: psycopg.Connection[Any], schema_name: str, table: str, chain_id: int) -> Digest:
    """Return the digest of a chain's rows in one table of a mirror."""
    key = ", ".join(f'"{column.name}"' for column in schema.metadata.tables[f"mirror.{table}"].primary_key)
    sha, rows = hashlib.sha256(), 0
    source = f'{schema_name}."{table}"'
    columns = ", ".join(f'"{column.name}"' for column in schema.metadata.tables[f"mirror.{table}"].columns)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f"COPY (SELECT {columns} FROM {source} WHERE chain_id = {chain_id:d} ORDER BY {key}) TO STDOUT"
        ) as copy,
    ):
        for line in copy:
            sha.update(line)
            rows += bytes(line).count(b"\n")
    return Digest(rows, sha.hexdigest())


# ------------------------------------------------------------------ contract storage


class Claim(NamedTuple):
    """What a row says that a view function should return, field by field."""

    what: str
    call: Call
    view: Any
    fields: dict[str, Any]


def _storage(store: Store, chain: Chain, node: Node, head: Cursor, say: Say) -> list[str]:
    """Compare each site, listing, lease and holding with what its contract stores at the mirror's newest block."""
    faults = []
    for table, claims in (
        ("site", _sites),
        ("listing", _listings),
        ("lease", _leases),
        ("holding", _holdings),
    ):
        asked = list(claims(_rows(store, table), chain, head.hash))
        wrong = 0
        for claim, answer in zip(asked, node.try_batch([claim.call for claim in asked]), strict=True):
            if isinstance(answer, Refused):
                faults.append(f"{claim.what}: {answer}")
                wrong += 1
                continue
            stored = result(claim.view, answer)
            for field, value in claim.fields.items():
                if stored[field] != value:
                    faults.append(
                        f"{claim.what}: {field or 'value'} is {value} in the mirror, {stored[field]} on chain"
                    )
                    wrong += 1
        rows = len({claim.what for claim in asked})
        say(f"{table + ' and storage':<24}{rows:>9}  {len(asked)} calls, {wrong} differences")
    return faults


def _rows(store: Store, table: str) -> list[dict[str, Any]]:
    """Return all current rows of a table as the fold knows them."""
    declared = schema.declared_of(schema.tables[table])
    keys: list[tuple[Any, ...]] = [
        tuple(row)
        for row in store.connection.execute(
            f'SELECT {", ".join(declared.key)} FROM mirror."{table}" WHERE chain_id = %s', [store.chain_id]
        )
    ]
    if declared.columns[declared.key[0]] == "address":
        store.addresses.names(id for key in keys for id in key)
        keys = [tuple(store.addresses.texts[id] for id in key) for key in keys]
    return list(store.load(table, keys).values()) if keys else []


def _sites(rows: list[dict[str, Any]], chain: Chain, block_hash: str) -> Iterator[Claim]:
    site, pending = view("LeaseBook", "siteOf"), view("LeaseBook", "pendingSharesOf")
    book = chain.genesis().leasebook
    for row in rows:
        what = f"site {row['site_id']}"
        nobody = "0x" + 40 * "0"
        fields = {
            "owner": row["owner"],
            "pendingOwner": row["pending_owner"] or nobody,
            "token": row["token"],
            "gpus": row["gpus"],
            "share": row["share"] or nobody,
            "revenueBps": row["revenue_bps"],
            "bond": row["bond"],
            "lockedBond": row["locked_bond"],
        }
        yield Claim(what, call(book, site, row["site_id"], block_hash=block_hash), site, fields)
        asked = call(book, pending, row["site_id"], block_hash=block_hash)
        yield Claim(what, asked, pending, {"": row["pending_shares"]})


def _listings(rows: list[dict[str, Any]], chain: Chain, block_hash: str) -> Iterator[Claim]:
    listing, terms = view("LeaseBook", "listingOf"), view("LeaseBook", "termsOf")
    book = chain.genesis().leasebook
    for row in rows:
        what, number = f"listing {row['listing_id']}", row["listing_id"]
        fields = {
            "siteId": row["site_id"],
            "version": row["version"],
            "leased": row["leased"],
            "busyFrom": row["busy_from"],
            "busyUntil": row["busy_until"],
            "withdrawn": row["withdrawn"],
        }
        yield Claim(what, call(book, listing, number, block_hash=block_hash), listing, fields)
        fields = {
            "from": row["window_from"],
            "until": row["window_until"],
            **{_camel(name): row[name] for name in _TERMS},
        }
        yield Claim(what, call(book, terms, number, row["version"], block_hash=block_hash), terms, fields)


_TERMS = (
    *("floor_price", "ceiling_price", "gpus", "min_term", "max_term", "notice", "sla_bps", "penalty_bps"),
    *("curtailable_bps", "watts_per_gpu", "pue_bps", "reclaim_window", "compensation_bps", "bond_per_gpu"),
)


def _leases(rows: list[dict[str, Any]], chain: Chain, block_hash: str) -> Iterator[Claim]:
    lease = view("LeaseBook", "leaseOf")
    book = chain.genesis().leasebook
    for row in rows:
        fields = {
            "siteId": row["site_id"],
            "listingId": row["listing_id"],
            "version": row["version"],
            "gpus": row["gpus"],
            "start": row["start_at"],
            "termEnd": row["term_end"],
            "closingAt": row["closing_at"] or 0,
            "code": row["code"],
            "released": row["released"],
            "finalised": row["finalised"],
            "price": row["price"],
            "deposited": row["deposited"],
            "feeBps": row["fee_bps"],
            "rentTotal": row["rent_total"],
            "unsharedNet": row["unshared_net"],
            "settledUntil": row["settled_until"],
            "collected": row["collected"],
            "compensation": row["compensation"],
            "penalty": row["penalty"],
        }
        what = f"lease {row['lease_id']}"
        yield Claim(what, call(book, lease, row["lease_id"], block_hash=block_hash), lease, fields)
        if row["holder"] is not None:
            owner = view("LeaseBook", "ownerOf")
            yield Claim(what, call(book, owner, row["lease_id"], block_hash=block_hash), owner, {"": row["holder"]})


def _holdings(rows: list[dict[str, Any]], chain: Chain, block_hash: str) -> Iterator[Claim]:
    del chain
    balance, account = view("CapacityShare", "balanceOf"), view("CapacityShare", "accountOf")
    frozen = view("CapacityShare", "getFrozenTokens")
    for row in rows:
        what, share, holder = f"holding {row['account']} of {row['share']}", row["share"], row["account"]
        yield Claim(what, call(share, balance, holder, block_hash=block_hash), balance, {"": row["balance"]})
        yield Claim(what, call(share, frozen, holder, block_hash=block_hash), frozen, {"": row["frozen"]})
        fields = {"paidIndex": row["paid_index"], "accrued": row["accrued"]}
        yield Claim(what, call(share, account, holder, block_hash=block_hash), account, fields)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
