"""Brownie deploys what forge measures and fuzzes: both build the same bytecode."""

import json
import re
from pathlib import Path

import pytest

FORGE = Path(__file__).parents[2] / "build/forge"
# The hash of the metadata names the compiler's input, which the two tools order differently.
METADATA = re.compile("a2646970667358221220[0-9a-f]{64}")
# Each writes its own placeholder, 40 characters long, where a library's address goes.
LIBRARY = re.compile(r"__[\w$]{36}__|__\w{38}")


def plain(bytecode):
    return METADATA.sub("", LIBRARY.sub("library", bytecode.removeprefix("0x")))


def forge_bytecode(source, name):
    return json.loads((FORGE / Path(source).name / f"{name}.json").read_text())["bytecode"]["object"]


def ours(project):
    return [c for c in project if c._build["sourcePath"].startswith("contracts/")]


@pytest.fixture(autouse=True)
def _isolation():
    """Nothing here needs the chain."""


def test_forge_and_brownie_build_the_same_bytecode(pytestconfig):
    project = pytestconfig.pluginmanager.get_plugin("brownie-core").project
    compared = {}
    for contract in ours(project):
        name = contract._name
        compared[name] = plain(contract._build["bytecode"]) == plain(
            forge_bytecode(contract._build["sourcePath"], name)
        )
    assert "Authority" in compared
    assert [name for name, same in compared.items() if not same] == []
