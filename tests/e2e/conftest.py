"""A whole Drakewell for the suite: database, chain, mirror, API, and one site with its GPUs on the market."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from drakewell import Deployment, Http
from scripts.demo import stack
from scripts.processes import CHECKOUT
from scripts.story import cast, duty
from scripts.story.clock import Clock, Office
from scripts.story.fleet import deal, made_up_nodes
from scripts.story.story import Fleet, Story
from tests.e2e.market import Market

SEED = 3


@pytest.fixture(scope="session")
def market() -> Iterator[Market]:
    rng = random.Random(SEED)
    with stack(SEED) as running:
        deployment = Deployment.read(running.deployment)
        office = Office(running.node, Account.from_key(running.deployer_key), deployment.chain_id)
        pods = duty.made_up_trace(rng)
        fleet = Fleet(deal(made_up_nodes(rng), rng, 3, 8), duty.steady(pods), duty.gappy(pods))
        story = Story(Http(running.api), deployment, Clock(running.node), office, fleet, SEED)
        story.register()
        story.found(1, cast.SITES[0])
        running.node.rpc("evm_setAutomine", True)
        yield Market(running, story)
        story.close()


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("DRAKEWELL_DATA") or CHECKOUT.parent / "shared/data")
    if not (folder / "gpu_nodes.csv").exists():
        pytest.skip(f"the data folder is not there: {folder}")
    return folder
