"""Somebody tampers with the database, or the follower skips: each time the check that should notice does, by name."""

import psycopg
import pytest

from indexer.errors import Moved
from indexer.reconcile import Result, open_reconciler
from indexer.settings import Settings
from indexer.source import Batch
from tests.indexer.conftest import ALL_TABLES, faults, follow_once, following, to_tip
from tests.indexer.market import Market


@pytest.fixture
def mirrored(market: Market, settings: Settings) -> Settings:
    market.story()
    follow_once(settings)
    assert sweep(settings).passed
    assert faults(settings, strict=True) == []
    return settings


def sweep(settings: Settings) -> Result:
    with open_reconciler(settings) as reconciler:
        return reconciler.sweep()


def tamper(settings: Settings, statement: str) -> None:
    with psycopg.connect(settings.database_url) as connection:
        assert connection.execute(statement).rowcount > 0, "the sabotage changed nothing"


def accounts(result: Result) -> set[str]:
    return {difference["account"] for difference in result.differences}


#: The last posting to the LeaseBook's cash.
LAST_CASH = (
    "(SELECT p.block_number, log_index, ordinal FROM mirror.posting p JOIN mirror.account a ON a.id = p.account "
    "WHERE a.name = 'cash:leasebook' ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1)"
)


def test_a_raw_log_dropped_breaks_the_fold_and_the_comparison_with_the_node(mirrored: Settings):
    # the settlement's LeaseSettled: without it its cash to the clone has no reason
    tamper(
        mirrored,
        "DELETE FROM mirror.raw_log WHERE (block_number, log_index) = "
        "(SELECT block_number, log_index FROM mirror.settlement ORDER BY 1 LIMIT 1)",
    )
    found = faults(mirrored)
    assert any(fault.startswith("the raw logs cannot be folded again") and "account " in fault for fault in found), (
        found
    )
    assert any(fault.startswith("raw_log: ") for fault in found), found


def test_an_amount_of_a_raw_log_changed_by_one(mirrored: Settings):
    tamper(
        mirrored,
        "UPDATE mirror.raw_log SET data = set_byte(data, 31, (get_byte(data, 31) + 1) % 256) FROM ("
        "SELECT p.block_number AS block, p.log_index AS log FROM mirror.posting p JOIN mirror.account a "
        "ON a.id = p.account WHERE a.name = 'cash:leasebook' ORDER BY 1 LIMIT 1) p "
        "WHERE block_number = p.block AND log_index = p.log",
    )
    found = faults(mirrored)
    assert any(fault.startswith("account cash:leasebook ") and "folded again" in fault for fault in found), found
    assert any(fault.startswith("raw_log: ") for fault in found), found


def test_an_amount_of_a_posting_changed_by_one(mirrored: Settings):
    tamper(
        mirrored,
        f"UPDATE mirror.posting SET amount = amount + 1 WHERE (block_number, log_index, ordinal) = {LAST_CASH}",
    )
    result = sweep(mirrored)
    assert not result.passed
    assert "cash:leasebook" in accounts(result)
    assert any(name.startswith("entry ") and "cash:leasebook" in name for name in accounts(result))
    assert any(fault.startswith("account cash:leasebook ") for fault in faults(mirrored))


def test_a_block_skipped_by_the_follower_cannot_be_stored(market: Market, settings: Settings):
    with following(settings) as follower:
        market.story()
        to_tip_batch = next(follower.fetched(follower.cursor().number + 1, follower.look(follower.cursor())))
        skipped = Batch(
            to_tip_batch.headers[:5] + to_tip_batch.headers[6:],
            [log for log in to_tip_batch.logs if log.block != to_tip_batch.headers[5].number],
        )
        with pytest.raises(Moved, match="does not follow"):
            follower.apply(skipped)
        to_tip(follower)
    assert faults(settings) == []


def test_a_block_missing_from_the_mirror(mirrored: Settings):
    block = "(SELECT block_number FROM mirror.distribution ORDER BY 1 DESC LIMIT 1)"
    with psycopg.connect(mirrored.database_url) as connection:
        (number,) = connection.execute(f"SELECT {block}").fetchone()
        for table in ("header", "raw_log", "posting"):
            connection.execute(f"DELETE FROM mirror.{table} WHERE block_number = %s", [number])
    result = sweep(mirrored)
    assert not result.passed
    assert "cash:offering/1" in accounts(result)
    assert any(fault.startswith("header: ") for fault in faults(mirrored))


def test_the_accounts_of_two_postings_swapped(mirrored: Settings):
    # the two sides of the first settlement's fee and owner's part: the entry still sums to zero
    tamper(
        mirrored,
        """
        WITH two AS (
          SELECT p.block_number, p.log_index, min(p.ordinal) FILTER (WHERE a.name LIKE 'credit:%') AS one,
                 min(p.ordinal) FILTER (WHERE a.name = 'fee:protocol') AS other
          FROM mirror.posting p JOIN mirror.account a ON a.id = p.account
          GROUP BY 1, 2 HAVING bool_or(a.name LIKE 'credit:%') AND bool_or(a.name = 'fee:protocol') ORDER BY 1 LIMIT 1
        )
        UPDATE mirror.posting p SET account = q.account FROM two, mirror.posting q
        WHERE (p.block_number, p.log_index) = (two.block_number, two.log_index)
          AND (q.block_number, q.log_index) = (two.block_number, two.log_index)
          AND ((p.ordinal = two.one AND q.ordinal = two.other) OR (p.ordinal = two.other AND q.ordinal = two.one))
        """,
    )
    result = sweep(mirrored)
    assert not result.passed
    assert "fee:protocol" in accounts(result)
    assert any(name.startswith("credit:0x") for name in accounts(result))
    named = [fault for fault in faults(mirrored) if fault.startswith("account ")]
    assert any("fee:protocol" in fault for fault in named)


def test_one_unit_taken_from_cash(mirrored: Settings):
    with psycopg.connect(mirrored.database_url) as connection:
        ours = "account = (SELECT id FROM mirror.account WHERE name = 'cash:leasebook')"
        assert connection.execute(f"UPDATE mirror.posting SET balance = balance - 1 WHERE {ours}").rowcount
        assert connection.execute(f"UPDATE mirror.balance SET amount = amount - 1 WHERE {ours}").rowcount
    with open_reconciler(mirrored) as reconciler:
        blocks = []
        while results := reconciler.step():
            blocks += results
    wrong = [result for result in blocks if not result.passed]
    assert wrong, "no block's comparison noticed"
    difference = next(each for each in wrong[-1].differences if each["account"] == "cash:leasebook")
    assert int(difference["chain"]) - int(difference["books"]) == 1
    assert "cash:leasebook" in accounts(sweep(mirrored))


def test_a_projection_changed_is_found_in_storage(mirrored: Settings):
    tamper(mirrored, "UPDATE mirror.lease SET deposited = deposited + 1 WHERE lease_id = 2")
    found = faults(mirrored)
    assert any(fault.startswith("lease: ") for fault in found)
    assert any(fault.startswith("lease 2: deposited is ") for fault in found)


def test_a_table_emptied_is_a_fault_even_if_it_were_equal(mirrored: Settings):
    tamper(mirrored, "DELETE FROM mirror.payout")
    assert any(fault.startswith("payout is empty") for fault in faults(mirrored, strict=True))
    assert "payout" in ALL_TABLES
