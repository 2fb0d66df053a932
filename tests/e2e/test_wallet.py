"""The README's wallet script, as a user would run it: with a key, the API's address and the deployment's file."""

import os
import re
import subprocess
import sys

from scripts.processes import CHECKOUT
from tests.e2e.market import Market

SCRIPT = CHECKOUT / "examples/wallet.py"


def test_finds_leases_and_is_refunded(market: Market):
    tenant = market.client("Amber")
    environment = {
        **os.environ,
        "WALLET_KEY": tenant.account.key.to_0x_hex(),
        "DRAKEWELL_API": market.stack.api,
        "DRAKEWELL_DEPLOYMENT": str(market.stack.deployment),
    }
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refunded, deposited = map(int, re.search(r"refunded (\d+) of (\d+)", done.stdout).groups())
    (lease,) = market.client("Amber").leases(opened_by=tenant.address)
    # Notice was given within the minimum term of six hours: those stay in escrow, the rest of the day came back.
    assert deposited == lease["price"] * lease["gpus"] * 24
    assert refunded == deposited - lease["price"] * lease["gpus"] * 6
    assert lease["collected"] == refunded


def test_has_no_more_than_thirty_lines_and_is_in_the_readme():
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= 30
    assert source in (CHECKOUT / "README.md").read_text()
