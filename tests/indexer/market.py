"""A deployment on Anvil and a few actors, by plain JSON-RPC: unlocked accounts sign, forge's artifacts are the code."""

import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi import decode, encode
from eth_account import Account
from eth_utils import keccak, to_checksum_address

from contracts import load_abi
from scripts.build import ARTIFACTS, build
from scripts.launch import Node

HOUR = 3600
DAY = 24 * HOUR
USD = 10**6
MNEMONIC = "test test test test test test test test test test test junk"
GAS = hex(12_000_000)

Account.enable_unaudited_hdwallet_features()


compiled = cache(build)  # once a run: another terminal may be changing the sources


def canonical(part: dict[str, Any]) -> str:
    if not part["type"].startswith("tuple"):
        return part["type"]
    return f"({','.join(canonical(field) for field in part['components'])}){part['type'][5:]}"


class Contract:
    def __init__(self, market: "Market", abi: str, address: str):
        self.market, self.address = market, to_checksum_address(address)
        self.functions = {item["name"]: item for item in load_abi(abi) if item["type"] == "function"}

    def data(self, name: str, *args: Any) -> str:
        types = [canonical(part) for part in self.functions[name]["inputs"]]
        return "0x" + (keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, args)).hex()

    def send(self, sender: str, name: str, *args: Any, wait: bool = True) -> dict[str, Any]:
        return self.market.send(sender, self.address, self.data(name, *args), f"{name}{args}", wait=wait)

    def call(self, name: str, *args: Any, block: str = "latest") -> Any:
        answer = self.market.node.rpc("eth_call", {"to": self.address, "data": self.data(name, *args)}, block)
        values = decode([canonical(part) for part in self.functions[name]["outputs"]], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values


class Market:
    """Deploys everything at once; `self.file` is the deployments file."""

    def __init__(self, node: Node, folder: Path):
        compiled()
        self.node = node
        accounts = [to_checksum_address(each) for each in node.rpc("eth_accounts")]
        self.admin, self.owner, self.tenant, self.investor, self.stranger, *self.attesters = accounts[:7]
        self.keys = {
            account: Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
            for index, account in enumerate(accounts[:10])
        }
        self.records: dict[str, dict[str, Any]] = {}
        first = int(node.rpc("eth_getTransactionCount", self.admin, "latest"), 16)
        names = ("Authority", "IdentityRegistry", "TestUSD", "ListingLib", "LeaseBook", "UsageMeter")
        at = {name: created(self.admin, first + index) for index, name in enumerate(names)}
        manager, registry = at["Authority"], at["IdentityRegistry"]
        self.deploy("Authority", ["address"], [self.admin])
        self.deploy("IdentityRegistry", ["address"], [manager])
        self.deploy("TestUSD", [], [])
        self.deploy("ListingLib", [], [])
        four = ["address", "address", "address", "uint16"]
        self.deploy("LeaseBook", four, [manager, registry, at["UsageMeter"], 100], library=at["ListingLib"])
        numbers = ["uint256"] * 3
        meter = [manager, registry, at["LeaseBook"], 2, 6 * HOUR, DAY]
        self.deploy("UsageMeter", ["address"] * 3 + numbers, meter)
        self.manager = Contract(self, "AccessManager", manager)
        self.registry = Contract(self, "IdentityRegistry", registry)
        self.usd = Contract(self, "TestUSD", at["TestUSD"])
        self.book = Contract(self, "LeaseBook", at["LeaseBook"])
        self.meter = Contract(self, "UsageMeter", at["UsageMeter"])
        self.file = folder / "deployment.json"
        self.write_file()
        self.book.send(self.admin, "setTokenAllowed", self.usd.address, True)
        self.people()

    # ------------------------------------------------------------------ deployment

    def deploy(self, name: str, types: list[str], args: list[Any], library: str | None = None) -> None:
        folder = {"ListingLib": "ListingLib", "TestUSD": "TestUSD"}.get(name, name)
        artifact = json.loads((ARTIFACTS / f"{folder}.sol/{name}.json").read_text())
        code = artifact["bytecode"]["object"].removeprefix("0x")
        for places in artifact["bytecode"].get("linkReferences", {}).values():
            for spots in places.values():
                for spot in spots:
                    at = spot["start"] * 2
                    code = code[:at] + library[2:].lower() + code[at + 40 :]
        receipt = self.send(self.admin, None, "0x" + code + encode(types, args).hex(), f"deploy {name}")
        address = to_checksum_address(receipt["contractAddress"])
        self.records[name] = {
            "address": address,
            "block": int(receipt["blockNumber"], 16),
            "codeHash": "0x" + keccak(hexstr=self.node.rpc("eth_getCode", address, "latest")).hex(),
        }

    def write_file(self) -> None:
        written = {
            "chainId": int(self.node.rpc("eth_chainId"), 16),
            "genesisHash": self.node.rpc("eth_getBlockByNumber", "0x0", False)["hash"],
            "firstBlock": min(record["block"] for record in self.records.values()),
            "contracts": {
                {"Authority": "AccessManager"}.get(name, name): record for name, record in self.records.items()
            },
        }
        self.file.write_text(json.dumps(written))

    def people(self) -> None:
        """Members, and money: 1,000,000 USD each."""
        until = self.now() + 1000 * DAY
        members = [(self.owner, 4, 1), (self.investor, 2, 2), *((each, 8, 10) for each in self.attesters)]
        self.registry.send(
            self.admin,
            "registerMany",
            [account for account, _, _ in members],
            [(until, 840, flags, party) for _, flags, party in members],
        )
        for each in (self.owner, self.tenant, self.investor, self.stranger):
            self.usd.send(self.admin, "mint", each, 10**6 * USD)
            self.usd.send(each, "approve", self.book.address, 2**256 - 1)

    # ------------------------------------------------------------------ the chain

    def send(self, sender: str, to: str | None, data: str, what: str, *, wait: bool = True) -> dict[str, Any]:
        transaction = {"from": sender, "data": data, "gas": GAS, **({"to": to} if to else {})}
        sent = self.node.rpc("eth_sendTransaction", transaction)
        if not wait:
            return {"transactionHash": sent}
        deadline = time.monotonic() + 10
        while (receipt := self.node.rpc("eth_getTransactionReceipt", sent)) is None:  # it is mined a moment later
            assert time.monotonic() < deadline, f"{what} was not mined"
            time.sleep(0.001)
        assert receipt["status"] == "0x1", f"{what} reverted"
        return receipt

    def head(self) -> dict[str, Any]:
        return self.node.rpc("eth_getBlockByNumber", "latest", False)

    def height(self) -> int:
        return int(self.head()["number"], 16)

    def now(self) -> int:
        return int(self.head()["timestamp"], 16)

    def mine(self, blocks: int = 1) -> None:
        self.node.rpc("anvil_mine", hex(blocks))

    def wait(self, seconds: int) -> None:
        self.node.rpc("evm_increaseTime", seconds)
        self.mine()

    # ------------------------------------------------------------------ the market

    def site(self, gpus: int = 64, bond: int = 10_000 * USD) -> int:
        self.book.send(self.owner, "registerSite", self.usd.address, gpus, b"eu-north".ljust(32, b"\0"), "Aurora")
        site = self.book.call("siteCount")
        if bond:
            self.book.send(self.owner, "postBond", site, bond)
        return site

    def shares(self, site: int, bps: int = 6_000) -> Contract:
        self.book.send(self.owner, "issue", site, bps, 10**24, "Aurora One", "AUR1")
        share = self.share(site)
        for each in (self.owner, self.tenant, self.investor, self.stranger):
            self.usd.send(each, "approve", share.address, 2**256 - 1)
        return share

    def share(self, site: int) -> Contract:
        return Contract(self, "CapacityShare", self.book.call("siteOf", site)[5])

    def listing(self, site: int, gpus: int = 16) -> int:
        now = self.now()
        terms = (now, now + 90 * DAY, 2 * USD, 4 * USD, gpus, HOUR, 60 * DAY, HOUR, 9_900, 15_000, 500, 700, 12_000)
        rest = (DAY, 2_000, 100 * USD, b"H100 SXM5 80GB".ljust(32, b"\0"))
        self.book.send(self.owner, "list", site, (*terms, *rest))
        return self.book.call("listingCount")

    def lease(self, listing: int, gpus: int = 4, term: int = 2 * DAY, *, wait: bool = True) -> int:
        quote = self.book.call("quote", listing, gpus, term)
        version, price, max_deposit = quote[0], quote[1], quote[5]
        params = (listing, version, gpus, term, max_deposit, price, self.tenant, self.now() + DAY)
        self.book.send(self.tenant, "open", params, wait=wait)
        return self.book.call("leaseCount")

    def report(self, site: int, lease: int, hours: int, share_available: int = 95) -> None:
        """Attest the next `hours` full hours of a lease, `share_available` percent of them available."""
        _, gpus, start, end, _ = self.book.call("meterTerms", lease)
        reported_to, round_, *_ = self.meter.call("totals", lease)
        begin = max(reported_to, start // HOUR)
        until = begin + hours
        seconds = max(0, min(end, until * HOUR) - max(start, begin * HOUR)) * gpus
        available = seconds * share_available // 100
        entry = (lease, begin, until, round_, available, available // 2, 0, available // 5)
        report = (site, bytes(32), [entry])
        digest = self.meter.call("digestOf", report)
        signers = sorted(self.attesters, key=lambda each: int(each, 16))
        signatures = [bytes(self.keys[each].unsafe_sign_hash(digest).signature) for each in signers]
        self.meter.send(self.stranger, "report", report, signatures)

    def story(self) -> None:
        """A bit of everything: two sites, three leases, shares, usage, settlement, claims, gifts."""
        site, other = self.site(), self.site(gpus=32)
        listing, other_listing = self.listing(site), self.listing(other, gpus=8)
        share = self.shares(site)
        first, second = self.lease(listing), self.lease(listing, gpus=2)
        share.send(self.owner, "transfer", self.investor, 4 * 10**23)
        third = self.lease(other_listing, gpus=8, term=6 * HOUR)
        self.wait(5 * HOUR)
        for where, lease in ((site, first), (site, second), (other, third)):
            self.report(where, lease, 4)
        self.wait(7 * HOUR)
        for lease in (first, second, third):
            self.book.send(self.stranger, "settle", lease)
        share.send(self.stranger, "distribute", 500 * USD, 1, 77)
        self.wait(HOUR)
        share.send(self.investor, "claim", self.investor)
        self.book.send(self.owner, "withdrawCredit", self.usd.address, self.owner)
        self.book.send(self.admin, "withdrawFees", self.usd.address, self.admin)
        self.usd.send(self.stranger, "transfer", self.book.address, 3)
        self.book.send(self.tenant, "close", second, 7)


def created(sender: str, nonce: int) -> str:
    """Return the address of the contract that an account creates with a nonce below 128."""
    tail = b"\x80" if nonce == 0 else bytes([nonce])
    return to_checksum_address(keccak(b"\xd6\x94" + bytes.fromhex(sender[2:]) + tail)[12:])


def environment(database: str, market: Market, **more: str) -> dict[str, str]:
    """Return the environment of a process of ours."""
    return {
        **os.environ,
        "DATABASE_URL": database,
        "DRAKEWELL_RPC_URL": market.node.url,
        "DRAKEWELL_DEPLOYMENT": str(market.file),
        **more,
    }
