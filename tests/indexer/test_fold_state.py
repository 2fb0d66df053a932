"""What the fold hands to the store: versions, prefetching, and the same rows whatever the batches."""

import pytest

from indexer.fold import FOLD_VERSION, FoldBreach, Log
from indexer.fold.state import BALANCE, State
from indexer.fold.tables import TABLES
from tests.indexer.fold_kit import (
    BUYER,
    DAY,
    GENESIS,
    HOUR,
    LEASEBOOK,
    OWNER,
    REGISTRY,
    SHARE,
    STRANGER,
    TENANT,
    TERMS,
    TOKEN,
    Database,
    Story,
    Told,
    book,
    cash,
    share,
)

MILLION = 1_000_000


def a_tale() -> list[Log]:
    """Logs of some twenty blocks that touch every table."""
    story = Story()
    register(story)
    story.opened_site()
    story.issue()
    story.open(480 * MILLION, at=DAY + HOUR)
    hour = DAY // HOUR
    story.report(1, hour + 1, hour + 2, available=28_800, due=28_800, at=DAY + 2 * HOUR)
    story.report(2, hour + 2, hour + 3, available=28_800, due=28_800, at=DAY + 3 * HOUR)
    story.void(hour + 2, hour + 3, at=DAY + 4 * HOUR)
    rent = 20 * MILLION
    story.tx(
        book(
            "LeaseSettled",
            leaseId=1,
            siteId=1,
            owner=OWNER,
            settledUntil=DAY + 2 * HOUR,
            available=28_800,
            due=28_800,
            fee=200_000,
            shares=11_880_000,
            ownerPart=7_920_000,
            rentTotal=rent,
            unsharedNet=0,
        ),
        share(
            "Distributed",
            payer=LEASEBOOK,
            source=0,
            ref=1,
            amount=11_880_000,
            index=0,
            indexEnd=11_880_000 * 10**12,
            streamStart=DAY + 8 * HOUR,
            streamEnd=DAY + 32 * HOUR,
            owed=11_880_000,
        ),
        cash(LEASEBOOK, SHARE, 11_880_000),
        at=DAY + 8 * HOUR,
    )
    story.tx(book("ListingSet", listingId=1, siteId=1, version=2, **{**TERMS, "floorPrice": 1}))
    story.tx(
        share("Claimed", account=OWNER, to=STRANGER, amount=5_940_000, owed=5_940_000),
        cash(SHARE, STRANGER, 5_940_000),
        at=DAY + 20 * HOUR,
    )
    story.tx(cash(STRANGER, LEASEBOOK, 3))
    story.tx(book("Transfer", **{"from": TENANT, "to": BUYER, "tokenId": 1}))
    return story.logs


def register(story: Story) -> None:
    identity = {"account": OWNER, "party": 9, "validUntil": DAY * 2, "country": 578, "flags": 6}
    story.tx(Told("registry", REGISTRY, "IdentitySet", identity))
    story.tx(Told("registry", REGISTRY, "EntriesPaused", {"paused": True}))


def fold(logs: list[Log], size: int) -> tuple[Database, State, list[object]]:
    """Fold in batches of `size` transactions, each saved and then forgotten by the state's cache."""
    story = Story()
    database, state = story.database, story.state
    kept: list[object] = []
    blocks = sorted({log.block for log in logs})
    for start in range(0, len(blocks), size):
        batch = set(blocks[start : start + size])
        story.fold.fold_block(state, [log for log in logs if log.block in batch])
        database.save(state)
        kept += [*state.versions, *state.postings, *state.appends]
        state.clear()
        state.shrink()
    return database, state, kept


def test_any_batching_folds_to_the_same_rows_versions_and_postings() -> None:
    logs = a_tale()
    whole, _, one = fold(logs, 1_000)
    single, _, many = fold(logs, 1)
    assert whole.rows == single.rows
    assert whole.balances == single.balances
    key = repr
    assert sorted(one, key=key) == sorted(many, key=key)


def test_the_tale_touches_every_versioned_table_and_rows_have_their_columns() -> None:
    database, _, kept = fold(a_tale(), 1_000)
    assert set(database.rows) == {name for name, table in TABLES.items() if not table.append}
    for name, rows in database.rows.items():
        for key, row in rows.items():
            assert set(row) == set(TABLES[name].columns), name
            assert key == tuple(row[column] for column in TABLES[name].key), name
    appended = {
        entry[0]: entry[1] for entry in kept if isinstance(entry, tuple) and entry[0] in TABLES and len(entry) == 2
    }
    assert set(appended) == {name for name, table in TABLES.items() if table.append}
    for name, row in appended.items():
        assert set(row) == set(TABLES[name].columns), name


def test_a_batch_loads_each_table_once() -> None:
    logs = a_tale()
    database, _, _ = fold(logs, 1_000)
    tables = [table for table, _ in database.loads]
    again = {table for table in tables if tables.count(table) > 2}
    # Rows that only another row names are missed by the prefetch and loaded singly, once each.
    assert again <= {"owed", "credit", "fees", BALANCE}, database.loads


def test_a_row_changed_twice_by_a_log_has_one_version() -> None:
    story = Story()
    story.opened_site()
    story.open(480 * MILLION, at=DAY)
    opened = [v for v in story.state.versions if v.block == story.block]
    assert len({(v.table, v.key, v.log_index) for v in opened}) == len(opened)
    assert [v.log_index for v in opened if v.table == "lease"] == [1]


def test_a_version_is_the_row_of_its_time() -> None:
    story = Story()
    story.opened_site()
    bonds = [v.row["bond"] for v in story.state.versions if v.table == "site"]
    story.tx(book("BondPosted", siteId=1, payer=OWNER, amount=1, bond=10_000_000_001), cash(OWNER, LEASEBOOK, 1))
    assert [v.row["bond"] for v in story.state.versions if v.table == "site"] == [*bonds, 10_000_000_001]


def test_clones_and_tokens_are_discovered_from_the_leasebook_alone() -> None:
    story = Story()
    issued, _ = story.told(*story.issuing())
    assert story.fold.discovers(issued) == SHARE
    assert story.fold.discovers(issued._replace(address=STRANGER)) is None
    allowed = story.told(book("TokenAllowed", token=TOKEN, allowed=False))[0]
    assert story.fold.discovers(allowed) == TOKEN
    known = story.fold.state(story.database.load, offerings=[(SHARE, 7)], tokens=[TOKEN]).known
    assert known[SHARE] == ("share", "offering/7")
    assert set(known) == {*GENESIS[:3], SHARE, TOKEN}


def test_a_clone_stays_a_clone_when_policy_allows_its_shares_as_a_token() -> None:
    story = Story()
    story.opened_site()
    story.issue()
    story.tx(book("TokenAllowed", token=SHARE, allowed=True))
    assert story.state.known[SHARE].kind == "share"


def test_a_missing_row_is_a_breach_that_names_it() -> None:
    with pytest.raises(FoldBreach, match="no site 4"):
        State(lambda table, keys: {}, {}).need("site", (4,))


def test_the_fold_version_is_a_digest() -> None:
    assert len(bytes.fromhex(FOLD_VERSION)) == 32
