"""The write path: every action planned, signed and submitted; what was tampered with is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from backend.chain import abi
from backend.chain.node import Node
from backend.kit.problems import InvalidRequest
from tests.backend.conftest import Api, eventually, problem
from tests.chain import DAY, HOUR, SHARE, USD


def terms(api: Api, **changed: Any) -> dict[str, Any]:
    """Return the terms of the story's second listing, as the API gives them."""
    shown = api.data(f"/v1/listings/{api.story['cheap']}")["terms"]
    return {**shown, **changed}


@pytest.fixture(scope="module")
def world(api: Api) -> dict[str, Any]:
    """A site with shares, a bond, a listing and a lease, all made by plans over HTTP alone."""
    token = api.market.address("TestUSD")
    made = api.act("owner", "/v1/sites", token=token, gpus=64, region="IS-1", name="Höfn")
    site = made["resource"]["id"]
    assert made["resource"] == {"type": "site", "id": site, "href": f"/v1/sites/{site}"}
    assert api.data(f"/v1/sites/{site}", min_block=made["block_number"])["name"] == "Höfn"
    api.act("owner", f"/v1/sites/{site}/bond", amount=str(10_000 * USD))
    issued = api.act(
        "owner", f"/v1/sites/{site}/shares", revenue_bps=5_000, supply=str(10**24), name="Hofn", symbol="HFN"
    )
    assert issued["resource"]["type"] == "offering"
    listed = api.act("owner", "/v1/listings", site_id=site, terms=terms(api, gpus=32))
    listing = listed["resource"]["id"]
    opened = api.act("tenant", "/v1/leases", listing_id=listing, gpus=4, term=6 * HOUR)
    lease = opened["resource"]["id"]
    return {"site": site, "listing": listing, "lease": lease, "token": token}


def test_a_lease_from_plan_to_refund(api: Api, world: dict[str, Any]) -> None:
    site, lease, market = world["site"], world["lease"], api.market
    funded = api.data(f"/v1/leases/{lease}")
    assert funded["state"] == "active"
    market.warp(2 * HOUR)
    entry = market.entry(lease)
    _, _, report, signatures = market.report_call(site, [entry])
    body = {
        "site_id": site,
        "samples_root": "0x" + report[1].hex(),
        "entries": [
            {
                "lease_id": entry.lease_id,
                "from_epoch": entry.from_epoch,
                "to_epoch": entry.to_epoch,
                "round": entry.round,
                "available": entry.available,
                "busy": entry.busy,
                "curtailed": entry.curtailed,
                "watt_hours": entry.watt_hours,
            }
        ],
    }
    signed = ["0x" + signature.hex() for signature in signatures]
    reported = api.act("stranger", "/v1/reports", report=body, signatures=signed)
    assert reported["resource"]["type"] == "report"
    api.act("challenger", "/v1/reports/void", lease_id=lease, from_epoch=entry.from_epoch)
    again = {**body, "entries": [{**body["entries"][0], "round": entry.round + 1}]}
    _, _, _, signatures = market.report_call(site, [entry.__class__(**{**entry.__dict__, "round": entry.round + 1})])
    api.act("stranger", "/v1/reports", report=again, signatures=["0x" + each.hex() for each in signatures])
    api.act("tenant", f"/v1/leases/{lease}/close", code=7)
    market.warp(2 * DAY)
    api.act("stranger", f"/v1/leases/{lease}/settle")
    final = api.data(f"/v1/leases/{lease}")
    assert final["state"] == "final"
    assert final["code"] == 7
    assert int(final["rent_total"]) == int(final["price"]) * entry.available // HOUR
    before = market.balance("tenant")
    collected = api.act("tenant", f"/v1/leases/{lease}/collect")
    assert market.balance("tenant") - before == int(final["collectable"]) > 0
    assert [event["name"] for event in collected["events"] if event["contract"] == "LeaseBook"][-1] == "LeaseCollected"
    api.act("stranger", f"/v1/leases/{lease}/release")
    credit = api.data(f"/v1/accounts/{market.address('owner')}/portfolio")["credits"][0]
    before = market.balance("investor")
    api.act("owner", "/v1/credits/withdraw", token=world["token"], to=market.address("investor"))
    assert market.balance("investor") - before == int(credit["amount"])


def test_shares_are_sold_paid_and_claimed(api: Api, world: dict[str, Any]) -> None:
    site, market = world["site"], api.market
    holders = f"/v1/shares/{site}/holders"
    api.act("owner", f"/v1/shares/{site}/transfer", to=market.address("investor"), amount=str(SHARE))
    for approval in ("permit", "approve"):
        api.act("owner", f"/v1/shares/{site}/distribute", amount=str(10 * USD), source="mining", approval=approval)
    market.warp(2 * DAY)
    claimable = int(api.data(f"{holders}/{market.address('investor')}")["claimable"])
    assert claimable > 0
    before = market.balance("investor2")
    api.act("investor", f"/v1/shares/{site}/claim", to=market.address("investor2"))
    assert market.balance("investor2") - before == claimable
    api.act("stranger", f"/v1/shares/{site}/claim-for", holder=market.address("owner"))
    assert int(api.data(f"{holders}/{market.address('owner')}")["claimable"]) == 0


def test_leases_are_funded_sold_reclaimed_and_settled_together(api: Api, world: dict[str, Any]) -> None:
    market, listing = api.market, world["listing"]
    price = api.data("/v1/quotes", listing_id=listing, gpus=2, term=DAY)
    opened = [
        api.act(
            "tenant", "/v1/leases", listing_id=listing, gpus=2, term=DAY, deposit=str(int(price["min_deposit"]) * 3)
        )
        for _ in range(2)
    ]
    first, second = (each["resource"]["id"] for each in opened)
    deposited = int(api.data(f"/v1/leases/{first}")["deposited"])
    api.act("stranger", f"/v1/leases/{first}/fund", amount=str(USD))
    assert int(api.data(f"/v1/leases/{first}")["deposited"]) == deposited + USD
    api.act("tenant", f"/v1/leases/{first}/transfer", to=market.address("tenant2"))
    assert api.data(f"/v1/leases/{first}")["holder"] == market.address("tenant2")
    api.act("owner", f"/v1/leases/{second}/reclaim", code=10_001)
    assert api.data(f"/v1/leases/{second}")["state"] in {"reclaiming", "ended"}
    market.warp(3 * DAY)
    api.act("stranger", "/v1/leases/settle", lease_ids=[first, second])
    assert [api.data(f"/v1/leases/{each}")["state"] for each in (first, second)] == ["final", "final"]


def test_listings_and_sites_change_hands(api: Api, world: dict[str, Any]) -> None:
    site, market = world["site"], api.market
    listed = api.act("owner", "/v1/listings", site_id=site, terms=terms(api, gpus=8))
    listing = listed["resource"]["id"]
    api.act("owner", f"/v1/listings/{listing}/amend", terms=terms(api, gpus=4, model="L40S"))
    shown = api.data(f"/v1/listings/{listing}")
    assert (shown["version"], shown["gpu"]["model"], shown["gpu"]["verified"]) == (2, "L40S", False)
    api.act("owner", f"/v1/listings/{listing}/withdraw")
    assert listing not in {row["listing_id"] for row in api.data("/v1/listings")}
    assert api.data("/v1/listings", include_withdrawn="true", sort="-listing_id")[0]["listing_id"] == listing
    api.act("owner", f"/v1/sites/{site}/bond/withdraw", amount=str(USD))
    api.act("owner", f"/v1/sites/{site}/offer", new_owner=market.address("owner2"))
    api.act("owner2", f"/v1/sites/{site}/accept")
    assert api.data(f"/v1/sites/{site}")["owner"] == market.address("owner2")
    api.act("owner2", f"/v1/sites/{site}/offer", new_owner=market.address("owner"))
    api.act("owner", f"/v1/sites/{site}/accept")


def test_the_part_of_a_refusing_clone_is_pushed_later(api: Api, world: dict[str, Any]) -> None:
    market, site = api.market, world["site"]
    opened = api.act("tenant", "/v1/leases", listing_id=world["listing"], gpus=1, term=2 * HOUR)
    lease = opened["resource"]["id"]
    market.warp(2 * HOUR)
    market.report(lease)
    market.warp(7 * HOUR)
    share = market.share(site)
    market.send("deployer", "TestUSD", "blacklist", share)
    api.act("stranger", f"/v1/leases/{lease}/settle")
    assert int(api.data(f"/v1/sites/{site}")["pending_shares"]) > 0
    market.send("deployer", "TestUSD", "unBlacklist", share)
    api.act("stranger", f"/v1/sites/{site}/shares/push")
    assert api.data(f"/v1/sites/{site}")["pending_shares"] == "0"


def test_every_plan_was_tried(api: Api, world: dict[str, Any]) -> None:
    """Runs after the tests above: each endpoint that plans was answered with a plan."""
    document = api.http.get("/openapi.json").json()
    planned = {
        path
        for path, operations in document["paths"].items()
        if "post" in operations and operations["post"]["operationId"].startswith("plan_")
    }

    def untried() -> set[str]:
        metrics = api.http.get("/metrics").text
        return {path for path in planned if f'method="POST",route="{path}",status="201"' not in metrics}

    assert len(planned) == 26
    eventually(lambda: not untried())


def test_every_entry_point_of_the_contracts_has_a_plan_or_a_reason(api: Api) -> None:
    import re
    from pathlib import Path

    source = "".join(path.read_text() for path in Path(__file__).parents[2].glob("backend/*/*.py"))
    planned = set(re.findall(r'"([a-z]\w+)"', source))
    reasons = {
        "approve": "of a lease token: sold by the exchange, which is not there yet; of a share likewise",
        "setApprovalForAll": "as approve",
        "safeTransferFrom": "transferFrom moves the same token",
        "transferFrom": "of shares: needs an approval, as approve",
        "permit": "as approve",
        "initialise": "only the LeaseBook calls it",
        "setAuthority": "only the AccessManager calls it",
        "setEntriesPaused": "the guardian's",
        "setFee": "of the policy role",
        "setTokenAllowed": "of the policy role",
        "withdrawFees": "of the policy role",
        "forcedTransfer": "the enforcer's",
        "setFrozenTokens": "the enforcer's",
    }
    for contract in ("LeaseBook", "UsageMeter", "CapacityShare"):
        for item in abi.load_abi(contract):
            if item["type"] == "function" and item["stateMutability"] == "nonpayable":
                assert item["name"] in planned or item["name"] in reasons, (contract, item["name"])


# ------------------------------------------------------------------------------------------------- approvals and issues


def test_a_permit_is_a_step_to_sign_and_a_call_with_holes(api: Api, world: dict[str, Any]) -> None:
    plan = api.plan("investor", f"/v1/sites/{world['site']}/bond", amount=str(USD), approval="permit")
    sign, send = plan["steps"]
    assert (sign["kind"], sign["typed_data"]["primaryType"]) == ("sign", "Permit")
    assert send["function"] == "postBondWithPermit"
    assert send["transaction"]["data"] is None
    assert send["holes"] == {f"permit.{part}": "step1" for part in ("v", "r", "s")}
    assert send["simulation"]["status"] == "success"
    # The permit is not in the simulation; what it stands for is.
    assert any(event["name"] == "Approval" for event in send["simulation"]["events"])


def test_a_permit_works_where_the_allowance_is_missing(api: Api, world: dict[str, Any]) -> None:
    api.market.mint("investor3", 5 * USD)
    path = f"/v1/sites/{world['site']}/bond"
    for approval in ("permit", "approve", "auto"):
        before = int(api.data(f"/v1/bonds/{world['site']}")["bond"])
        api.act("investor3", path, amount=str(USD), approval=approval)
        assert int(api.data(f"/v1/bonds/{world['site']}")["bond"]) == before + USD


def test_a_lack_that_the_caller_can_mend_is_an_issue(api: Api, world: dict[str, Any]) -> None:
    path = f"/v1/sites/{world['site']}/bond"
    poor = api.plan("custodian", path, amount=str(USD))
    assert poor["issues"]["balance"]["needed"] == str(USD)
    assert poor["issues"]["balance"]["available"] == "0"
    assert poor["issues"]["allowance"] is None
    bare = api.plan("custodian", path, amount=str(USD), approval="none")
    assert bare["issues"]["allowance"]["needed"] == str(USD)
    nobody = api.http.post(path, json={"account": "0x" + "ab" * 20, "amount": str(USD)}).json()["data"]
    assert nobody["issues"]["gas"]["available"] == "0"


def test_a_node_that_cannot_simulate_makes_a_partial_plan(
    api: Api, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.chain.node import NodeError

    node = api.app.state.held.contracts.node
    real = node.call

    def lacking(method: str, *params: Any) -> Any:
        if method == "eth_simulateV1":
            raise NodeError(-32601, "Method not found")
        return real(method, *params)

    monkeypatch.setattr(node, "call", lacking)
    plan = api.plan("owner", f"/v1/sites/{world['site']}/bond", amount=str(USD))
    assert plan["simulation"] == "partial"
    assert plan["steps"][0]["simulation"] == {"status": "unknown", "gas_used": None, "revert": None, "events": []}
    assert api.walk("owner", plan)["status"] != "reverted"


def test_who_is_not_eligible_is_told(api: Api, world: dict[str, Any]) -> None:
    plan = api.plan(
        "owner", f"/v1/shares/{world['site']}/transfer", to=api.market.address("stranger"), amount=str(SHARE)
    )
    issue = plan["issues"]["eligibility"]
    assert issue["revert"]["name"] == "ERC7943CannotReceive"
    assert plan["steps"][-1]["simulation"]["status"] == "reverted"
    unregistered = api.plan("stranger", "/v1/sites", token=world["token"], gpus=1, region="X", name="x")
    assert unregistered["issues"]["eligibility"]["revert"]["name"] == "LeaseBook_NotSiteOwner"


@pytest.mark.parametrize(
    ("who", "path", "body", "error"),
    [
        ("tenant", "/v1/leases/999/settle", {}, "LeaseBook_UnknownLease"),
        ("tenant", "/v1/leases", {"listing_id": 999, "gpus": 1, "term": HOUR}, "LeaseBook_UnknownListing"),
        ("tenant2", "/v1/leases/4/close", {}, "LeaseBook_NotHolder"),
        (
            "tenant",
            "/v1/leases",
            {"listing_id": 1, "gpus": 1, "term": HOUR, "max_price": "1"},
            "LeaseBook_PriceAboveMax",
        ),
        ("owner2", "/v1/listings/1/withdraw", {}, "LeaseBook_NotSiteOwner"),
        ("stranger", "/v1/reports/void", {"lease_id": 4, "from_epoch": 1}, "AccessManagedUnauthorized"),
    ],
)
def test_what_would_revert_is_said_by_name(api: Api, who: str, path: str, body: dict[str, Any], error: str) -> None:
    answer = api.http.post(path, json={"account": api.market.address(who), **body})
    document = problem(answer, 422, "would_revert")
    assert document["revert"]["name"] == error
    assert document["revert"]["args"]


@pytest.mark.parametrize(
    "path", ["/v1/sites/999/bond", "/v1/shares/999/distribute", "/v1/shares/2/distribute", "/v1/leases/999/fund"]
)
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    body = {"account": api.market.address("owner"), "amount": "1"}
    if path.startswith("/v1/shares"):
        body["source"] = "mining"
    problem(api.http.post(path, json=body), 404, "not_found")


# ------------------------------------------------------------------------------------------------------------ tampering


@pytest.fixture
def planned(api: Api, world: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A plan of one step, and its signed transaction."""
    plan = api.plan("owner", f"/v1/sites/{world['site']}/bond", amount=str(3 * USD))
    ((_, raw),) = api.signed("owner", plan)
    return plan, raw


def submit(api: Api, plan: dict[str, Any], raw: str, step: str = "step1") -> Any:
    return api.http.post("/v1/transactions", json={"plan": plan, "step_id": step, "raw_transaction": raw})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, name))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from leaves(each, (*path, at))
    else:
        yield path


def test_a_plan_changed_anywhere_is_refused(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, raw = planned
    paths = list(leaves(plan))
    assert len(paths) > 30
    for path in paths:
        changed = copy.deepcopy(plan)
        place = changed
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = "0x00" if place[path[-1]] != "0x00" else "0x01"
        problem(submit(api, changed, raw), 400, "plan_invalid")
    for name in plan:
        problem(submit(api, {key: value for key, value in plan.items() if key != name}, raw), 400, "plan_invalid")
    problem(submit(api, {**plan, "extra": 1}, raw), 400, "plan_invalid")


def test_a_plan_of_another_key_is_refused(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    from backend.plans import seal

    plan, raw = planned
    body = {name: value for name, value in plan.items() if name not in {"id", "mac"}}
    problem(submit(api, seal.seal(body, b"another key"), raw), 400, "plan_invalid")
    assert seal.seal(body, b"a key of the tests") == plan


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"}, "to"),
        ({"value": 1}, "value"),
        ({"chainId": 1}, "chain_id"),
        ({"data": "0x"}, "data"),
    ],
)
def test_a_transaction_that_is_not_the_plans_is_refused(
    api: Api, planned: tuple[dict[str, Any], str], changed: dict[str, Any], field: str
) -> None:
    plan, _ = planned
    raw = api.sign("owner", plan["steps"][0]["transaction"], **changed)
    document = problem(submit(api, plan, raw), 400, "plan_mismatch")
    assert [error["loc"] for error in document["errors"]] == [field]


def test_one_byte_of_call_data_is_enough(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, _ = planned
    data = plan["steps"][0]["transaction"]["data"]
    for at in (2, 40, len(data) - 2):
        digit = "0" if data[at] != "0" else "1"
        raw = api.sign("owner", plan["steps"][0]["transaction"], data=data[:at] + digit + data[at + 1 :])
        problem(submit(api, plan, raw), 400, "plan_mismatch")


def test_another_signer_is_refused(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, _ = planned
    raw = api.sign("tenant", plan["steps"][0]["transaction"])
    document = problem(submit(api, plan, raw), 400, "plan_mismatch")
    assert document["errors"][0]["loc"] == "sender"


def test_bytes_outside_the_holes_are_compared(api: Api, world: dict[str, Any]) -> None:
    plan = api.plan("investor", f"/v1/sites/{world['site']}/bond", amount=str(USD), approval="permit")
    step = plan["steps"][1]
    function = abi.functions("LeaseBook")[step["function"]]
    permit = {**step["args"]["permit"], "v": "27", "r": "0x" + "11" * 32, "s": "0x" + "22" * 32}
    for args in (
        {**step["args"], "amount": str(USD + 1), "permit": permit},
        {**step["args"], "permit": {**permit, "value": "1"}},
        {**step["args"], "permit": {**permit, "deadline": "1"}},
    ):
        raw = api.sign("investor", step["transaction"], data=abi.call_data(function, args))
        problem(submit(api, plan, raw, "step2"), 400, "plan_mismatch")
    trailing = abi.call_data(function, {**step["args"], "permit": permit}) + "00"
    raw = api.sign("investor", step["transaction"], data=trailing)
    problem(submit(api, plan, raw, "step2"), 400, "plan_mismatch")


def test_a_step_that_sends_nothing_is_refused(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, raw = planned
    problem(submit(api, plan, raw, "step9"), 400, "plan_mismatch")


@pytest.mark.parametrize(
    "raw",
    ["0x02", "0x02c0", "0xf8", "0x" + "00" * 100, "0x02" + "c1" * 5000, "0x03c0"],
    ids=["empty", "no fields", "legacy", "zeros", "nested", "another type"],
)
def test_bytes_that_are_no_transaction_are_refused(api: Api, planned: tuple[dict[str, Any], str], raw: str) -> None:
    problem(submit(api, planned[0], raw), 400, "invalid_request")


def test_a_flipped_signature_is_refused(planned: tuple[dict[str, Any], str]) -> None:
    import rlp

    from backend.chain.signed import decode

    fields = rlp.decode(bytes.fromhex(planned[1][4:]))
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(fields[11])).to_bytes(32)
    parity = b"" if fields[9] else b"\x01"
    flipped = "0x02" + rlp.encode([*fields[:9], parity, fields[10], high]).hex()
    with pytest.raises(InvalidRequest):
        decode(flipped)


# ---------------------------------------------------------------------------------------------------------- submission


def test_a_submission_is_repeated_without_harm(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, raw = planned
    first = submit(api, plan, raw)
    assert first.status_code == 202
    tx_hash = first.json()["data"]["hash"]
    api.mined(tx_hash)
    again = submit(api, plan, raw)
    assert again.status_code == 202
    assert again.json()["data"]["hash"] == tx_hash
    api.market.warp(HOUR)
    assert submit(api, plan, raw).status_code == 202  # the plan has expired, the submission has not


def test_an_expired_plan_is_refused(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    api.market.warp(HOUR)
    problem(submit(api, *planned), 410, "plan_expired")


def test_what_the_node_refuses_is_said(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, _ = planned
    raw = api.sign("owner", plan["steps"][0]["transaction"], nonce=0)
    document = problem(submit(api, plan, raw), 422, "refused_by_node")
    assert "nonce" in document["detail"]


def test_a_transaction_is_followed_to_finality(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    market = api.market
    plan, raw = planned
    with market.block():
        tx_hash = submit(api, plan, raw).json()["data"]["hash"]
        waiting = api.data(f"/v1/transactions/{tx_hash}")
        assert (waiting["status"], waiting["action"], waiting["plan_id"]) == ("submitted", "post_bond", plan["id"])
    mined = api.mined(tx_hash)
    assert mined["status"] == "included"
    assert mined["block_number"] == market.number
    assert [event["name"] for event in mined["events"]] == ["Transfer", "BondPosted"] or len(mined["events"]) == 2
    for _ in range(4):
        market.mine()
    eventually(lambda: api.data(f"/v1/transactions/{tx_hash}")["status"] == "finalized")


def test_a_transaction_that_lost_its_nonce_is_replaced(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    market = api.market
    plan, raw = planned
    with market.block():
        lost = submit(api, plan, raw).json()["data"]["hash"]
        fee = int(plan["steps"][0]["transaction"]["max_fee_per_gas"]) * 3
        rival = api.sign("owner", plan["steps"][0]["transaction"], maxFeePerGas=fee, maxPriorityFeePerGas=fee)
        won = submit(api, plan, rival).json()["data"]["hash"]
    assert api.mined(won)["status"] == "included"
    tracked = api.data(f"/v1/transactions/{lost}")
    assert (tracked["status"], tracked["replaced_by"]) == ("replaced", won)


def test_a_transaction_mined_while_it_is_looked_for_is_not_replaced(
    api: Api, planned: tuple[dict[str, Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, raw = planned
    tx_hash = submit(api, plan, raw).json()["data"]["hash"]
    assert api.mined(tx_hash)["status"] == "included"
    honest, asked = Node.batch, []

    def late(self: Node, calls: list[tuple[str, list[Any]]]) -> list[Any]:
        """Know nothing of the transaction when first asked."""
        first = calls[:1] == [("eth_getTransactionByHash", [tx_hash])] and not asked
        asked.append(calls)
        return [None, None] if first else honest(self, calls)

    monkeypatch.setattr(Node, "batch", late)
    tracked = api.data(f"/v1/transactions/{tx_hash}")
    assert (tracked["status"], tracked["replaced_by"]) == ("included", None)


def test_a_dropped_transaction_is_said_to_be(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    market = api.market
    plan, raw = planned
    with market.block():
        tx_hash = submit(api, plan, raw).json()["data"]["hash"]
        market.rpc("anvil_dropTransaction", tx_hash)
        assert api.data(f"/v1/transactions/{tx_hash}")["status"] == "dropped"


def test_a_reverted_transaction_says_why(api: Api, world: dict[str, Any]) -> None:
    listed = api.act("owner", "/v1/listings", site_id=world["site"], terms=terms(api, gpus=1))
    listing = listed["resource"]["id"]
    plan = api.plan("tenant", "/v1/leases", listing_id=listing, gpus=1, term=HOUR)
    api.market.send("owner", "LeaseBook", "withdrawListing", listing)
    ((_, raw),) = api.signed("tenant", plan)
    tracked = api.mined(submit(api, plan, raw).json()["data"]["hash"])
    assert tracked["status"] == "reverted"
    assert tracked["revert"]["name"] == "LeaseBook_ListingWithdrawn"
    assert tracked["revert"]["args"] == {"listingId": str(listing)}
    assert tracked["events"] == []


def test_the_hash_of_a_broadcast_of_ones_own_is_taken(api: Api, planned: tuple[dict[str, Any], str]) -> None:
    plan, raw = planned
    tx_hash = api.market.rpc("eth_sendRawTransaction", raw)
    answer = api.http.post("/v1/transactions", json={"hash": tx_hash, "plan": plan, "step_id": "step1"})
    assert answer.status_code == 202, answer.text
    tracked = api.mined(tx_hash)
    assert tracked["plan_id"] == plan["id"]
    unknown = {"hash": "0x" + "12" * 32}
    problem(api.http.post("/v1/transactions", json=unknown), 404, "not_found")
    problem(api.http.get(f"/v1/transactions/{unknown['hash']}"), 404, "not_found")
    foreign = api.market.submit("owner", "TestUSD", "transfer", api.market.address("tenant"), 1)
    api.market.receipt(foreign)
    answer = api.http.post("/v1/transactions", json={"hash": foreign, "plan": plan, "step_id": "step1"})
    problem(answer, 400, "plan_mismatch")
    assert api.data(f"/v1/transactions/{foreign}")["events"][0]["contract"] == "TestUSD"


def test_the_node_away_is_a_502_and_an_unknown(api: Api, planned: tuple[dict[str, Any], str], monkeypatch: Any) -> None:
    import httpx

    plan, raw = planned
    node = api.app.state.held.contracts.node
    real = node._client.post

    def slow(*args: Any, content: bytes, **kwargs: Any) -> Any:
        body = json.loads(content)
        if isinstance(body, dict) and body["method"] == "eth_sendRawTransaction":
            raise httpx.ReadTimeout("slow")
        return real(*args, content=content, **kwargs)

    monkeypatch.setattr(node._client, "post", slow)
    answer = submit(api, plan, raw)
    assert answer.status_code == 202
    assert answer.json()["data"]["status"] == "unknown"

    def away(*args: Any, **kwargs: Any) -> Any:
        raise httpx.ConnectError("away")

    monkeypatch.setattr(node._client, "post", away)
    problem(
        api.http.post("/v1/leases/4/settle", json={"account": api.market.address("owner")}), 502, "node_unavailable"
    )
    assert api.http.get("/v1/leases/4").status_code == 200
    problem(api.http.get("/readyz"), 503, "not_ready")
    monkeypatch.undo()
    assert submit(api, plan, raw).status_code == 202
    assert api.mined(answer.json()["data"]["hash"])["status"] == "included"
