"""What a caller of the library sees when things go well, go wrong, or take time."""

import pytest

from drakewell import Client, Http, Terms
from drakewell.codec import Call
from drakewell.errors import Invalid, NotFound, NotIncluded, TransactionFailed, Unreachable, problem
from drakewell.http import exact
from drakewell.terms import label, rfc3339, unix
from tests.e2e.market import Market


def test_amounts_are_ints_and_nothing_else_is():
    answer = {"name": "42", "amount": "42", "rows": [{"balance": "-7", "symbol": "1"}], "price": None, "gpus": 3}
    expected = {"name": "42", "amount": 42, "rows": [{"balance": -7, "symbol": "1"}], "price": None, "gpus": 3}
    assert exact(answer) == expected


def test_lists_follow_their_cursors(market: Market):
    client = market.client("Ingrid")
    whole = client.listings(sort="listing_id")
    assert len(whole) > 1
    assert client.listings(sort="listing_id", limit=1) == whole
    assert [row["listing_id"] for row in client.listings(sort="-listing_id")] == [
        row["listing_id"] for row in reversed(whole)
    ]


def test_search_finds_what_was_listed(market: Market):
    client = market.client("Ingrid")
    most = max(row["available_gpus"] for row in client.listings())
    found = client.listings(available_gpus_gte=most)
    assert found
    assert all(row["available_gpus"] == most for row in found)
    assert client.listings(available_gpus_gte=most + 1) == []


def test_quote_is_what_the_lease_costs(market: Market):
    tenant = market.client("Chiara")
    listing = tenant.listings(available_gpus_gte=2, sort="price")[0]
    quote = tenant.quote(listing["listing_id"], gpus=2, term=7 * 3600)
    opened = tenant.open_lease(listing["listing_id"], gpus=2, term=7 * 3600).wait()
    lease = tenant.lease(opened["resource"]["id"])
    assert (lease["price"], lease["deposited"]) == (quote["price"], quote["max_deposit"])
    assert lease["price"] * 2 * 7 == lease["deposited"]
    assert lease["holder"] == tenant.address


def test_problems_say_what_is_wrong(market: Market):
    client = market.client("Ingrid")
    with pytest.raises(NotFound) as missing:
        client.site(999)
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    assert missing.value.request_id
    with pytest.raises(Invalid) as unknown:
        client.listings(colour="red")
    assert unknown.value.code == "unknown_parameter"
    assert "colour" in str(unknown.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (422, "would_revert", "WouldRevert"),
        (422, "other", "Invalid"),
        (404, "not_found", "NotFound"),
        (409, "cursor_invalidated", "Conflict"),
        (429, "rate_limited", "Busy"),
        (503, "index_behind", "Busy"),
        (500, "internal_error", "ServerFault"),
        (418, "teapot", "Invalid"),
    ],
)
def test_each_problem_has_its_exception(status: int, code: str, kind: str):
    revert = {"name": "LeaseBook_Ended", "args": {"leaseId": "1"}}
    error = problem(status, {"code": code, "detail": "why", "revert": revert}, 2.0)
    assert type(error).__name__ == kind
    assert error.retry_after == 2.0
    assert str(error).startswith(f"{code}: why")
    assert "LeaseBook_Ended" in str(error)


def test_a_refusal_carries_the_contracts_error(market: Market):
    with pytest.raises(Invalid) as refused:
        market.client("Ingrid").withdraw_bond(1, 10**15)
    assert refused.value.code == "would_revert"
    assert refused.value.revert["name"] == "LeaseBook_OutOfBounds"


def test_an_api_that_is_not_there(market: Market):
    http = Http("http://127.0.0.1:9", timeout=1.0)
    with pytest.raises(Unreachable, match="GET /v1/status"):
        Client(http, None, market.story.deployment).status()
    http.close()


def test_a_client_without_an_account_only_reads(market: Market):
    reader = Client(market.story.http, None, market.story.deployment)
    assert reader.site(1)["site_id"] == 1
    with pytest.raises(ValueError, match="only reads"):
        reader.post_bond(1, 1)


def test_what_was_planned_and_then_fails_is_an_error(market: Market):
    """Both withdrawals are possible on the head's state, and only the first once they are in one block."""
    owner, node = market.client("Ingrid"), market.stack.node
    bond = owner.bond(1)
    most = bond["free_bond"] // 2 + 1
    node.rpc("evm_setAutomine", False)
    try:
        first, second = (owner.withdraw_bond(1, most) for _ in range(2))
        with pytest.raises(NotIncluded, match="submitted"):
            first.wait(timeout=0.1)
        node.rpc("evm_mine")
    finally:
        node.rpc("evm_setAutomine", True)
    assert first.wait()["status"] == "included"
    with pytest.raises(TransactionFailed, match="reverted"):
        second.wait()
    owner.post_bond(1, most).wait()
    assert owner.bond(1) == bond


def test_an_unknown_hash_is_unknown(market: Market):
    assert market.client("Ingrid").transaction("0x" + "ab" * 32)["status"] == "unknown"


def test_calls_are_encoded_by_the_bundled_abi():
    to = "0x" + "11" * 20
    data = Call("TestUSD", to, "transfer", (to, 5)).data()
    assert data.hex() == "a9059cbb" + ("11" * 20).rjust(64, "0") + f"{5:064x}"
    with pytest.raises(ValueError, match="has 0 functions"):
        Call("TestUSD", to, "nothing", ()).data()


def test_times_and_labels():
    assert unix(rfc3339(1_767_571_200)) == 1_767_571_200
    assert rfc3339(1_767_571_200) == "2026-01-05T00:00:00Z"
    assert label("H800") == b"H800" + bytes(28)
    with pytest.raises(ValueError, match="33 bytes"):
        label("x" * 33)
    terms = Terms(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, "A10")
    assert terms.as_args() == (*range(1, 17), label("A10"))
