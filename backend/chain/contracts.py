"""The deployed contracts: reads at the head, simulation, and what the logs of a transaction mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

from backend.chain import abi
from backend.chain.deployment import Deployment
from backend.chain.node import Node, NodeError
from backend.kit.problems import NotFound, WouldRevert
from backend.kit.types import ZERO_ADDRESS, checksummed

# Enough for any fee, so that a sender without ETH is told by the plan's `gas` issue and not by a failing simulation.
SIMULATION_WEI = hex(10**24)
SIMULATION_GAS = hex(16_000_000)
KNOWN_ADDRESSES = 4096


@dataclass(frozen=True)
class Call:
    """A call of one of our contracts; `args` in their JSON form, the contract named by its ABI."""

    contract: str
    to: str
    function: str
    args: dict[str, Any]

    @property
    def data(self) -> str:
        """The call's bytes."""
        return abi.call_data(abi.functions(self.contract)[self.function], self.args)


@dataclass(frozen=True)
class Simulated:
    """One call of a simulation: `revert` is None when it succeeded, `gas` what it used."""

    gas: int
    revert: dict[str, Any] | None
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Token:
    """What never changes of a settlement token. `domain` is its EIP-712 domain where it has EIP-2612 permits."""

    address: str
    symbol: str
    decimals: int
    domain: dict[str, Any] | None


class Contracts:
    """The contracts of one deployment, read through the node."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self.node = node
        self.deployment = deployment
        self._tokens: dict[str, Token] = {}
        self._shares: dict[str, bool] = {}
        self._lock = Lock()

    def read(self, calls: Sequence[Call], block: str = "latest") -> list[Any]:
        """Return the outputs of view calls in one round trip.

        Raises:
            WouldRevert: a view refuses, such as one of a site that does not exist.
        """
        results = self.node.try_batch([("eth_call", [{"to": call.to, "data": call.data}, block]) for call in calls])
        outputs = []
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, NodeError):
                raise would_revert(abi.revert(result.data))
            outputs.append(abi.returned(abi.functions(call.contract)[call.function], result))
        return outputs

    def book(self, function: str, **args: Any) -> Call:
        """Return a call of the LeaseBook."""
        return Call("LeaseBook", self.deployment.address("LeaseBook"), function, args)

    def site(self, site_id: int) -> dict[str, Any]:
        """Return a site as the LeaseBook holds it at the head.

        Raises:
            NotFound: there is none.
        """
        site: dict[str, Any] = self.read([self.book("siteOf", siteId=site_id)])[0]
        if site["owner"] == ZERO_ADDRESS:
            raise NotFound(f"There is no site {site_id}.")
        return site

    def lease(self, lease_id: int) -> dict[str, Any]:
        """Return a lease as the LeaseBook holds it at the head.

        Raises:
            NotFound: there never was one.
        """
        lease: dict[str, Any] = self.read([self.book("leaseOf", leaseId=lease_id)])[0]
        if lease["siteId"] == "0":
            raise NotFound(f"There is no lease {lease_id}.")
        return lease

    def token(self, address: str) -> Token:
        """Return a token's symbol, decimals and permit domain, asked of the node once."""
        known = self._tokens.get(address.lower())
        if known is None:
            known = self._read_token(address.lower())
            with self._lock:
                self._tokens[known.address] = known
        return known

    def _read_token(self, address: str) -> Token:
        ask = partial(Call, abi.TOKEN, address, args={})
        names = ("symbol", "decimals", "name", "version", "DOMAIN_SEPARATOR")
        results = self.node.try_batch(
            [("eth_call", [{"to": address, "data": ask(name).data}, "latest"]) for name in names]
        )
        found: dict[str, Any] = {}
        for name, result in zip(names, results, strict=True):
            if isinstance(result, str) and len(result) > 2:
                found[name] = abi.returned(abi.functions(abi.TOKEN)[name], result)
        if "decimals" not in found:
            raise would_revert({"contract": None, "name": "NotAToken", "args": {"address": address}, "data": "0x"})
        domain = {
            "name": found.get("name", ""),
            "version": found.get("version", "1"),
            "chainId": self.deployment.chain_id,
            "verifyingContract": checksummed(address),
        }
        permits = abi.domain_separator(domain) == found.get("DOMAIN_SEPARATOR")
        return Token(address, found.get("symbol", ""), int(found["decimals"]), domain if permits else None)

    def simulate(self, account: str, calls: Sequence[Call], block: str) -> list[Simulated] | None:
        """Run calls of `account` one after another on the state after `block`; None where the node cannot.

        `block` is a block's number in hex. Fees are not simulated.
        """
        request = {
            "blockStateCalls": [
                {
                    "stateOverrides": {account: {"balance": SIMULATION_WEI}},
                    "calls": [
                        {"from": account, "to": call.to, "data": call.data, "gas": SIMULATION_GAS} for call in calls
                    ],
                }
            ],
            "validation": False,
            "traceTransfers": False,
        }
        try:
            answers = self.node.call("eth_simulateV1", request, block)[0]["calls"]
        except NodeError:
            return None
        done = []
        for answer in answers:
            ok = int(answer["status"], 16) == 1
            data = answer.get("returnData") or (answer.get("error") or {}).get("data")
            done.append(
                Simulated(
                    int(answer["gasUsed"], 16),
                    None if ok else abi.revert(data),
                    self.events(answer["logs"]) if ok else [],
                )
            )
        return done

    def events(self, logs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Decode the logs of one transaction; a clone made in it is known by the LeaseBook's own event."""
        decoded = [abi.event(self.deployment.name_of(log["address"]), log) for log in logs]
        made = {each["args"]["share"] for each in decoded if each["name"] == "SharesIssued"}
        return [
            abi.event(self._kind(each["address"], made), log) if each["contract"] is None else each
            for each, log in zip(decoded, logs, strict=True)
        ]

    def _kind(self, address: str, made: set[str]) -> str | None:
        key = address.lower()
        if key in self._tokens:
            return abi.TOKEN
        if address in made:
            return "CapacityShare"
        if key not in self._shares:
            if len(self._shares) >= KNOWN_ADDRESSES:
                self._shares.clear()  # of strangers' transactions: there is no end of them
            ask = Call("CapacityShare", key, "leaseBook", {})
            answer = self.node.try_batch([("eth_call", [{"to": key, "data": ask.data}, "latest"])])[0]
            book = self.deployment.address("LeaseBook")
            self._shares[key] = isinstance(answer, str) and answer.lower().endswith(book[2:])
        return "CapacityShare" if self._shares[key] else abi.TOKEN


def would_revert(revert: dict[str, Any]) -> WouldRevert:
    """Return the problem that carries a decoded revert."""
    shown = ", ".join(f"{name} {value}" for name, value in revert["args"].items())
    return WouldRevert(f"{revert['name']}: {shown}" if shown else revert["name"], revert=revert)
