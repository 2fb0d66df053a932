"""The database's schema, and what the indexer's process costs to start."""

import json
import subprocess
import sys

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select
from sqlalchemy.pool import NullPool

from indexer import migrate, schema
from indexer.dictionary import checksummed
from indexer.errors import SettingsError
from indexer.fold.tables import TABLES
from indexer.rows import CODECS
from indexer.store import connect
from scripts.launch import Postgres
from scripts.launch import sqlalchemy_url as sqlalchemy


def test_the_migrations_make_what_the_metadata_says(database: str):
    with create_engine(sqlalchemy(database), poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": True, "version_table_schema": "desk", "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_every_key_of_the_mirror_begins_with_the_chain_and_nothing_counts_by_itself():
    for table in schema.metadata.tables.values():
        assert next(iter(table.primary_key)).name == "chain_id", table.name
        assert not any(column.identity for column in table.columns), table.name
    for name in ("header", "raw_log", "posting"):
        keys = [column.name for column in schema.metadata.tables[f"mirror.{name}"].primary_key]
        assert keys[:2] == ["chain_id", "block_number"], "a partition by block range must hold its key"


def test_an_empty_database_is_migrated_once_and_a_later_one_is_refused(pg: Postgres):
    url = pg.new_database()
    migrate.ensure(url, sqlalchemy(url))
    migrate.ensure(url, sqlalchemy(url))
    with psycopg.connect(url) as connection:
        assert migrate.revision(connection) == migrate.head()
        connection.execute("UPDATE desk.alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="9999"):
        migrate.ensure(url, sqlalchemy(url))
    pg.drop_database(url.rsplit("/", 1)[1])


def test_amounts_of_256_bits_come_back_exact_and_as_integers(database: str):
    largest = 2**256 - 1
    engine = create_engine(sqlalchemy(database), poolclass=NullPool)
    with engine.begin() as connection:
        table = schema.tables["fees"]
        connection.execute(insert(table).values(chain_id=1, token=1, amount=largest))
        found = connection.execute(select(table.c.amount)).scalar_one()
    assert found == largest
    assert type(found) is int
    with connect(database) as connection:
        found = connection.execute("SELECT amount FROM mirror.fees").fetchone()[0]
        assert found == largest
        assert type(found) is int


def test_text_of_any_kind_survives_copy(database: str):
    row = {
        "site_id": 1,
        "owner": "0xa",
        "pending_owner": None,
        "token": "0xb",
        "gpus": 8,
        "region": "a\\b\tc\nd\re",
        "name": '\\N {"ü"} \\.',
        "share": None,
        "revenue_bps": 0,
        "bond": 0,
        "locked_bond": 0,
        "pending_shares": 0,
        "registered_at": 0,
    }
    codec = CODECS["site"]
    with connect(database) as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY mirror.site ({codec.columns()}) FROM STDIN") as copy:
            copy.write("1\t" + codec.line(row, {"0xa": 1, "0xb": 2}, {}) + "\n")
        found = cursor.execute("SELECT region, name, share, pending_owner FROM mirror.site").fetchone()
    assert found == (row["region"], row["name"], None, None)


def test_every_table_of_the_declaration_can_be_written_and_loaded():
    assert set(CODECS) == set(TABLES)


def test_eip_55():  # the examples of the EIP
    for address in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksummed(address.lower()) == address


def test_the_follower_starts_without_the_heavy_libraries():
    # fastapi and SQLAlchemy take 1.4 s to import, web3 0.6: ready within 2 s of a kill has no room for them
    script = "import json, sys, indexer.__main__, indexer.follow, indexer.beside; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"fastapi", "web3", "sqlalchemy", "alembic", "eth_abi", "faster_eth_abi", "requests", "httpx"}
    script = "import json, sys, indexer.verify, indexer.reconcile, indexer.schema; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in json.loads(done.stdout)} & {"fastapi", "web3"}
