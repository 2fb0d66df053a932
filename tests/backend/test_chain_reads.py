"""Every read, over HTTP, against what the chain says."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from indexer import formulas
from tests.backend.conftest import Api, eventually, problem
from tests.chain import DAY, HOUR, USD


def test_site_and_bond_are_those_of_the_contract(api: Api) -> None:
    site = api.data("/v1/sites/1")
    owner, gpus, bps, _, token, share, bond, locked = api.market.call("LeaseBook", "siteOf", 1)
    assert site["owner"].lower() == owner
    assert site["asset"] == {
        "address": api.market.address("TestUSD"),
        "symbol": api.market.call("TestUSD", "symbol"),
        "decimals": 6,
    }
    assert token == site["asset"]["address"].lower()
    assert (site["gpus"], site["revenue_bps"], site["region"], site["name"]) == (gpus, bps, "DE-BE", "Spree")
    assert site["share"].lower() == share
    assert (int(site["bond"]), int(site["locked_bond"])) == (bond, locked)
    assert int(site["free_bond"]) == bond - locked
    assert api.data("/v1/bonds/1")["bond"] == site["bond"]


@pytest.mark.parametrize("lease_id", [1, 2, 3, 4])
def test_a_lease_is_that_of_the_contract(api: Api, lease_id: int) -> None:
    call = api.market.call
    lease = api.data(f"/v1/leases/{lease_id}")
    held = call("LeaseBook", "leaseOf", lease_id)
    names = ("site_id", "listing_id", "version", "gpus")
    assert tuple(lease[name] for name in names) == held[:4]
    states = ("none", "forward", "active", "closing", "reclaiming", "ended", "final")
    assert lease["state"] == states[call("LeaseBook", "stateOf", lease_id)]
    assert int(lease["collectable"]) == call("LeaseBook", "collectable", lease_id)
    assert int(lease["penalty_view"]) == call("LeaseBook", "penaltyOf", lease_id)
    assert lease["usage"]["reported_to"] == call("UsageMeter", "totals", lease_id)[0]
    rent, fee, shares, owner = (int(lease[f"{part}_total"]) for part in ("rent", "fee", "shares", "owner"))
    assert rent == fee + shares + owner


def test_holders_may_claim_what_the_contract_says(api: Api) -> None:
    share = api.market.share(1)
    holders = api.data("/v1/shares/1/holders")
    assert {row["account"] for row in holders} == {api.market.address("owner"), api.market.address("investor")}
    for row in holders:
        assert int(row["claimable"]) == api.market.call("CapacityShare", "claimableDown", row["account"], to=share)
        assert int(row["balance"]) == api.market.call("CapacityShare", "balanceOf", row["account"], to=share)
    assert [row["share_bps"] for row in holders] == [7_500, 2_500]


def test_an_offering_names_its_revenue_by_source(api: Api) -> None:
    offering = api.data("/v1/shares/1")
    sources = offering["revenue"]
    assert int(sources["mining"]) == 1_000 * USD
    assert int(sources["lease"]) > 0
    assert sum(map(int, sources.values())) == int(offering["distributed"])
    assert offering["holders"] == 2
    rows = api.data("/v1/shares/1/distributions", source="lease")
    assert sum(int(row["amount"]) for row in rows) == int(sources["lease"])
    assert api.data("/v1/shares")[0]["site_id"] == 1


def test_a_lease_tells_its_history(api: Api) -> None:
    kinds = [row["kind"] for row in api.data("/v1/leases/1/events")]
    assert kinds[0] == "opened"
    assert {"settled", "finalised", "released", "collected"} <= set(kinds)
    settlements = api.data("/v1/leases/1/settlements")
    lease = api.data("/v1/leases/1")
    assert sum(int(row["rent"]) for row in settlements) == int(lease["rent_total"])
    assert settlements[-1]["available"] == lease["available"]
    usage = api.data("/v1/leases/1/usage")
    assert sum(row["available"] for row in usage) == lease["usage"]["available"]
    assert len(api.data("/v1/sites/1/usage")) == len(usage) + len(api.data("/v1/leases/2/usage"))
    report = api.data(f"/v1/reports/{usage[0]['report_id']}")
    assert report["site_id"] == 1
    count = api.market.call("UsageMeter", "reportCount")
    assert [row["report_id"] for row in api.data("/v1/reports", site_id=1)] == list(range(1, count + 1))


def test_payouts_name_who_had_the_right(api: Api) -> None:
    payouts = api.data("/v1/payouts")
    assert {row["kind"] for row in payouts} >= {"claim", "collect", "credit"}
    mine = api.data("/v1/payouts", account=api.market.address("investor"))
    assert [row["kind"] for row in mine] == ["claim"]
    assert mine[0]["subject"] == "offering/1"
    assert api.data("/v1/payouts", subject="lease/1")[0]["kind"] == "collect"


def test_a_portfolio_has_all_that_an_account_has(api: Api) -> None:
    investor = api.data(f"/v1/accounts/{api.market.address('investor')}/portfolio")
    assert [row["site_id"] for row in investor["shares"]] == [1]
    assert investor["totals"][0]["claimable"] == investor["shares"][0]["claimable"]
    owner = api.data(f"/v1/accounts/{api.market.address('owner2')}/portfolio")
    assert [row["site_id"] for row in owner["sites"]] == [2]
    buyer = api.data(f"/v1/accounts/{api.market.address('investor2')}/portfolio")
    assert [row["lease_id"] for row in buyer["leases"]] == [2]
    nobody = api.data(f"/v1/accounts/0x{'ab' * 20}/portfolio")
    assert nobody["leases"] == nobody["totals"] == []


def test_eligibility_says_why_not(api: Api) -> None:
    investor = api.data(f"/v1/accounts/{api.market.address('investor')}/eligibility")
    assert investor["roles"] == ["investor"]
    assert investor["can"]["receive_shares"]
    assert investor["reasons"] == []
    stranger = api.data(f"/v1/accounts/{api.market.address('stranger')}/eligibility")
    assert not stranger["can"]["receive_shares"]
    assert stranger["can"]["rent"]
    assert stranger["reasons"]


# ------------------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2]),
        ({"gpu_model": "A10"}, [2]),
        ({"gpu_model": ["A10", "H100 SXM5 80GB"]}, [1, 2]),
        ({"region": "NO-50"}, [2]),
        ({"price_lte": str(2 * USD)}, [2]),
        ({"sla_gte": 9_500}, [1]),
        ({"available_gpus_gte": 17}, [1]),
        ({"site_id": 2}, [2]),
        ({"until": "2199-01-01T00:00:00Z"}, []),
        ({"from": "2199-01-01T00:00:00Z"}, [1, 2]),
        ({"from": "1999-01-01T00:00:00Z"}, []),
        ({"sort": "price"}, [2, 1]),
        ({"sort": "-price"}, [1, 2]),
        ({"sort": "-listing_id"}, [2, 1]),
    ],
)
def test_the_search_finds(api: Api, wanted: dict[str, Any], found: list[int]) -> None:
    assert [row["listing_id"] for row in api.data("/v1/listings", **wanted)] == found


def test_the_price_in_sql_is_that_of_the_formula(api: Api) -> None:
    from sqlalchemy import literal_column, select

    from backend.listings.repository import next_price

    rng = random.Random(7)
    with api.app.state.held.mirror.view() as view:
        for _ in range(50):
            floor, spread, gpus = rng.randrange(2**70), rng.randrange(2**70), rng.randrange(1, 2**24)
            leased = rng.randrange(gpus)
            row = {"floor_price": floor, "ceiling_price": floor + spread, "gpus": gpus}
            values = ", ".join(f"{value}::numeric(78,0) AS {name}" for name, value in row.items() if name != "gpus")
            from sqlalchemy import text

            inner = f"(SELECT {values}, {gpus}::bigint AS gpus, {leased}::bigint AS leased) AS listing"
            compiled = str(next_price().compile(compile_kwargs={"literal_binds": True}))
            compiled = compiled.replace("mirror.listing", "listing")
            (priced,) = view.session.rows(select(literal_column(compiled).label("price")).select_from(text(inner)))
            assert int(priced["price"]) == formulas.price(row, leased, 1)


def test_a_quote_is_what_the_contract_quotes(api: Api) -> None:
    answer = api.get("/v1/quotes", listing_id=1, gpus=3, term=5 * HOUR)
    quote = answer["data"]
    version, price, _, _, least, most, penalty, bond, free = api.market.call("LeaseBook", "quote", 1, 3, 5 * HOUR)
    assert (quote["version"], int(quote["price"])) == (version, price)
    named = ("min_deposit", "max_deposit", "max_penalty", "bond", "bond_free")
    assert [int(quote[name]) for name in named] == [least, most, penalty, bond, free]
    assert quote["start"] == answer["meta"]["as_of_time"]


@pytest.mark.parametrize(("gpus", "term"), [(33, HOUR), (1, HOUR - 1), (1, 31 * DAY)])
def test_a_quote_that_the_contract_refuses_is_refused(api: Api, gpus: int, term: int) -> None:
    answer = api.http.get("/v1/quotes", params={"listing_id": 1, "gpus": gpus, "term": term})
    assert problem(answer, 400, "invalid_request")["errors"]


def test_leases_are_found_by_state(api: Api) -> None:
    rows = api.data("/v1/leases")
    assert [row["lease_id"] for row in rows] == [1, 2, 3, 4]
    for state in ("forward", "active", "closing", "reclaiming", "ended", "final"):
        wanted = [row["lease_id"] for row in rows if row["state"] == state]
        assert [row["lease_id"] for row in api.data("/v1/leases", state=state)] == wanted
    assert {row["state"] for row in rows} >= {"active", "final", "ended"}
    tenant = api.market.address("tenant")
    assert [row["lease_id"] for row in api.data("/v1/leases", opened_by=tenant)] == [1, 3, 4]
    assert [row["lease_id"] for row in api.data("/v1/leases", site_id=2)] == [3]


# -------------------------------------------------------------------------------------------------------------- books


def test_the_trial_balance_balances_at_every_block(api: Api) -> None:
    for block in api.story["recorded"]:
        balance = api.at("/v1/ledger/trial-balance", block)
        for total in balance["totals"]:
            assert total["balance"] == "0"
            assert total["debit"] == total["credit"]
        assert sum(int(row["balance"]) for row in balance["rows"]) == 0


def test_the_journal_adds_up_to_the_trial_balance(api: Api) -> None:
    balances: dict[str, int] = {}
    last: dict[str, str] = {}
    for row in pages(api, "/v1/ledger/journal", limit=37):
        balances[row["account"]] = balances.get(row["account"], 0) + int(row["amount"])
        last[row["account"]] = row["balance_after"]
        assert balances[row["account"]] == int(row["balance_after"])
    shown = {row["account"]: int(row["balance"]) for row in api.data("/v1/ledger/trial-balance")["rows"]}
    assert shown == {account: amount for account, amount in balances.items() if amount}
    assert shown["cash:leasebook"] == api.market.balance("LeaseBook")


def test_the_journal_is_filtered(api: Api) -> None:
    rows = api.data("/v1/ledger/journal", account="escrow:lease/1")
    assert {row["account"] for row in rows} == {"escrow:lease/1"}
    one = rows[0]
    of_tx = api.data("/v1/ledger/journal", tx_hash=one["tx_hash"])
    assert one in of_tx
    assert sum(int(row["amount"]) for row in of_tx) == 0
    at = one["block_number"]
    assert {row["block_number"] for row in api.data("/v1/ledger/journal", from_block=at, to_block=at)} == {at}
    down = api.data("/v1/ledger/journal", sort="-block", limit=5)
    assert down == list(reversed(pages(api, "/v1/ledger/journal", limit=200)))[:5]
    assert api.data("/v1/ledger/journal", account="no such account") == []


def test_the_books_are_reconciled_at_every_block(api: Api) -> None:
    eventually(lambda: api.data("/v1/status")["reconciliation"]["unreconciled"] == 0)
    status = api.data("/v1/status")["reconciliation"]
    assert status["unreconciled"] == status["differences"] == 0
    assert status["accounts_compared"] >= status["blocks_checked"] > 40
    rows = pages(api, "/v1/ledger/reconciliation", limit=50)
    assert {row["status"] for row in rows} == {"ok"}
    assert [row["block_number"] for row in rows] == sorted((row["block_number"] for row in rows), reverse=True)
    assert api.data("/v1/ledger/reconciliation", status="differs") == []


# ----------------------------------------------------------------------------------------------------------- the past


def test_what_was_read_as_the_chain_ran_is_read_again(api: Api) -> None:
    recorded = api.story["recorded"]
    blocks = random.Random(2026).sample(sorted(recorded), 20)
    absent = 0
    for block in blocks:
        for path, then in recorded[block].items():
            answer = api.http.get(path, params={"as_of_block": block})
            if then is None:
                problem(answer, 404, "not_found")
                absent += 1
            else:
                body = api.ok(answer)
                assert body["meta"]["as_of_block"] == block
                assert body["data"] == then, (block, path)
    assert absent < 20 * len(api.story["paths"]) / 2


@pytest.mark.parametrize(
    "path",
    [
        "/v1/leases/1/usage",
        "/v1/sites/1/usage",
        "/v1/leases/1/settlements",
        "/v1/leases/1/events",
        "/v1/shares/1/distributions",
    ],
)
def test_histories_have_a_past(api: Api, path: str) -> None:
    now = pages(api, path)
    blocks = sorted(api.story["recorded"])
    counts = []
    for block in blocks[len(blocks) // 2 :: 5]:
        rows = pages(api, path, as_of_block=block, limit=3)
        assert rows == now[: len(rows)]
        counts.append(len(rows))
    assert counts == sorted(counts)
    assert counts[0] < len(now)


def test_only_reads_with_a_key_have_a_past(api: Api) -> None:
    for path in ("/v1/sites", "/v1/listings", "/v1/leases", "/v1/ledger/journal", "/v1/status", "/v1/payouts"):
        problem(api.http.get(path, params={"as_of_block": 5}), 400, "not_historical")


def test_blocks_out_of_reach_are_told_apart(api: Api) -> None:
    problem(api.http.get("/v1/sites/1", params={"as_of_block": 0}), 404, "not_found")
    behind = api.market.number + 5
    answer = api.http.get("/v1/sites/1", params={"as_of_block": behind})
    problem(answer, 503, "index_behind")
    assert answer.headers["retry-after"] == "1"
    problem(api.http.get("/v1/sites/1", params={"as_of_block": 2**62}), 400, "invalid_request")
    problem(api.http.get("/v1/sites", params={"min_block": 2**62}), 400, "invalid_request")


# -------------------------------------------------------------------------------------------------------------- pages


def pages(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for _ in itertools.count():
        body = api.get(path, **params)
        rows += body["data"]
        assert body["page"]["has_more"] == (body["page"]["next_cursor"] is not None)
        if not body["page"]["has_more"]:
            return rows
        params["cursor"] = body["page"]["next_cursor"]
    raise AssertionError


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sites",
        "/v1/bonds",
        "/v1/listings",
        "/v1/listings?sort=price",
        "/v1/listings?sort=-price",
        "/v1/leases",
        "/v1/leases/1/settlements",
        "/v1/leases/1/events",
        "/v1/leases/1/usage",
        "/v1/sites/1/usage",
        "/v1/reports",
        "/v1/shares",
        "/v1/shares/1/holders",
        "/v1/shares/1/distributions",
        "/v1/payouts",
        "/v1/ledger/journal",
        "/v1/ledger/journal?sort=-block",
    ],
)
def test_pages_of_one_are_the_whole_list(api: Api, path: str) -> None:
    bare, _, query = path.partition("?")
    params = dict(part.split("=") for part in query.split("&") if part)
    whole = api.data(bare, **params, limit=200)
    assert whole
    assert pages(api, bare, **params, limit=1 if len(whole) < 30 else 7) == whole


def test_a_cursor_is_of_its_list_only(api: Api) -> None:
    cursor = api.get("/v1/leases", limit=1)["page"]["next_cursor"]
    problem(api.http.get("/v1/sites", params={"cursor": cursor}), 400, "invalid_cursor")
    problem(api.http.get("/v1/leases", params={"cursor": cursor, "site_id": 1}), 400, "invalid_cursor")
    problem(api.http.get("/v1/leases", params={"cursor": "bm8"}), 400, "invalid_cursor")


def test_a_cursor_whose_block_was_replaced_is_refused(api: Api) -> None:
    import base64
    import json

    cursor = api.get("/v1/payouts", limit=1)["page"]["next_cursor"]
    scope, _, key = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    forged = base64.urlsafe_b64encode(json.dumps([scope, "0x" + "00" * 32, key]).encode()).decode().rstrip("=")
    problem(api.http.get("/v1/payouts", params={"limit": 1, "cursor": forged}), 409, "cursor_invalidated")


def test_rows_say_how_settled_they_are(api: Api) -> None:
    status = api.data("/v1/status")
    rows = pages(api, "/v1/ledger/journal")
    for row in rows:
        if row["block_number"] <= status["finalized"]:
            assert row["finality"] == "finalized"
    final = api.data("/v1/ledger/journal", finality="finalized", sort="-block", limit=1)
    assert final[0]["block_number"] <= status["finalized"]


# ------------------------------------------------------------------------------------------------------------- status


def test_status_names_the_deployment(api: Api) -> None:
    status = api.data("/v1/status")
    assert status["chain_id"] == 31337
    for name in ("LeaseBook", "UsageMeter", "IdentityRegistry", "CapacityShare", "TestUSD"):
        assert status["contracts"][name]["address"] == api.market.addresses[name]
        assert len(status["contracts"][name]["code_hash"]) == 66
    assert status["indexed"]["number"] == api.market.number
    assert status["lag"]["blocks"] == 0
    assert status["halted"] is None
    assert [token["decimals"] for token in status["tokens"]] == [6]


def test_health_and_metrics(api: Api) -> None:
    assert api.http.get("/healthz").json() == {"status": "ok"}
    assert api.http.get("/readyz").json() == {"status": "ready"}
    api.data("/v1/leases/1")
    eventually(lambda: 'route="/v1/leases/{lease_id}"' in api.http.get("/metrics").text)
    assert "chain_indexed_block" in api.http.get("/metrics").text


def test_curl_alone_reads_a_past_trial_balance(api: Api) -> None:
    import subprocess

    block = sorted(api.story["recorded"])[10]
    url = f"{api.http.base_url}/v1/ledger/trial-balance?as_of_block={block}"
    shown = subprocess.run(["curl", "-sf", url], capture_output=True, text=True, check=True).stdout
    import json

    assert json.loads(shown)["data"] == api.story["recorded"][block]["/v1/ledger/trial-balance"]
