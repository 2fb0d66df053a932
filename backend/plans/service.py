"""Make a plan: the steps of one action, simulated in order on the head, with what the caller must mend."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse

from backend.chain import abi
from backend.chain.contracts import Call, Contracts, Simulated, Token, would_revert
from backend.chain.node import Head
from backend.kit.pages import Meta, One
from backend.kit.types import checksummed
from backend.plans import seal
from backend.plans.schemas import Approval, Plan

#: Refusals that another person's act mends (officer, guardian): the plan says so and can be sent later.
ELIGIBILITY = frozenset(
    {
        "ERC7943CannotSend",
        "ERC7943CannotReceive",
        "ERC7943InsufficientUnfrozenBalance",
        "LeaseBook_AccountFrozen",
        "CapacityShare_AccountFrozen",
        "LeaseBook_EntriesPaused",
    }
)
#: The owner of another site, or nobody's owner: only the second is for the officer to mend.
NOT_SITE_OWNER = "LeaseBook_NotSiteOwner"
#: How tokens say that they have too little: OpenZeppelin's errors, and the texts of older ones such as USDC.
SHORT_OF_TOKENS = frozenset({"ERC20InsufficientAllowance", "ERC20InsufficientBalance", "Error"})

# A transaction may cost more than its simulation: other storage, a settlement that grew, a refund not granted.
GAS_MARGIN = (13, 10)
GAS_RESERVE = 60_000
GAS_PERMIT = 80_000
# Of a call that the node cannot simulate: more than any of ours takes but a long report or page of settlements.
GAS_UNKNOWN = 1_000_000
NO_PERMIT = {"value": "0", "deadline": "0", "v": "0", "r": "0x" + "00" * 32, "s": "0x" + "00" * 32}
PERMIT_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}


#: How an endpoint that answers with a plan is declared.
PLANNED: dict[str, Any] = {"status_code": 201, "response_model": One[Plan]}


@dataclass(frozen=True)
class Pull:
    """What a call pulls from its sender: `amount` base units of `token`. `with_permit` names the permit form."""

    token: str
    amount: int
    with_permit: str
    approval: Approval = "auto"


@dataclass(frozen=True)
class Intent:
    """One action of an account, as a call of a contract."""

    action: str
    title: str
    account: str
    call: Call
    pull: Pull | None = None
    context: dict[str, Any] = field(default_factory=dict)
    gas_reserve: int = GAS_RESERVE


@dataclass(frozen=True)
class _Sender:
    wei: int
    nonce: int
    priority_fee: int
    balance: int = 0
    allowance: int = 0
    permit_nonce: int = 0


@dataclass(frozen=True)
class _Send:
    """A transaction of the plan. `simulated` is the call that stands for it where a signature is still missing."""

    title: str
    call: Call
    simulated: tuple[Call, ...]
    holes: dict[str, str]
    reserve: int


class Planner:
    """Makes plans; knows the contracts and the key, keeps nothing."""

    def __init__(self, contracts: Contracts, secret: bytes, seconds: int) -> None:
        self.contracts = contracts
        self.node = contracts.node
        self._secret = secret
        self._seconds = seconds

    def expiry(self) -> int:
        """Return until when a plan made now is good, by the chain's clock."""
        return self.node.head().time + self._seconds

    def verify(self, plan: dict[str, Any]) -> None:
        """Check that we made this plan; see `seal.verify`."""
        seal.verify(plan, self._secret)

    def plan(self, intent: Intent) -> JSONResponse:
        """Answer with the plan, in the very JSON that its MAC covers.

        Raises:
            WouldRevert: a step fails, and nothing that the caller could mend explains it.
        """
        head = self.node.head(fresh=True)
        token = self.contracts.token(intent.pull.token) if intent.pull else None
        sender = self._sender(intent)
        steps, sends = _steps(intent, token, sender, head.time + self._seconds)
        calls = [call for send in sends for call in send.simulated]
        outcomes = self.contracts.simulate(intent.account, calls, hex(head.number))
        results = _by_send(sends, outcomes)
        shown = [
            self._send_step(send, result, sender, position, head)
            for position, (send, result) in enumerate(zip(sends, results, strict=True))
        ]
        wei = sum(step["transaction"]["gas"] * int(step["transaction"]["max_fee_per_gas"]) for step in shown)
        issues = _issues(intent, token, sender, wei)
        reverted = next((each.revert for result in results for each in result or () if each.revert), None)
        if reverted:
            _explain(issues, reverted, member=self._is_site_owner(intent.account))
        for number, step in enumerate(steps + shown, 1):
            step["id"] = f"step{number}"
        plan = Plan.model_validate(
            {
                "id": "",
                "mac": "",
                "action": intent.action,
                "account": intent.account,
                "chain_id": self.contracts.deployment.chain_id,
                "as_of_block": head.number,
                "as_of_block_hash": head.hash,
                "expires_at": head.time + self._seconds,
                "simulation": "partial" if outcomes is None else "complete",
                "issues": issues,
                "context": intent.context,
                "steps": steps + shown,
            }
        )
        meta = Meta(as_of_block=head.number, as_of_block_hash=head.hash, as_of_time=head.time, head_block=head.number)
        sealed = seal.seal(plan.model_dump(mode="json", exclude={"id", "mac"}), self._secret)
        return JSONResponse({"data": sealed, "meta": meta.model_dump(mode="json")}, 201)

    def _is_site_owner(self, account: str) -> bool:
        registry = self.contracts.deployment.address("IdentityRegistry")
        ask = Call("IdentityRegistry", registry, "isSiteOwner", {"account": checksummed(account)})
        return bool(self.contracts.read([ask])[0])

    def _sender(self, intent: Intent) -> _Sender:
        account, pull = intent.account, intent.pull
        calls: list[tuple[str, list[Any]]] = [
            ("eth_getBalance", [account, "latest"]),
            ("eth_getTransactionCount", [account, "pending"]),
            ("eth_maxPriorityFeePerGas", []),
        ]
        if pull:
            asked = (
                ("balanceOf", [account]),
                ("allowance", [account, intent.call.to]),
                ("nonces", [account]),
            )
            for name, values in asked:
                function = abi.functions(abi.TOKEN)[name]
                args = {
                    part["name"] or f"arg{at}": value
                    for at, (part, value) in enumerate(zip(function.inputs, values, strict=True))
                }
                data = Call(abi.TOKEN, pull.token, name, args).data
                calls.append(("eth_call", [{"to": pull.token, "data": data}, "latest"]))
        answers = self.node.try_batch(calls)
        return _Sender(*(int(each, 16) if isinstance(each, str) and len(each) > 2 else 0 for each in answers))

    def _send_step(
        self, send: _Send, result: tuple[Simulated, ...] | None, sender: _Sender, position: int, head: Head
    ) -> dict[str, Any]:
        failed = next((each for each in result or () if each.revert), None)
        used = GAS_UNKNOWN if result is None else sum(each.gas for each in result)
        gas = used * GAS_MARGIN[0] // GAS_MARGIN[1] + send.reserve
        fee = 2 * head.base_fee + sender.priority_fee
        return {
            "kind": "send",
            "title": send.title,
            "contract": send.call.contract,
            "function": send.call.function,
            "args": send.call.args,
            "holes": send.holes,
            "transaction": {
                "type": 2,
                "chain_id": self.contracts.deployment.chain_id,
                "to": send.call.to,
                "value": 0,
                "data": None if send.holes else send.call.data,
                "nonce": sender.nonce + position,
                "gas": gas,
                "max_fee_per_gas": fee,
                "max_priority_fee_per_gas": sender.priority_fee,
            },
            "simulation": {
                "status": "unknown" if result is None else "reverted" if failed else "success",
                "gas_used": used if result is not None else None,
                "revert": failed.revert if failed else None,
                "events": [event for each in result or () for event in each.events],
            },
        }


def _steps(
    intent: Intent, token: Token | None, sender: _Sender, expiry: int
) -> tuple[list[dict[str, Any]], list[_Send]]:
    """Return the sign steps and the sends. With a permit the send is the permit form, its signature in holes."""
    call, pull = intent.call, intent.pull
    plain = _Send(intent.title, call, (call,), {}, intent.gas_reserve)
    if pull is None or token is None or pull.approval == "none" or sender.allowance >= pull.amount:
        return [], [plain]
    spender = checksummed(call.to)
    approve = Call(abi.TOKEN, pull.token, "approve", _approve_args(spender, pull.amount))
    permitted = token.domain is not None and pull.approval != "approve"
    if not permitted:
        title = f"Approve {pull.amount} base units of {token.symbol}"
        return [], [_Send(title, approve, (approve,), {}, GAS_RESERVE), plain]
    message = {
        "owner": checksummed(intent.account),
        "spender": spender,
        "value": str(pull.amount),
        "nonce": str(sender.permit_nonce),
        "deadline": str(expiry),
    }
    sign = {
        "kind": "sign",
        "title": f"Permit {pull.amount} base units of {token.symbol}",
        "typed_data": {"types": PERMIT_TYPES, "primaryType": "Permit", "domain": token.domain, "message": message},
    }
    name = abi.functions(call.contract)[pull.with_permit].inputs[-1]["name"]
    permit = {"value": str(pull.amount), "deadline": str(expiry), "v": None, "r": None, "s": None}
    form = Call(call.contract, call.to, pull.with_permit, {**call.args, name: permit})
    # The signature is not here yet, so an approval stands for the permit, and none is given.
    stand_in = Call(call.contract, call.to, pull.with_permit, {**call.args, name: NO_PERMIT})
    holes = {f"{name}.{part}": "step1" for part in ("v", "r", "s")}
    reserve = intent.gas_reserve + GAS_PERMIT
    return [sign], [_Send(intent.title, form, (approve, stand_in), holes, reserve)]


def _approve_args(spender: str, amount: int) -> dict[str, str]:
    names = [part["name"] for part in abi.functions(abi.TOKEN)["approve"].inputs]
    return dict(zip(names, (spender, str(amount)), strict=True))


def _by_send(sends: Sequence[_Send], outcomes: list[Simulated] | None) -> list[tuple[Simulated, ...] | None]:
    if outcomes is None:
        return [None] * len(sends)
    left = iter(outcomes)
    return [tuple(next(left) for _ in send.simulated) for send in sends]


def _issues(
    intent: Intent,
    token: Token | None,
    sender: _Sender,
    wei: int,
) -> dict[str, Any]:
    """Return what the account lacks."""
    issues: dict[str, Any] = dict.fromkeys(("allowance", "balance", "eligibility", "gas"))
    pull = intent.pull
    if pull and token:
        asset = {"address": checksummed(token.address), "symbol": token.symbol, "decimals": token.decimals}
        if sender.allowance < pull.amount and pull.approval == "none":
            issues["allowance"] = {
                "message": "The contract may not pull this much yet: approve it first, or ask for a plan that does.",
                "asset": asset,
                "needed": pull.amount,
                "available": sender.allowance,
            }
        if sender.balance < pull.amount:
            issues["balance"] = {
                "message": f"The account has too little {token.symbol}; top it up first.",
                "asset": asset,
                "needed": pull.amount,
                "available": sender.balance,
            }
    if sender.wei < wei:
        issues["gas"] = {
            "message": "The account has too little of the chain's own coin for the fees; amounts are in wei.",
            "needed": wei,
            "available": sender.wei,
        }
    return issues


def _explain(issues: dict[str, Any], reverted: dict[str, Any], *, member: bool) -> None:
    """Hold a revert against the issues, or make it one.

    Raises:
        WouldRevert: none explains it.
    """
    name = reverted["name"]
    if name in ELIGIBILITY or (name == NOT_SITE_OWNER and not member):
        issues["eligibility"] = {
            "message": "The identity registry or a pause forbids it now; GET /v1/accounts/{account}/eligibility "
            "says how to mend it.",
            "revert": reverted,
        }
    elif name not in SHORT_OF_TOKENS or not (issues["allowance"] or issues["balance"]):
        raise would_revert(reverted)
