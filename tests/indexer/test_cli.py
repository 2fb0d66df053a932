"""What an operator types: exit codes and words."""

import subprocess
import sys

import psycopg

from indexer.settings import Settings
from scripts.launch import Postgres
from tests.indexer.conftest import follow_once, following, rows
from tests.indexer.market import Market, environment


def run(settings: Settings, market: Market, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "indexer", *arguments],
        env=environment(settings.database_url, market, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_verify_and_sweep_pass_and_then_name_what_was_changed(market: Market, settings: Settings):
    market.story()
    follow_once(settings)
    good = run(settings, market, "verify")
    assert good.returncode == 0, good.stderr
    assert "posting" in good.stdout
    assert "DIFFERS" not in good.stdout
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(
            "UPDATE mirror.posting SET balance = balance + 1 WHERE account = "
            "(SELECT id FROM mirror.account WHERE name = 'bond:site/1')"
        )
    bad = run(settings, market, "verify")
    assert bad.returncode == 1
    assert "FAULT: posting: " in bad.stderr
    assert "FAULT: account bond:site/1 " in bad.stderr
    swept = run(settings, market, "reconcile", "--sweep")
    assert swept.returncode == 1
    assert "bond:site/1" in swept.stdout


def test_what_an_operator_can_mend_is_one_line_and_exit_3(market: Market, settings: Settings, pg: Postgres):
    with following(settings):
        refused = run(settings, market, "reset", "--yes")
    assert refused.returncode == 3
    assert "another indexer follows chain 31337" in refused.stderr
    lost = run(settings, market, "follow", DRAKEWELL_DEPLOYMENT="/nowhere.json")
    assert lost.returncode == 3
    assert "DRAKEWELL_DEPLOYMENT" in lost.stderr
    unset = run(settings, market, "status", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert unset.returncode == 3
    for each in (refused, lost, unset):
        assert "Traceback" not in each.stderr
    assert run(settings, market, "reset", "--yes").returncode == 0
    assert rows(settings, "SELECT count(*) FROM mirror.header") == [(0,)]


def test_help_names_every_command():
    done = subprocess.run([sys.executable, "-m", "indexer", "--help"], capture_output=True, text=True, check=True)
    for command in ("follow", "migrate", "rebuild", "reset", "reconcile", "verify", "status"):
        assert command in done.stdout
