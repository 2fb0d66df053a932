"""The whole of Drakewell on a chain within two seconds, without Brownie: what tests of indexer and backend trade on.

    market = deploy(node)
    site = market.register_site(gpus=64)
    market.post_bond(site, 10_000 * USD)
    lease = market.open(market.list(site), gpus=8, term=24 * HOUR)
    market.warp(2 * HOUR)
    market.report(lease, hours=1)
    market.write_deployment(path)

The contracts are compiled first if their sources changed. Any account may send: the node impersonates it. Every actor
has a known key all the same, and a quorum of attesters signs each report. Blocks come as transactions do, a second
apart, or many transactions a block (`with market.block(at=...)`), at the times that the test says.
"""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import rlp
from eth_abi import decode, encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from contracts import load_abi
from drakewell.codec import Call
from drakewell.codec import _type as abi_type
from drakewell.reports import NO_SAMPLES, Entry, Report, sign
from scripts.build import ARTIFACTS, RENAMED, build
from scripts.launch import Node

HOUR = 3600
DAY = 24 * HOUR
USD = 10**6
SHARE = 10**18

FROZEN, INVESTOR, SITE_OWNER, ATTESTER, CUSTODIAN = 1, 2, 4, 8, 16

PARAMETERS = {"feeBps": 100, "quorum": 2, "challengeWindow": 6 * HOUR, "grace": 24 * HOUR}

#: Number, holder, and the functions opened by target; those of clones are set on the LeaseBook.
ROLES: dict[str, tuple[int, str, dict[str, tuple[str, ...]]]] = {
    "OFFICER": (1, "officer", {"IdentityRegistry": ("register", "registerMany", "setFrozen")}),
    "GUARDIAN": (
        2,
        "guardian",
        {"IdentityRegistry": ("setEntriesPaused",), "LeaseBook": ("setEntriesPaused",)},
    ),
    "CHALLENGER": (3, "challenger", {"UsageMeter": ("void",)}),
    "POLICY": (4, "policy", {"LeaseBook": ("setFee", "setTokenAllowed", "withdrawFees")}),
    "ENFORCER": (5, "enforcer", {"LeaseBook": ("forcedTransfer", "setFrozenTokens")}),
}

#: Registered with these flags, each of a party of his own. Tenants and strangers need no registration.
MEMBERS = {
    "owner": SITE_OWNER,
    "owner2": SITE_OWNER,
    "investor": INVESTOR,
    "investor2": INVESTOR,
    "investor3": INVESTOR,
    "custodian": CUSTODIAN,
    "attester1": ATTESTER,
    "attester2": ATTESTER,
    "attester3": ATTESTER,
}
ATTESTERS = ("attester1", "attester2", "attester3")
#: Hold TestUSD, and allow the LeaseBook to take it.
RICH = ("owner", "owner2", "tenant", "tenant2", "stranger")
NAMES = ("deployer", *(holder for _, holder, _ in ROLES.values()), *MEMBERS, "tenant", "tenant2", "stranger")

GAS_LIMIT = 3_000_000
DEPLOY_GAS = 14_000_000
#: One price for all: the node then mines in the order of arrival.
GAS_PRICE = 10**10
WEALTH = 10**9 * USD
EVER = 2**40 - 1


class Reverted(Exception):  # noqa: N818 - named for what happened
    """A transaction or call failed; `name` is the contract's error, `values` are what it carries."""

    def __init__(self, name: str, values: tuple[Any, ...] = ()) -> None:
        self.name, self.values = name, values
        super().__init__(f"{name}{values}")


class Rpc:
    """JSON-RPC over one connection that is kept."""

    def __init__(self, url: str) -> None:
        self.host = url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self.host, timeout=60)
        self._ids = itertools.count(1)

    def __call__(self, method: str, *params: Any) -> Any:
        return self.batch([(method, params)])[0]

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of many requests, which the node answers in one round trip.

        Raises:
            Reverted: an answer is an error.
        """
        answers = self.answers(requests)
        return [_result(answer, method) for answer, (method, _) in zip(answers, requests, strict=True)]

    def answers(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[dict[str, Any]]:
        """Return the answers of many requests, errors too, in their order."""
        if not requests:
            return []
        body = [{"jsonrpc": "2.0", "id": next(self._ids), "method": m, "params": list(p)} for m, p in requests]
        self._connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
        by_id = {answer["id"]: answer for answer in json.loads(self._connection.getresponse().read())}
        return [by_id[request["id"]] for request in body]

    def __del__(self) -> None:
        """Nobody has to remember to hang up."""
        self._connection.close()


def _result(answer: dict[str, Any], method: str) -> Any:
    if "error" not in answer:
        return answer["result"]
    error = answer["error"]
    data = error.get("data")
    if isinstance(data, str) and len(data) >= 10:
        raise decoded_error(bytes.fromhex(data[2:]))
    raise Reverted(f"{method}: {error.get('message')}")


@dataclass
class Market:
    """Deployed contracts and everybody around them. Amounts are base units, times unix seconds."""

    node: Node
    rpc: Rpc
    actors: dict[str, LocalAccount]
    addresses: dict[str, str]
    records: dict[str, dict[str, Any]]
    parameters: dict[str, int]
    founded: int = 0  # the block in which roles and members were written

    # -------------------------------------------------------------- sending

    def address(self, who: str) -> str:
        """Return the address of an actor or a contract by name; an address is returned as it is."""
        if who in self.actors:
            return str(self.actors[who].address)
        return self.addresses.get(who, who)

    def key(self, who: str) -> bytes:
        """Return the private key of an actor."""
        return bytes(self.actors[who].key)

    def request(self, sender: str, contract: str, function: str, *args: Any, to: str = "", gas: int = GAS_LIMIT) -> Any:
        """Return the `eth_sendTransaction` of a call, for a batch."""
        call = Call(contract, to or self.addresses[contract], function, args)
        return (
            "eth_sendTransaction",
            [
                {
                    "from": self.address(sender),
                    "to": call.to,
                    "data": "0x" + call.data().hex(),
                    "gas": hex(gas),
                    "gasPrice": hex(GAS_PRICE),
                }
            ],
        )

    def submit(self, sender: str, contract: str, function: str, *args: Any, to: str = "", gas: int = GAS_LIMIT) -> str:
        """Send a transaction and return its hash, whatever becomes of it; a node that mines at once has mined it."""
        return str(self.rpc(*_spread(self.request(sender, contract, function, *args, to=to, gas=gas))))

    def send(
        self, sender: str, contract: str, function: str, *args: Any, to: str = "", gas: int = GAS_LIMIT
    ) -> dict[str, Any]:
        """Send a transaction to a node that mines at once, and return its receipt.

        Raises:
            Reverted: it failed, by the contract's own error.
        """
        return self.receipt(self.submit(sender, contract, function, *args, to=to, gas=gas))

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        """Return the receipt of a transaction that was mined.

        Raises:
            Reverted: it failed.
        """
        deadline = time.monotonic() + 10
        # A node that mines at once answers with the hash a little before the block is there.
        while (receipt := self.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{tx_hash} is not mined: does the node mine?")
            time.sleep(0.001)
        if receipt["status"] == "0x0":
            trace = self.rpc("debug_traceTransaction", tx_hash, {"tracer": "callTracer"})
            output = bytes.fromhex(trace.get("output", "0x")[2:])
            raise decoded_error(output) if output else Reverted(trace.get("error", "no reason"))
        found: dict[str, Any] = receipt
        return found

    def call(self, contract: str, function: str, *args: Any, to: str = "", block: int | str = "latest") -> Any:
        """Return what a view returns: one value, or a tuple of them.

        Raises:
            Reverted: it reverts.
        """
        call = Call(contract, to or self.addresses[contract], function, args)
        at = block if isinstance(block, str) else hex(block)
        data = self.rpc("eth_call", {"to": call.to, "data": "0x" + call.data().hex()}, at)
        values = decode(returns(contract, function, len(args)), bytes.fromhex(data[2:]))
        return values[0] if len(values) == 1 else values

    def create(self, name: str, *arguments: Any) -> str:
        """Deploy one more contract of ours, such as a second `TestUSD`, and return its address."""
        receipt = self.receipt(self.rpc("eth_sendTransaction", _creation(self, name, [*arguments])))
        return str(to_checksum_address(receipt["contractAddress"]))

    # ----------------------------------------------------------------- time

    @property
    def number(self) -> int:
        """The head's number."""
        return int(self.rpc("eth_blockNumber"), 16)

    @property
    def now(self) -> int:
        """The head's time."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def next_at(self, at: int) -> None:
        """Give the next block this time."""
        self.rpc("evm_setNextBlockTimestamp", at)

    def mine(self, at: int | None = None) -> int:
        """Mine a block, by default a second after the last, and return its number."""
        if at is not None:
            self.next_at(at)
        self.rpc("evm_mine")
        return self.number

    def warp(self, seconds: int) -> int:
        """Mine an empty block so many seconds after the last; return its time."""
        at = self.now + seconds
        self.mine(at)
        return at

    @contextmanager
    def block(self, at: int | None = None) -> Iterator[None]:
        """Collect what is submitted inside into one block, in that order. Use `submit`, then `receipt` after it."""
        self.rpc("evm_setAutomine", False)
        try:
            yield
            self.mine(at)
        finally:
            self.rpc("evm_setAutomine", True)

    # --------------------------------------------------------------- people

    def register(self, who: str, flags: int, *, party: int = 0, valid_until: int = EVER, country: int = 276) -> None:
        """Write an identity (officer)."""
        self.send("officer", "IdentityRegistry", "register", self.address(who), (valid_until, country, flags, party))

    def freeze(self, who: str, frozen: bool = True) -> None:
        self.send("officer", "IdentityRegistry", "setFrozen", self.address(who), frozen)

    def mint(self, who: str, amount: int) -> None:
        """Give TestUSD."""
        self.send("deployer", "TestUSD", "mint", self.address(who), amount)

    def approve(self, who: str, spender: str = "LeaseBook", amount: int = 2**255) -> None:
        """Let a contract, or a clone by its address, take TestUSD."""
        self.send(who, "TestUSD", "approve", self.address(spender), amount)

    def balance(self, who: str) -> int:
        """Return somebody's TestUSD."""
        return int(self.call("TestUSD", "balanceOf", self.address(who)))

    # ------------------------------------------------------ sites, listings

    def register_site(self, gpus: int = 64, *, owner: str = "owner", region: str = "DE-BE", name: str = "Spree") -> int:
        """Register a site and return its id."""
        args = (self.addresses["TestUSD"], gpus, word(region), name)
        self.send(owner, "LeaseBook", "registerSite", *args)
        return int(self.call("LeaseBook", "siteCount"))

    def post_bond(self, site: int, amount: int, *, payer: str = "owner") -> None:
        self.send(payer, "LeaseBook", "postBond", site, amount)

    def issue(
        self,
        site: int,
        revenue_bps: int = 6_000,
        *,
        supply: int = 1_000_000 * SHARE,
        owner: str = "owner",
        name: str = "Spree Capacity",
        symbol: str = "SPREE",
    ) -> str:
        """Issue a site's shares and return the clone's address."""
        self.send(owner, "LeaseBook", "issue", site, revenue_bps, supply, name, symbol)
        return self.share(site)

    def share(self, site: int) -> str:
        """Return the address of a site's clone."""
        return str(to_checksum_address(self.call("LeaseBook", "siteOf", site)[5]))

    def list(self, site: int, *, owner: str = "owner", **changed: Any) -> int:
        """List GPUs on the default terms, some of them changed; return the listing's id."""
        self.send(owner, "LeaseBook", "list", site, self.terms(**changed))
        return int(self.call("LeaseBook", "listingCount"))

    def amend(self, listing: int, *, owner: str = "owner", **changed: Any) -> None:
        self.send(owner, "LeaseBook", "amend", listing, self.terms(**changed))

    def terms(self, **changed: Any) -> tuple[Any, ...]:
        """Return terms for `list`, by the names of the struct's fields; `from_` stands for `from`."""
        now = self.now
        fields: dict[str, Any] = {
            "from": now - now % HOUR,
            "until": now + 90 * DAY,
            "floorPrice": 2 * USD,
            "ceilingPrice": 3 * USD,
            "gpus": 32,
            "minTerm": HOUR,
            "maxTerm": 30 * DAY,
            "notice": HOUR,
            "slaBps": 9_900,
            "penaltyBps": 15_000,
            "curtailableBps": 500,
            "wattsPerGpu": 700,
            "pueBps": 12_500,
            "reclaimWindow": 2 * HOUR,
            "compensationBps": 1_000,
            "bondPerGpu": 50 * USD,
            "model": "H100 SXM5 80GB",
        }
        changed = {name.rstrip("_"): value for name, value in changed.items()}
        if unknown := changed.keys() - fields.keys():
            raise ValueError(f"terms have no {', '.join(sorted(unknown))}")
        fields |= changed
        if isinstance(fields["model"], str):
            fields["model"] = word(fields["model"])
        return tuple(fields.values())

    # --------------------------------------------------------------- leases

    def open(
        self,
        listing: int,
        gpus: int = 8,
        term: int = DAY,
        *,
        deposit: int | None = None,
        tenant: str = "tenant",
        holder: str = "",
    ) -> int:
        """Open a lease for the whole term unless `deposit` says otherwise; return its id."""
        params = self.open_params(listing, gpus, term, deposit=deposit, holder=holder or tenant)
        self.send(tenant, "LeaseBook", "open", params)
        return int(self.call("LeaseBook", "leaseCount"))

    def open_params(
        self, listing: int, gpus: int, term: int, *, deposit: int | None = None, holder: str = "tenant"
    ) -> tuple[Any, ...]:
        """Return `OpenParams` at any price, by the quote of now."""
        version, price, _, _, _, most, *_ = self.call("LeaseBook", "quote", listing, gpus, term)
        paid = most if deposit is None else deposit
        return (listing, version, gpus, term, paid, price, self.address(holder), EVER)

    def fund(self, lease: int, amount: int, *, payer: str = "tenant") -> None:
        self.send(payer, "LeaseBook", "fund", lease, amount)

    def close(self, lease: int, code: int = 1, *, tenant: str = "tenant") -> None:
        self.send(tenant, "LeaseBook", "close", lease, code)

    def reclaim(self, lease: int, code: int = 10_000, *, owner: str = "owner") -> None:
        self.send(owner, "LeaseBook", "reclaim", lease, code)

    def settle(self, lease: int, *, by: str = "stranger") -> dict[str, Any]:
        return self.send(by, "LeaseBook", "settle", lease)

    def release(self, lease: int, *, by: str = "stranger") -> None:
        self.send(by, "LeaseBook", "release", lease)

    def collect(self, lease: int, *, tenant: str = "tenant", to: str = "") -> dict[str, Any]:
        return self.send(tenant, "LeaseBook", "collect", lease, self.address(to or tenant))

    def transfer_lease(self, lease: int, to: str, *, tenant: str = "tenant") -> None:
        self.send(tenant, "LeaseBook", "transferFrom", self.address(tenant), self.address(to), lease)

    def withdraw_credit(self, *, owner: str = "owner", to: str = "") -> None:
        args = (self.addresses["TestUSD"], self.address(to or owner))
        self.send(owner, "LeaseBook", "withdrawCredit", *args)

    # ---------------------------------------------------------------- usage

    def entry(
        self,
        lease: int,
        *,
        hours: int = 1,
        from_epoch: int | None = None,
        available: int | None = None,
        busy: int | None = None,
        curtailed: int = 0,
        watt_hours: int = 0,
    ) -> Entry:
        """Return an entry of the next `hours` hours of a lease, all of it available unless said otherwise."""
        _, gpus, start, end, _ = self.call("LeaseBook", "meterTerms", lease)
        reported_to, round_, *_ = self.call("UsageMeter", "totals", lease)
        first = reported_to if from_epoch is None else from_epoch
        seconds = min((first + hours) * HOUR, end) - max(first * HOUR, start)
        full = gpus * seconds - curtailed if available is None else available
        return Entry(lease, first, first + hours, round_, full, full if busy is None else busy, curtailed, watt_hours)

    def report_entries(
        self, site: int, entries: Sequence[Entry], *, by: str = "stranger", signers: Sequence[str] = ATTESTERS[:2]
    ) -> int:
        """Post a report signed by attesters and return its id; entries may have been skipped."""
        self.send(by, *self.report_call(site, entries, signers=signers), gas=20_000_000)
        return int(self.call("UsageMeter", "reportCount"))

    def report_call(
        self, site: int, entries: Sequence[Entry], *, signers: Sequence[str] = ATTESTERS[:2], root: bytes = NO_SAMPLES
    ) -> tuple[Any, ...]:
        """Return contract, function and arguments of a signed report, for `submit`."""
        report = Report(site, root, tuple(entries))
        chain_id = int(self.rpc("eth_chainId"), 16)
        signatures = sign(report, chain_id, self.addresses["UsageMeter"], [self.actors[name] for name in signers])
        return "UsageMeter", "report", report.as_args(), signatures

    def report(self, lease: int, **entry: Any) -> int:
        """Post one lease's next hours (see `entry`) and return the report's id."""
        return self.report_entries(self.call("LeaseBook", "leaseOf", lease)[0], [self.entry(lease, **entry)])

    def void(self, lease: int, from_epoch: int) -> None:
        """Void the report that starts at `from_epoch` and the later ones (challenger)."""
        self.send("challenger", "UsageMeter", "void", lease, from_epoch)

    # --------------------------------------------------------------- shares

    def transfer(self, site: int, to: str, amount: int, *, holder: str = "owner") -> None:
        """Transfer shares of a site."""
        self.send(holder, "CapacityShare", "transfer", self.address(to), amount, to=self.share(site))

    def distribute(self, site: int, amount: int, *, source: int = 1, ref: int = 0, payer: str = "owner") -> None:
        """Distribute revenue (1 mining, 2 demand response, 3 other), approved before."""
        share = self.share(site)
        self.approve(payer, share)
        self.send(payer, "CapacityShare", "distribute", amount, source, ref, to=share)

    def claim(self, site: int, *, holder: str = "owner", to: str = "") -> dict[str, Any]:
        return self.send(holder, "CapacityShare", "claim", self.address(to or holder), to=self.share(site))

    # ------------------------------------------------------ deployments file

    def deployment(self) -> dict[str, Any]:
        """Return what `scripts/deploy.py` writes to `deployments/<chain_id>.json`."""
        genesis, last = self.node.headers([0, self.founded])
        return {
            "chainId": int(self.rpc("eth_chainId"), 16),
            "genesisHash": genesis["hash"],
            "deployer": self.address("deployer"),
            "firstBlock": min(record["block"] for record in self.records.values()),
            "lastBlock": self.founded,
            "lastBlockHash": last["hash"],
            "parameters": self.parameters,
            "contracts": self.records,
            "roles": [
                {
                    "name": name,
                    "number": number,
                    "account": self.address(holder),
                    "opens": {target: [*functions] for target, functions in opens.items()},
                }
                for name, (number, holder, opens) in ROLES.items()
            ],
        }

    def write_deployment(self, path: Path) -> Path:
        """Write the deployments file and return its path."""
        path.write_text(json.dumps(self.deployment(), indent=2) + "\n")
        return path


def deploy(node: Node, **parameters: int) -> Market:
    """Deploy, wire and grant everything on a node that mines at once; register `MEMBERS` and make `RICH` so.

    Args:
        node: the chain; the next block's time is left to the test, blocks without one are a second apart.
        parameters: changes of `PARAMETERS`.
    """
    rpc = Rpc(node.url)
    actors = {name: Account.from_key(keccak(text=f"drakewell/{name}")) for name in NAMES}
    wealth = [("anvil_setBalance", [actor.address, hex(10**24)]) for actor in actors.values()]
    rpc.batch([("anvil_autoImpersonateAccount", [True]), ("anvil_setBlockTimestampInterval", [1]), *wealth])
    settings = PARAMETERS | parameters
    nonce = int(rpc("eth_getTransactionCount", actors["deployer"].address, "latest"), 16)
    steps: dict[str, tuple[Any, ...]] = {
        "AccessManager": ("deployer",),
        "IdentityRegistry": ("AccessManager",),
        "TestUSD": (),
        "ListingLib": (),
        "LeaseBook": ("AccessManager", "IdentityRegistry", "UsageMeter", "feeBps"),
        "UsageMeter": (
            "AccessManager",
            "IdentityRegistry",
            "LeaseBook",
            "quorum",
            "challengeWindow",
            "grace",
        ),
    }
    addresses = {name: created_address(actors["deployer"].address, nonce + index) for index, name in enumerate(steps)}
    market = Market(node, rpc, actors, addresses, {}, settings)
    with market.block():
        sent = {
            name: rpc("eth_sendTransaction", _creation(market, name, [_argument(market, a) for a in arguments]))
            for name, arguments in steps.items()
        }
    for name, arguments in steps.items():
        receipt = market.receipt(sent[name])
        _record(market, name, receipt, [_argument(market, argument) for argument in arguments])
        if name == "LeaseBook":
            made = market.call("LeaseBook", "shareImplementation")
            addresses["CapacityShare"] = str(to_checksum_address(made))
            _record(market, "CapacityShare", receipt, None)
    with market.block():
        hashes = rpc.batch(_founding(market))
    for tx_hash in hashes:
        market.receipt(tx_hash)
    market.founded = market.number
    return market


def _argument(market: Market, argument: str) -> Any:
    return market.parameters[argument] if argument in market.parameters else market.address(argument)


def _record(market: Market, name: str, receipt: dict[str, Any], arguments: list[Any] | None) -> None:
    address = market.addresses[name]
    code = bytes.fromhex(market.rpc("eth_getCode", address, "latest")[2:])
    market.records[name] = {
        "address": address,
        "block": int(receipt["blockNumber"], 16),
        "transactionHash": receipt["transactionHash"],
        "codeHash": "0x" + keccak(code).hex(),
        "constructorArguments": arguments,
    }


def _creation(market: Market, name: str, arguments: list[Any]) -> dict[str, str]:
    code, abi = bytecode(name)
    for library, address in market.addresses.items():
        code = code.replace(f"__${keccak(text=_library_path(library)).hex()[:34]}$__", address[2:].lower())
    types = next(([i["type"] for i in item["inputs"]] for item in abi if item["type"] == "constructor"), [])
    return {
        "from": market.address("deployer"),
        "data": code + encode(types, arguments).hex(),
        "gas": hex(DEPLOY_GAS),
        "gasPrice": hex(GAS_PRICE),
    }


def _founding(market: Market) -> list[Any]:
    """Roles, members, money: the transactions of the second block, in order."""
    found = [market.request("deployer", "LeaseBook", "setTokenAllowed", market.addresses["TestUSD"], True)]
    for name, (number, holder, opens) in ROLES.items():
        found.append(market.request("deployer", "AccessManager", "labelRole", number, name))
        found.append(market.request("deployer", "AccessManager", "grantRole", number, market.address(holder), 0))
        for target, functions in opens.items():
            source = "CapacityShare" if name == "ENFORCER" else target
            selectors = [selector for function in functions for selector in _selectors(source, function)]
            args = (market.addresses[target], selectors, number)
            found.append(market.request("deployer", "AccessManager", "setTargetFunctionRole", *args))
    records = [(EVER, 276, flags, party) for party, flags in enumerate(MEMBERS.values(), 1)]
    accounts = [market.address(name) for name in MEMBERS]
    found.append(market.request("officer", "IdentityRegistry", "registerMany", accounts, records))
    for name in RICH:
        found.append(market.request("deployer", "TestUSD", "mint", market.address(name), WEALTH))
        found.append(market.request(name, "TestUSD", "approve", market.addresses["LeaseBook"], 2**255))
    return found


# ------------------------------------------------------------------------------------------------------------ encoding


def word(text: str) -> bytes:
    """Return a left-aligned name of 32 bytes."""
    return text.encode("ascii").ljust(32, b"\0")


def created_address(sender: str, nonce: int) -> str:
    """Return where a contract created by `sender` with `nonce` comes to lie, EIP-55."""
    return str(to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:]))


@cache
def compiled() -> None:
    """Compile the contracts, unless it is done already."""
    build()


@cache
def bytecode(name: str) -> tuple[str, list[dict[str, Any]]]:
    """Return creation code (0x hex, libraries not linked) and ABI of a contract or library of ours."""
    compiled()
    source = {true: ours for ours, true in RENAMED.items()}.get(name, name)
    artifact = json.loads((ARTIFACTS / f"{source}.sol/{source}.json").read_text())
    return artifact["bytecode"]["object"], artifact["abi"]


def _library_path(name: str) -> str:
    return f"contracts/libraries/{name}.sol:{name}"


@cache
def returns(contract: str, function: str, arity: int) -> tuple[str, ...]:
    """Return the types that a function returns."""
    item = next(
        item
        for item in load_abi(contract)
        if item["type"] == "function" and item["name"] == function and len(item["inputs"]) == arity
    )
    return tuple(abi_type(part) for part in item["outputs"])


def _selectors(contract: str, function: str) -> list[bytes]:
    found = [item for item in load_abi(contract) if item["type"] == "function" and item["name"] == function]
    return [_selector(item) for item in found]


def _selector(item: dict[str, Any]) -> bytes:
    return bytes(keccak(text=f"{item['name']}({','.join(abi_type(part) for part in item['inputs'])})")[:4])


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """Return selector -> (name, types) of every error of our ABIs."""
    names = ("LeaseBook", "UsageMeter", "CapacityShare", "IdentityRegistry", "AccessManager", "TestUSD")
    # A library's errors reach the caller of the contract that it is linked to.
    items = [item for name in names for item in load_abi(name)] + bytecode("ListingLib")[1]
    found = {
        _selector(item): (item["name"], tuple(abi_type(part) for part in item["inputs"]))
        for item in items
        if item["type"] == "error"
    }
    found[keccak(text="Error(string)")[:4]] = ("Error", ("string",))
    found[keccak(text="Panic(uint256)")[:4]] = ("Panic", ("uint256",))
    return found


def decoded_error(data: bytes) -> Reverted:
    """Return the error that a contract gave."""
    if data[:4] not in _errors():
        return Reverted(f"0x{data.hex()}" if data else "no reason")
    name, types = _errors()[data[:4]]
    return Reverted(name, tuple(decode(types, data[4:])))


def _spread(request: tuple[str, Sequence[Any]]) -> tuple[Any, ...]:
    method, params = request
    return method, *params
