"""What a reorganisation at the tip does to readers. Last: it rewrites the suite's chain."""

from __future__ import annotations

from tests.backend.conftest import Api, eventually, problem
from tests.chain import USD


def test_readers_see_the_chain_that_is(api: Api) -> None:
    market = api.market
    market.mine()
    bond = api.data("/v1/bonds/1")["bond"]
    plan = api.plan("owner", "/v1/sites/1/bond", amount=str(9 * USD))
    tracked = api.walk("owner", plan)
    first = api.get("/v1/ledger/journal", sort="-block", limit=1)
    assert first["data"][0]["block_number"] == tracked["block_number"]
    assert int(api.data("/v1/bonds/1")["bond"]) == int(bond) + 9 * USD

    market.rpc("anvil_reorg", 1, [])
    eventually(
        lambda: api.http.get("/v1/status").json()["data"]["indexed"]["hash"] != first["meta"]["as_of_block_hash"]
    )
    cursor = first["page"]["next_cursor"]
    answer = api.http.get("/v1/ledger/journal", params={"sort": "-block", "limit": 1, "cursor": cursor})
    problem(answer, 409, "cursor_invalidated")
    # The transaction is as the node has it now, and the bond with it.
    again = api.http.get(f"/v1/transactions/{tracked['hash']}").json()["data"]
    if again["status"] == "included":
        assert again["block_hash"] != tracked["block_hash"]
    else:
        assert again["status"] in {"submitted", "dropped"}
        assert api.data("/v1/bonds/1")["bond"] == bond
