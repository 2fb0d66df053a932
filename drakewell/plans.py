"""Checks a plan against what the caller asked for, byte by byte, before anything is signed.

A server that lies about a target, an amount, a recipient, a spender or the fee gets `PlanMismatch` and no signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from drakewell.codec import Call, inputs
from drakewell.errors import CannotProceed, PlanMismatch

TOKEN_ABI = "TestUSD"  # noqa: S105 - a contract's name
PERMIT_SUFFIX = "WithPermit"
MOST_SENDS = 2
_SIGNATURE_PARTS = ("v", "r", "s")

_PERMIT_TYPE = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]
_DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


@dataclass(frozen=True)
class Pull:
    """What the call takes from the caller: `amount` base units of `token`, by its own target."""

    token: str
    amount: int


@dataclass(frozen=True)
class Limits:
    """What a server may not exceed: wei of fees a transaction, and seconds from now for a permit to stay valid."""

    fee: int = 10**17
    permit_seconds: int = 3600


class Walk:
    """One plan, checked whole at once, then signed step by step."""

    def __init__(  # noqa: PLR0917 - all that a plan is held against
        self, plan: dict[str, Any], call: Call, pull: Pull | None, signer: LocalAccount, chain_id: int, limits: Limits
    ) -> None:
        """Check what can be checked before the first signature.

        Raises:
            CannotProceed: the plan names what to mend first.
            PlanMismatch: it is not a plan for `call`.
        """
        issues = [issue for issue in plan["issues"].values() if issue]
        if issues:
            raise CannotProceed(issues)
        self._plan, self._call, self._pull, self._signer, self._limits = plan, call, pull, signer, limits
        self._chain_id = chain_id
        self._signed: dict[str, Any] = {}
        _same("account", plan["account"], signer.address)
        _same("chain_id", plan["chain_id"], chain_id)
        sends = [step for step in plan["steps"] if step["kind"] == "send"]
        if not sends:
            raise PlanMismatch("the plan sends nothing")
        if len(sends) > MOST_SENDS:  # each more would cost its fee, whatever it does
            raise PlanMismatch(f"the plan sends {len(sends)} transactions, an approval and the call are enough")
        if len({step["id"] for step in plan["steps"]}) < len(plan["steps"]):
            raise PlanMismatch("the plan has two steps of one id")
        for step in sends[:-1]:
            self._check_target(step, self._approval())
        self._check_target(sends[-1], call)

    def transactions(self, now: int) -> Iterator[tuple[str, bytes]]:
        """Sign step after step; yield the id of each to send, and its raw transaction. `now` is the chain's time.

        Raises:
            PlanMismatch: a step's bytes are not those of the call asked for.
        """
        *_, last = (step["id"] for step in self._plan["steps"] if step["kind"] == "send")
        for step in self._plan["steps"]:
            if step["kind"] == "sign":
                self._signed[step["id"]] = self._permit(step["typed_data"], now)
            else:
                data = self._data(step, self._call if step["id"] == last else self._approval())
                yield step["id"], self._raw(step["transaction"], data)

    def _approval(self) -> Call:
        if self._pull is None:
            raise PlanMismatch("the plan asks for an approval, and this call takes no money")
        return Call(TOKEN_ABI, self._pull.token, "approve", (self._call.to, self._pull.amount))

    def _check_target(self, step: dict[str, Any], call: Call) -> None:
        transaction = step["transaction"]
        _same("to", transaction["to"], call.to)
        _same("chain_id", transaction["chain_id"], self._chain_id)
        _same("value", int(transaction["value"]), 0)
        names = {call.function, call.function + PERMIT_SUFFIX} if step["holes"] else {call.function}
        if step["function"] not in names:
            raise PlanMismatch(f"function: the plan calls {step['function']}, asked for was {call.function}")
        if not step["holes"]:
            _same("data", transaction["data"], "0x" + call.data().hex())
        fee = transaction["gas"] * int(transaction["max_fee_per_gas"])
        if fee > self._limits.fee:
            raise PlanMismatch(f"fee: the plan may cost {fee} wei, the limit is {self._limits.fee}")

    def _permit(self, typed: dict[str, Any], now: int) -> dict[str, Any]:
        """Sign a permit of our own values; of the server's only domain name, version, nonce and deadline are kept."""
        if self._pull is None:
            raise PlanMismatch("the plan asks for a permit, and this call takes no money")
        domain, message = typed["domain"], typed["message"]
        deadline = int(message["deadline"])
        if deadline > now + self._limits.permit_seconds:
            raise PlanMismatch(f"deadline: the permit is valid until {deadline}, {deadline - now} s from now")
        values = {
            "owner": self._signer.address,
            "spender": self._call.to,
            "value": self._pull.amount,
            "nonce": int(message["nonce"]),
            "deadline": deadline,
        }
        _same("verifyingContract", domain["verifyingContract"], self._pull.token)
        for key in ("owner", "spender"):
            _same(f"permit.{key}", message[key], values[key])
        _same("permit.value", int(message["value"]), self._pull.amount)
        ours = {
            "types": {"EIP712Domain": _DOMAIN_TYPE, "Permit": _PERMIT_TYPE},
            "primaryType": "Permit",
            "domain": {
                "name": domain["name"],
                "version": domain["version"],
                "chainId": self._chain_id,
                "verifyingContract": self._pull.token,
            },
            "message": values,
        }
        signature = Account.sign_message(encode_typed_data(full_message=ours), self._signer.key)
        word = {part: getattr(signature, part) for part in _SIGNATURE_PARTS}
        return {
            "v": word["v"],
            "r": word["r"].to_bytes(32, "big"),
            "s": word["s"].to_bytes(32, "big"),
            "deadline": deadline,
        }

    def _data(self, step: dict[str, Any], call: Call) -> bytes:
        """Return the call's bytes; with holes those of its permit form, which the server's arguments must give too."""
        if not step["holes"]:
            return call.data()
        function = call.function + PERMIT_SUFFIX
        name = inputs(call.contract, function, len(call.args) + 1)[-1]["name"]
        if self._pull is None or set(step["holes"]) != {f"{name}.{part}" for part in _SIGNATURE_PARTS}:
            raise PlanMismatch(f"holes: {step['holes']} are not those of the permit of {function}")
        signed = self._signed[step["holes"][f"{name}.v"]]
        permit = (self._pull.amount, signed["deadline"], signed["v"], signed["r"], signed["s"])
        ours = Call(call.contract, call.to, function, (*call.args, permit))
        shown = {**step["args"], name: {**step["args"][name], **{part: signed[part] for part in _SIGNATURE_PARTS}}}
        theirs = Call(call.contract, call.to, function, _values(ours, shown))
        _same("data", theirs.data().hex(), ours.data().hex())
        return ours.data()

    def _raw(self, transaction: dict[str, Any], data: bytes) -> bytes:
        signed = self._signer.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": transaction["nonce"],
                "to": transaction["to"],
                "value": 0,
                "data": data,
                "gas": transaction["gas"],
                "maxFeePerGas": int(transaction["max_fee_per_gas"]),
                "maxPriorityFeePerGas": int(transaction["max_priority_fee_per_gas"]),
            }
        )
        return bytes(signed.raw_transaction)


def _values(call: Call, shown: dict[str, Any]) -> tuple[Any, ...]:
    """Return a step's `args` as Python values in the ABI's order: what the server says that it encodes."""
    parameters = inputs(call.contract, call.function, len(call.args))
    return tuple(_value(shown[parameter["name"]], parameter) for parameter in parameters)


def _value(given: Any, parameter: dict[str, Any]) -> Any:
    kind: str = parameter["type"]
    if kind.endswith("[]"):
        return [_value(item, {**parameter, "type": kind.removesuffix("[]")}) for item in given]
    if kind == "tuple":
        return tuple(_value(given[part["name"]], part) for part in parameter["components"])
    if kind.startswith(("uint", "int")):
        return int(given)
    if kind.startswith("bytes") and isinstance(given, str):
        return bytes.fromhex(given.removeprefix("0x"))
    return given


def _same(what: str, theirs: Any, ours: Any) -> None:
    """Compare two values, addresses and bytes without regard to letter case."""
    left, right = (value.lower() if isinstance(value, str) else value for value in (theirs, ours))
    if left != right:
        raise PlanMismatch(f"{what}: the plan has {theirs}, asked for was {ours}")
