"""Deploy the contracts, wire and grant the roles, read all of it back, and write ``deployments/<chain_id>.json`` last.

    DRAKEWELL_DEPLOYER_KEY=0x... .venv-contracts/bin/python scripts/deploy.py --rpc http://127.0.0.1:8545

Run in Brownie's environment; it imports nothing of ours. Running it twice deploys once. What is deployed, with which
arguments and under whose roles, is said by the tables at the top.
"""

import argparse
import fcntl
import json
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
# Brownie writes to ~/.brownie and finds the compiler in ~/.solcx. It reads HOME when it is imported.
os.environ["HOME"] = str(CHECKOUT / ".home")

from brownie import accounts, chain, network, project, web3
from brownie._config import CONFIG


@dataclass(frozen=True)
class Step:
    """A contract to deploy; an argument ``@name`` is an address (predicted, if of a step below) or a parameter."""

    name: str
    arguments: tuple = ()
    source: str = ""  # the contract's name in the sources where it is another


@dataclass(frozen=True)
class Role:
    """A role of the AccessManager and the functions that it opens, by target."""

    name: str
    number: int
    opens: dict
    functions_of: str = ""  # the contract whose functions they are, where the target answers for its clones


PARAMETERS = {  # --set changes them
    "feeBps": 100,
    "quorum": 2,
    "challengeWindow": 6 * 3600,
    "grace": 24 * 3600,
}
STEPS = (
    Step("AccessManager", ("@deployer",), source="Authority"),
    Step("IdentityRegistry", ("@AccessManager",)),
    Step("TestUSD"),
    Step("ListingLib"),
    Step("LeaseBook", ("@AccessManager", "@IdentityRegistry", "@UsageMeter", "@feeBps")),
    Step(
        "UsageMeter",
        ("@AccessManager", "@IdentityRegistry", "@LeaseBook", "@quorum", "@challengeWindow", "@grace"),
    ),
)
# Deployed by the constructor of another contract, which says where.
MADE = {"CapacityShare": ("LeaseBook", "shareImplementation")}
# Sent while the deployer, as admin, may still call all that no role was given to.
CALLS = (("LeaseBook", "setTokenAllowed", ("@TestUSD", True)),)
ROLES = (  # as contracts/Roles.sol numbers them
    Role("OFFICER", 1, {"IdentityRegistry": ("register", "registerMany", "setFrozen")}),
    Role("GUARDIAN", 2, {"IdentityRegistry": ("setEntriesPaused",), "LeaseBook": ("setEntriesPaused",)}),
    Role("CHALLENGER", 3, {"UsageMeter": ("void",)}),
    Role("POLICY", 4, {"LeaseBook": ("setFee", "setTokenAllowed", "withdrawFees")}),
    Role("ENFORCER", 5, {"LeaseBook": ("forcedTransfer", "setFrozenTokens")}, functions_of="CapacityShare"),
)


class Deployment:
    """One run against one chain, by one deployer."""

    def __init__(self, sources, deployer, parameters):
        self.sources = sources
        self.deployer = deployer
        first = deployer.nonce
        self.values = {"deployer": deployer.address, **parameters}
        for index, step in enumerate(STEPS):
            self.values[step.name] = deployer.get_deployment_address(first + index)
        self.contracts = {}
        self.records = {}

    def fees(self):
        """Return the sender and a fee that holds for six full blocks: Brownie would send none on this network."""
        base = web3.eth.get_block("latest")["baseFeePerGas"]
        tip = 10**9
        return {"from": self.deployer, "max_fee": 2 * base + tip, "priority_fee": tip}

    def deploy(self, step):
        """Deploy one contract, wait for its receipt and read its code back."""
        arguments = [self.resolve(argument) for argument in step.arguments]
        contract = self.sources[step.source or step.name].deploy(*arguments, self.fees())
        if contract.address != self.values[step.name]:
            sys.exit(f"{step.name} is at {contract.address}, not at {self.values[step.name]}: the key is in use")
        self.record(step.name, contract, contract.tx, arguments)
        for name, (maker, getter) in MADE.items():
            if maker == step.name:
                made = self.sources[name].at(getattr(contract, getter)())
                self.record(name, made, contract.tx, None)

    def record(self, name, contract, receipt, arguments):
        """Note a contract; ``arguments`` is ``None`` where another contract gave them."""
        self.contracts[name] = contract
        self.records[name] = {
            "address": contract.address,
            "block": receipt.block_number,
            "transactionHash": receipt.txid,
            "codeHash": code_hash(contract.address),
            "constructorArguments": arguments,
        }

    def call(self, name, function, arguments):
        getattr(self.contracts[name], function)(*map(self.resolve, arguments), self.fees())

    def resolve(self, argument):
        if isinstance(argument, str) and argument.startswith("@"):
            return self.values[argument[1:]]
        return argument

    def open_roles(self, holders):
        """Give each function its role and each role its holder, then read both back.

        Raises:
            SystemExit: the chain says otherwise than what was sent.
        """
        manager = self.contracts["AccessManager"]
        granted = []
        for role in ROLES:
            holder = holders.get(role.name, self.deployer.address)
            manager.labelRole(role.number, role.name, self.fees())
            manager.grantRole(role.number, holder, 0, self.fees())
            for name, functions in role.opens.items():
                target, named = self.contracts[name], self.contracts[role.functions_of or name]
                selectors = [selector for function in functions for selector in selectors_of(named, function)]
                manager.setTargetFunctionRole(target, selectors, role.number, self.fees())
                for selector in selectors:
                    if manager.getTargetFunctionRole(target, selector) != role.number:
                        sys.exit(f"{name} {selector} is not open to {role.name}")
            if not manager.hasRole(role.number, holder)["isMember"]:
                sys.exit(f"{holder} has not the role {role.name}")
            opens = {name: list(functions) for name, functions in role.opens.items()}
            granted.append({"name": role.name, "number": role.number, "account": holder, "opens": opens})
        return granted


def selectors_of(contract, function):
    """Return the selectors of a function, one for each overload."""
    found = [selector for selector, name in contract.selectors.items() if name == function]
    if not found:
        sys.exit(f"{contract._name} has no function {function}")
    return found


def code_hash(address):
    """Return the Keccak-256 of the code at an address, as EXTCODEHASH gives it."""
    code = web3.eth.get_code(address)
    if not code:
        sys.exit(f"no code at {address}")
    return web3.keccak(code).to_0x_hex()


def connect(url):
    """Connect Brownie to a node that runs already.

    As a network of the development type: on a live one Brownie 1.22 raises TypeError in a thread at every deploy.
    """
    CONFIG.networks["target"] = {"name": "target", "id": "target", "cmd": "", "host": url, "cmd_settings": {}}
    network.connect("target", launch_rpc=False)
    network.gas_limit("auto")


def is_deployed(path, fresh):
    """Return whether the file tells of this very chain and all of its code is there.

    Raises:
        SystemExit: it tells of another chain, or of code that is gone, and ``--fresh`` was not given.
    """
    if fresh or not path.exists():
        return False
    known = json.loads(path.read_text())
    if known["genesisHash"] != genesis_hash():
        sys.exit(f"{path} is of another chain (genesis {known['genesisHash']}); to replace it, deploy with --fresh")
    for name, record in known["contracts"].items():
        code = web3.eth.get_code(record["address"])
        if web3.keccak(code).to_0x_hex() != record["codeHash"]:
            sys.exit(f"{path}: the code of {name} is not on this chain; to replace it, deploy with --fresh")
    return True


def genesis_hash():
    return web3.eth.get_block(0)["hash"].to_0x_hex()


def load_sources():
    """Return the compiled contracts; two runs at once do not compile into each other."""
    (CHECKOUT / "build/brownie").mkdir(parents=True, exist_ok=True)
    with (CHECKOUT / "build/brownie.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.chdir(CHECKOUT)  # Brownie opens the libraries' sources from here
        return project.load(CHECKOUT, "Drakewell")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rpc", required=True, help="URL of the node")
    parser.add_argument("--key-env", default="DRAKEWELL_DEPLOYER_KEY", help="variable that holds the deployer's key")
    parser.add_argument("--out", type=Path, help="file to write instead of deployments/<chain_id>.json")
    parser.add_argument("--fresh", action="store_true", help="deploy even if the file tells of a deployment")
    parser.add_argument("--grant", action="append", default=[], metavar="ROLE=0x..", help="by default the deployer")
    known = ", ".join(f"{name}={value}" for name, value in PARAMETERS.items())
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=f"by default {known}")
    return parser.parse_args()


def main():
    """Deploy, unless it is done already."""
    options = parse()
    key = os.environ.get(options.key_env) or sys.exit(f"set {options.key_env} to the deployer's private key")
    changed = dict(pair.split("=", 1) for pair in options.set)
    if unknown := changed.keys() - PARAMETERS.keys():
        sys.exit(f"no such parameter: {', '.join(sorted(unknown))}")
    parameters = PARAMETERS | {name: int(value) for name, value in changed.items()}
    holders = dict(pair.split("=", 1) for pair in options.grant)
    if unknown := holders.keys() - {role.name for role in ROLES}:
        sys.exit(f"no such role: {', '.join(sorted(unknown))}")
    connect(options.rpc)
    path = (options.out or CHECKOUT / f"deployments/{chain.id}.json").resolve()
    if is_deployed(path, options.fresh):
        print(f"already deployed: {path}")
        return
    run = Deployment(load_sources(), accounts.add(key), parameters)
    with redirect_stdout(StringIO()):  # Brownie tells of every transaction; a failing one raises
        for step in STEPS:
            run.deploy(step)
        for call in CALLS:
            run.call(*call)
        roles = run.open_roles(holders)
    last = web3.eth.get_block("latest")
    written = {
        "chainId": chain.id,
        "genesisHash": genesis_hash(),
        "deployer": run.deployer.address,
        "firstBlock": min(record["block"] for record in run.records.values()),
        "lastBlock": last["number"],
        "lastBlockHash": last["hash"].to_0x_hex(),
        "parameters": parameters,
        "contracts": run.records,
        "roles": roles,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    partial.write_text(json.dumps(written, indent=2) + "\n")
    partial.replace(path)
    print(f"deployed {len(run.records)} contracts in blocks {written['firstBlock']} to {last['number']}: {path}")


if __name__ == "__main__":
    main()
