"""Is the mirror what the chain says? Three mirrors, table by table, and contract storage.

The live mirror is compared with one folded again from its raw logs (so it is a function of them alone) and with one
fetched again from the node (so nothing is missing or was added), each built in a schema beside it. The digest of a
table is SHA-256 over its rows in key order, ids and all: the dictionaries are tables among them, so equal ids have equal
texts.
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
from indexer.store import Store, connect

FOLDED = "verify_folded"
FETCHED = "verify_fetched"
#: The live mirror as it was when the check began, so that `follow` may run on.
LIVE = "verify_live"

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
    with open_node(settings) as node, connect(settings.database_url) as connection:
        chain = next((each for each in chains(connection) if each.chain_id == chain_id), None)
        if chain is None:
            raise BadMirror(f"the database has no mirror of chain {chain_id}: run `python -m indexer follow` first")
        with _beside(engine):
            _freeze(connection, chain)
            faults = _build(connection, chain, node, settings)
            faults += _compare(connection, chain, allow_empty, say)
            faults += _storage(connection, chain, node, say)
    return faults


# ------------------------------------------------------------------ building the other two


@contextmanager
def _beside(engine: Engine) -> Iterator[None]:
    """Make the empty mirrors, and drop them at the end."""
    try:
        with engine.begin() as making:
            for name in (LIVE, FOLDED, FETCHED):
                schema.drop_mirror(making, name)
                schema.create_mirror(making, name)
        yield
    finally:
        with engine.begin() as dropping:
            for name in (LIVE, FOLDED, FETCHED):
                schema.drop_mirror(dropping, name)


def _freeze(connection: psycopg.Connection[Any], chain: Chain) -> None:
    """Copy the live mirror in one snapshot: the other two are made of this copy and of its blocks."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for table in schema.mirror_tables:
            connection.execute(
                f'INSERT INTO {LIVE}."{table.name}" SELECT * FROM mirror."{table.name}" WHERE chain_id = %s',
                [chain.chain_id],
            )


def _build(connection: psycopg.Connection[Any], chain: Chain, node: Node, settings: Settings) -> list[str]:
    faults = []
    try:
        fold_again(connection, chain, FOLDED, source=LIVE)
    except (FoldError, BadMirror) as error:
        faults.append(f"the raw logs cannot be folded again: {error}")
    last, expected = _head(connection, chain)
    if header(node.call("eth_getBlockByNumber", hex(last), False)).hash != expected:
        raise BadMirror(
            f"the node has another block {last}: wait until `follow` has mended the reorg, then verify again"
        )
    try:
        _fetch_again(connection, chain, node, settings, last)
    except FoldError as error:
        faults.append(f"what the node says cannot be folded: {error}")
    return faults


def _fetch_again(connection: psycopg.Connection[Any], chain: Chain, node: Node, settings: Settings, last: int) -> None:
    store = Store(connection, chain.chain_id, Fold(chain.genesis()), chain.genesis(), FETCHED)
    anchor: Header = header(node.call("eth_getBlockByNumber", hex(chain.first_block - 1), False))
    store.begin(header(node.call("eth_getBlockByNumber", "0x0", False)).hash, chain.deployment, anchor)
    source, ranges = Source(node, store.watch), Ranges(settings)
    first = chain.first_block
    while first <= last:
        batch = ranges.fetch(source, first, last)
        store.apply(batch)
        first = batch.headers[-1].number + 1


# ------------------------------------------------------------------ comparing tables


def _compare(connection: psycopg.Connection[Any], chain: Chain, allow_empty: frozenset[str], say: Say) -> list[str]:
    faults = []
    say(f"{'table':<24}{'rows':>9}  {'live':<18}{'folded again':<18}{'fetched again':<18}")
    for table in schema.mirror_tables:
        digests = [digest(connection, name, table.name, chain.chain_id) for name in (LIVE, FOLDED, FETCHED)]
        live, folded, fetched = digests
        cells = "".join(f"{each.sha256[:16]:<18}" for each in digests)
        wrong = [name for name, other in (("folded again", folded), ("fetched again", fetched)) if other != live]
        say(f"{table.name:<24}{live.rows:>9}  {cells}{'DIFFERS' if wrong else 'equal'}")
        for name, other in (("folded again", folded), ("fetched again", fetched)):
            if other != live:
                faults.append(f"{table.name}: the live mirror has {live.rows} rows, {name} it has {other.rows} others")
        if not live.rows and table.name not in allow_empty:
            faults.append(f"{table.name} is empty: nothing was compared (--allow-empty {table.name} if that can be)")
    faults += _accounts(connection, "folded again", FOLDED)
    faults += _accounts(connection, "fetched again", FETCHED)
    return faults


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


def _accounts(connection: psycopg.Connection[Any], name: str, other: str) -> list[str]:
    """Name the accounts whose postings differ."""
    sums = (
        "SELECT a.name, lower(t.address) AS token, count(*) AS postings, sum(p.amount) AS total, "
        "sum(p.balance * p.log_index) AS balances FROM {s}.posting p "
        "JOIN {s}.account a USING (chain_id) JOIN {s}.address t USING (chain_id) "
        "WHERE a.id = p.account AND t.id = p.token GROUP BY 1, 2"
    )
    rows = connection.execute(
        f"SELECT coalesce(l.name, o.name), coalesce(l.token, o.token), l.total, o.total "
        f"FROM ({sums.replace('{s}', LIVE)}) l FULL JOIN ({sums.replace('{s}', other)}) o "
        "ON o.name = l.name AND o.token = l.token "
        "WHERE (l.postings, l.total, l.balances) IS DISTINCT FROM (o.postings, o.total, o.balances) ORDER BY 1"
    )
    return [
        f"account {account} in {token}: the live mirror sums to {live}, {name} to {found}"
        for account, token, live, found in rows
    ]


# ------------------------------------------------------------------ contract storage


class Claim(NamedTuple):
    """What a row says that a view function should return, field by field."""

    what: str
    call: Call
    view: Any
    fields: dict[str, Any]


def _storage(connection: psycopg.Connection[Any], chain: Chain, node: Node, say: Say) -> list[str]:
    """Compare each site, listing, lease and holding with what its contract stores at the mirror's newest block."""
    _, block_hash = _head(connection, chain)
    store = Store(connection, chain.chain_id, Fold(chain.genesis()), chain.genesis(), LIVE)
    faults = []
    for table, claims in (
        ("site", _sites),
        ("listing", _listings),
        ("lease", _leases),
        ("holding", _holdings),
    ):
        asked = list(claims(_rows(store, table), chain, block_hash))
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
            f'SELECT {", ".join(declared.key)} FROM {LIVE}."{table}" WHERE chain_id = %s', [store.chain_id]
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


def _head(connection: psycopg.Connection[Any], chain: Chain) -> tuple[int, str]:
    row = connection.execute(
        f"SELECT block_number, block_hash FROM {LIVE}.cursor WHERE chain_id = %s", [chain.chain_id]
    ).fetchone()
    if row is None:
        raise BadMirror("the mirror is empty")
    return row[0], row[1]
