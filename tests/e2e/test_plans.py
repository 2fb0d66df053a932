"""A server that lies gets no signature: each field of a plan is changed in turn, and the client must notice."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drakewell import Client, Http, Limits, Sent
from drakewell.codec import Call
from drakewell.errors import CannotProceed, PlanMismatch, WouldRevert
from tests.e2e.market import Market

THIEF = "0x" + "66" * 20
BOND = 1_000_000

Change = Callable[[dict[str, Any]], None]


class Liar(Http):
    """An API that changes each plan before the client sees it, and remembers what the client submits."""

    def __init__(self, base_url: str, change: Change) -> None:
        super().__init__(base_url)
        self.change = change
        self.submitted = 0

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/transactions":
            self.submitted += 1
            raise AssertionError("a lie was signed")
        answer = copy.deepcopy(super().post(path, body))
        self.change(answer["data"])
        return answer


@pytest.fixture
def owner(market: Market) -> Iterator[Callable[..., Client]]:
    """A client of site 1's owner whose API changes each plan."""
    liars = []

    def make(change: Change, limits: Limits | None = None) -> Client:
        liars.append(Liar(market.stack.api, change))
        return Client(liars[-1], market.client("Ingrid").account, market.story.deployment, limits=limits)

    yield make
    for liar in liars:
        liar.close()


def sign_step(plan: dict[str, Any]) -> dict[str, Any]:
    return next(step for step in plan["steps"] if step["kind"] == "sign")


def send_step(plan: dict[str, Any]) -> dict[str, Any]:
    return next(step for step in plan["steps"] if step["kind"] == "send")


def nested(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(step: dict[str, Any], value: Any) -> None:
        for key in path[:-1]:
            step = step[key]
        step[path[-1]] = value

    return change


PERMIT_LIES = {
    "spender": (sign_step, ("typed_data", "message", "spender"), THIEF),
    "owner": (sign_step, ("typed_data", "message", "owner"), THIEF),
    "value": (sign_step, ("typed_data", "message", "value"), str(BOND + 1)),
    "deadline": (sign_step, ("typed_data", "message", "deadline"), str(2**40)),
    "token": (sign_step, ("typed_data", "domain", "verifyingContract"), THIEF),
    "target": (send_step, ("transaction", "to"), THIEF),
    "ether": (send_step, ("transaction", "value"), "1"),
    "chain": (send_step, ("transaction", "chain_id"), 1),
    "function": (send_step, ("function",), "withdrawBond"),
    "amount": (send_step, ("args", "amount"), str(BOND + 1)),
    "site": (send_step, ("args", "siteId"), "2"),
    "fee": (send_step, ("transaction", "max_fee_per_gas"), str(10**15)),
}


@pytest.mark.parametrize("lie", PERMIT_LIES)
def test_no_signature_for_a_changed_plan_with_a_permit(owner, lie: str):
    which, path, value = PERMIT_LIES[lie]
    client = owner(lambda plan: nested(*path)(which(plan), value))
    with pytest.raises(PlanMismatch):
        client.post_bond(1, BOND)


PLAIN_LIES = {
    "recipient": lambda step: step["transaction"].update(
        data=step["transaction"]["data"].replace(step["args"]["to"][2:].lower(), THIEF[2:])
    ),
    "target": lambda step: step["transaction"].update(to=THIEF),
    "cut short": lambda step: step["transaction"].update(data=step["transaction"]["data"][:-2]),
}


@pytest.mark.parametrize("lie", PLAIN_LIES)
def test_no_signature_for_changed_bytes(owner, lie: str):
    client = owner(lambda plan: PLAIN_LIES[lie](send_step(plan)))
    with pytest.raises(PlanMismatch):
        client.withdraw_bond(1, BOND)


def test_no_signature_for_an_approval_nobody_asked_for(market: Market, owner):
    def add_approval(plan: dict[str, Any]) -> None:
        extra = copy.deepcopy(send_step(plan))
        extra.update(id="step0", function="approve", contract="ERC20")
        extra["transaction"]["to"] = market.story.deployment["TestUSD"]
        plan["steps"].insert(0, extra)

    with pytest.raises(PlanMismatch, match="takes no money"):
        owner(add_approval).withdraw_bond(1, BOND)


def test_no_signature_for_another_account_or_for_nothing(owner):
    with pytest.raises(PlanMismatch, match="account"):
        owner(lambda plan: plan.update(account=THIEF)).withdraw_bond(1, BOND)
    with pytest.raises(PlanMismatch, match="sends nothing"):
        owner(lambda plan: plan.update(steps=[])).withdraw_bond(1, BOND)


def test_limits_are_the_callers(owner):
    with pytest.raises(PlanMismatch, match="fee"):
        owner(lambda _: None, Limits(fee=1)).withdraw_bond(1, BOND)
    with pytest.raises(PlanMismatch, match="deadline"):
        owner(lambda _: None, Limits(permit_seconds=1)).post_bond(1, BOND)


def test_the_same_plans_unchanged_go_through(market: Market):
    client = market.client("Ingrid")
    before = client.bond(1)["bond"]
    assert client.post_bond(1, BOND).wait()["status"] == "included"
    assert client.bond(1)["bond"] == before + BOND
    client.withdraw_bond(1, BOND).wait()
    assert client.bond(1)["bond"] == before


def post_bond_after_approval(client: Client) -> Sent:
    """Post a bond as for a token without permits: approve, then call."""
    call = Call("LeaseBook", client.deployment["LeaseBook"], "postBond", (1, BOND))
    return client._write("/v1/sites/1/bond", {"amount": str(BOND), "approval": "approve"}, call, BOND)


def test_approve_then_call(market: Market):
    client = market.client("Ingrid")
    before = client.bond(1)["bond"]
    sent = post_bond_after_approval(client)
    assert len(sent.hashes) == 2
    sent.wait()
    assert client.bond(1)["bond"] == before + BOND
    client.withdraw_bond(1, BOND).wait()


@pytest.mark.parametrize("value", [THIEF[2:], f"{BOND + 1:064x}"], ids=["spender", "amount"])
def test_no_signature_for_a_changed_approval(market: Market, owner, value: str):
    spender, amount = market.story.deployment["LeaseBook"][2:].lower(), f"{BOND:064x}"

    def change(plan: dict[str, Any]) -> None:
        transaction = send_step(plan)["transaction"]
        true = amount if len(value) == len(amount) else spender
        assert true in transaction["data"]
        transaction["data"] = transaction["data"].replace(true, value)

    with pytest.raises(PlanMismatch, match="data"):
        post_bond_after_approval(owner(change))


def test_no_second_approval_to_burn_fees_on(owner):
    def again(plan: dict[str, Any]) -> None:
        plan["steps"].insert(0, copy.deepcopy(send_step(plan)) | {"id": "step0"})

    with pytest.raises(PlanMismatch, match="3 transactions"):
        post_bond_after_approval(owner(again))


def test_no_two_steps_of_one_name(owner):
    def alias(plan: dict[str, Any]) -> None:
        for step in plan["steps"]:
            step["id"] = "step1"

    with pytest.raises(PlanMismatch, match="of one id"):
        post_bond_after_approval(owner(alias))


def test_what_cannot_work_is_said_before_signing(market: Market):
    stranger = market.client("Goran")
    with pytest.raises((WouldRevert, CannotProceed)) as refused:
        stranger.withdraw_bond(1, BOND)
    assert "NotSiteOwner" in str(refused.value) or refused.value.issues
    rich = market.client("Ingrid")
    with pytest.raises(CannotProceed, match="too little TUSD"):
        rich.post_bond(1, 10**15)
