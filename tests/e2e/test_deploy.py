"""`scripts/deploy.py`, in Brownie's environment, on a fresh chain."""

import json
import os
import subprocess

import pytest
from eth_utils import keccak

from scripts.launch import Node, anvil
from scripts.processes import CHECKOUT

# The first of the accounts that Anvil unlocks; it is in every Ethereum tutorial.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OFFICER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def deploy(node: Node, out, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            CHECKOUT / ".venv-contracts/bin/python",
            CHECKOUT / "scripts/deploy.py",
            "--rpc",
            node.url,
            "--out",
            out,
            *options,
        ],
        env={**os.environ, "DRAKEWELL_DEPLOYER_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def deployed(node, tmp_path_factory):
    out = tmp_path_factory.mktemp("deploy") / "deployment.json"
    first = deploy(node, out, "--grant", f"OFFICER={OFFICER}", "--set", "quorum=3")
    assert first.returncode == 0, first.stderr
    return out


def test_the_file_says_what_is_on_the_chain(node, deployed):
    said = json.loads(deployed.read_text())
    assert said["genesisHash"] == node.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
    assert said["lastBlockHash"] == node.rpc("eth_getBlockByNumber", hex(said["lastBlock"]), False)["hash"]
    wanted = {"AccessManager", "IdentityRegistry", "CapacityShare", "LeaseBook", "UsageMeter", "TestUSD"}
    assert wanted <= said["contracts"].keys()
    for record in said["contracts"].values():
        code = bytes.fromhex(node.rpc("eth_getCode", record["address"], "latest")[2:])
        assert "0x" + keccak(code).hex() == record["codeHash"]
    assert {role["name"]: role["account"] for role in said["roles"]}["OFFICER"] == OFFICER
    assert said["contracts"]["UsageMeter"]["constructorArguments"][3] == said["parameters"]["quorum"] == 3


def test_running_it_again_deploys_nothing(node, deployed):
    before, head = deployed.read_text(), node.rpc("eth_blockNumber")
    again = deploy(node, deployed)
    assert again.returncode == 0
    assert "already deployed" in again.stdout
    assert deployed.read_text() == before
    assert node.rpc("eth_blockNumber") == head


def test_another_chain_is_an_error_that_names_the_way_out(deployed):
    before = deployed.read_text()
    with anvil() as other:
        refused = deploy(other, deployed)
        assert refused.returncode == 1
        assert "--fresh" in refused.stderr
        assert deployed.read_text() == before
        assert other.rpc("eth_blockNumber") == "0x0"
        assert deploy(other, deployed, "--fresh").returncode == 0
        assert (
            json.loads(deployed.read_text())["genesisHash"] == other.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
        )
