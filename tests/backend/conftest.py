"""One chain, one mirror, one API for the whole suite: the API is served in a thread, over real HTTP.

`test_chain_reads.py` comes first: it reads the story as it was told; the other files go on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from eth_account import Account
from eth_account.messages import encode_typed_data
from fastapi import FastAPI

from backend.app import create_app
from backend.settings import Settings
from scripts.launch import Postgres, anvil, child, free_port, python
from tests.chain import DAY, HOUR, SHARE, USD, Market, deploy

SECRET = "a key of the tests"


@dataclass
class Api:
    """The service and the market that it mirrors."""

    market: Market
    app: FastAPI
    settings: Settings
    http: httpx.Client
    story: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read at the chain's head; a problem fails the test."""
        return self.ok(self.http.get(path, params={"min_block": self.market.number, **params}))

    def data(self, path: str, **params: Any) -> Any:
        return self.get(path, **params)["data"]

    def at(self, path: str, block: int) -> Any:
        """Read as of a block."""
        return self.ok(self.http.get(path, params={"as_of_block": block}))["data"]

    def plan(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        """Ask for a plan of an actor."""
        answer = self.http.post(path, json={"account": self.market.address(who), **body})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    def act(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        """Plan, sign and submit; return the last transaction once it is mined."""
        plan = self.plan(who, path, **body)
        assert not any(plan["issues"].values()), plan["issues"]
        return self.walk(who, plan)

    def walk(self, who: str, plan: dict[str, Any]) -> dict[str, Any]:
        """Sign and submit each step of a plan."""
        tracked: dict[str, Any] = {}
        for step_id, raw in self.signed(who, plan):
            answer = self.http.post("/v1/transactions", json={"plan": plan, "step_id": step_id, "raw_transaction": raw})
            assert answer.status_code == 202, answer.text
            tracked = self.mined(answer.json()["data"]["hash"])
            assert tracked["status"] in {"included", "safe", "finalized"}, tracked
        return tracked

    def signed(self, who: str, plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Sign each step of a plan as a wallet would; yield the id and raw transaction of those to send."""
        from backend.chain import abi

        filled: dict[str, dict[str, Any]] = {}
        for step in plan["steps"]:
            if step["kind"] == "sign":
                signature = Account.sign_message(
                    encode_typed_data(full_message=step["typed_data"]), self.market.key(who)
                )
                filled[step["id"]] = {
                    "v": str(signature.v),
                    "r": "0x" + signature.r.to_bytes(32).hex(),
                    "s": "0x" + signature.s.to_bytes(32).hex(),
                }
                continue
            data = step["transaction"]["data"]
            if step["holes"]:
                args = dict(step["args"])
                for hole, source in step["holes"].items():
                    name, part = hole.split(".")
                    args[name] = {**args[name], part: filled[source][part]}
                data = abi.call_data(abi.functions(step["contract"])[step["function"]], args)
            yield step["id"], self.sign(who, step["transaction"], data=data)

    def sign(self, who: str, transaction: dict[str, Any], **changed: Any) -> str:
        """Sign a step's transaction, some of its fields changed."""
        fields = {
            "type": 2,
            "chainId": transaction["chain_id"],
            "nonce": transaction["nonce"],
            "to": transaction["to"],
            "value": int(transaction["value"]),
            "data": transaction["data"],
            "gas": transaction["gas"],
            "maxFeePerGas": int(transaction["max_fee_per_gas"]),
            "maxPriorityFeePerGas": int(transaction["max_priority_fee_per_gas"]),
        } | changed
        return "0x" + Account.sign_transaction(fields, self.market.key(who)).raw_transaction.hex()

    def mined(self, tx_hash: str) -> dict[str, Any]:
        """Return a transaction once a block has it."""
        tracked: dict[str, Any] = {}

        def mined() -> bool:
            tracked.update(self.ok(self.http.get(f"/v1/transactions/{tx_hash}"))["data"])
            return tracked["status"] != "submitted"

        eventually(mined)
        return tracked

    @staticmethod
    def ok(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code in {200, 202}, answer.text
        return answer.json()


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so: the service writes its log and its metrics after the answer."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the problem document expected."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


@pytest.fixture(scope="session")
def api(pg: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A chain that mines at once, its follower and reconciler, and the API."""
    folder = tmp_path_factory.mktemp("backend")
    with anvil(slots_in_an_epoch=1) as node:
        market = deploy(node)
        deployment = market.write_deployment(folder / "deployment.json")
        url = pg.new_database()
        env = {
            "DATABASE_URL": url,
            "DRAKEWELL_RPC_URL": node.url,
            "DRAKEWELL_DEPLOYMENT": str(deployment),
            "DRAKEWELL_POLL_SECONDS": "0.02",
        }
        log = folder / "follower.log"

        def ready() -> bool:
            return log.exists() and b"ready" in log.read_bytes()

        with child(python("indexer", "follow"), folder=folder, name="follower", env=env, ready=ready):
            settings = Settings(
                database_url=url,
                rpc_url=node.url,
                deployment=deployment,
                plan_secret=SECRET,
                limit_reads="100000/second",
                limit_writes="100000/second",
            )
            app = create_app(settings)
            with serving(app) as base, httpx.Client(base_url=base, timeout=30) as http:
                served = Api(market, app, settings, http)
                served.story = tell(served)
                yield served


class serving:  # noqa: N801 - reads as what it does
    """Serve an application on loopback, in a thread, until the block ends."""

    def __init__(self, app: FastAPI) -> None:
        self.port = free_port()
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None, access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> str:
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            self.thread.join(0.01)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()


def tell(api: Api) -> dict[str, Any]:
    """Five days of two sites: leases settled, sold, reclaimed, run dry; shares sold, paid and claimed.

    Each block's reads are recorded as the chain runs: `recorded[block][path]` is what the path answered then.
    """
    market = api.market
    recorded: dict[int, dict[str, Any]] = {}

    def look() -> None:
        block = market.number
        recorded[block] = {}
        for path in api.story["paths"]:
            answer = api.http.get(path, params={"min_block": block})
            if answer.status_code == 404:
                recorded[block][path] = None
                continue
            body = api.ok(answer)
            assert body["meta"]["as_of_block"] == block
            recorded[block][path] = body["data"]

    accounts = [market.address(name) for name in ("owner", "owner2", "tenant", "tenant2", "investor")]
    api.story = {
        "paths": [
            "/v1/sites/1",
            "/v1/bonds/1",
            "/v1/listings/1",
            "/v1/leases/1",
            "/v1/leases/2",
            "/v1/leases/3",
            "/v1/shares/1",
            f"/v1/shares/1/holders/{market.address('owner')}",
            f"/v1/shares/1/holders/{market.address('investor')}",
            "/v1/ledger/trial-balance",
            *(f"/v1/accounts/{account}/portfolio" for account in accounts),
        ]
    }

    def step(act: Any, *args: Any, **kwargs: Any) -> Any:
        done = act(*args, **kwargs)
        look()
        return done

    site = step(market.register_site, gpus=64)
    step(market.post_bond, site, 20_000 * USD)
    window = market.now - market.now % HOUR
    listing = step(market.list, site, from_=window)
    step(market.issue, site)
    step(market.transfer, site, "investor", 250_000 * SHARE)
    first = step(market.open, listing, gpus=8, term=DAY)
    second = step(market.open, listing, gpus=4, term=2 * DAY, deposit=40 * USD, tenant="tenant2")
    step(market.distribute, site, 1_000 * USD)
    other = step(market.register_site, gpus=16, owner="owner2", region="NO-50", name="Fjord")
    step(market.post_bond, other, 5_000 * USD, payer="owner2")
    cheap = step(
        market.list,
        other,
        owner="owner2",
        gpus=16,
        floorPrice=USD,
        ceilingPrice=2 * USD,
        model="A10",
        slaBps=9_000,
    )
    for hour in range(8):
        step(market.warp, HOUR)
        for lease in (first, second):
            if hour < 3 or lease == first:
                missing = 3_000 if hour == 4 else 0
                entry = market.entry(lease)
                step(market.report, lease, available=entry.available - missing)
        if hour == 2:
            step(market.transfer_lease, second, "investor2", tenant="tenant2")
        if hour == 3:
            third = step(market.open, cheap, gpus=2, term=4 * DAY)
        if hour == 5:
            step(market.claim, site, holder="investor")
        if hour == 7:
            step(market.settle, first)
            step(market.settle, second)
            step(market.reclaim, third, owner="owner2")
    step(market.warp, 2 * DAY)
    step(market.settle, first)
    step(market.collect, first)
    step(market.release, first)
    step(market.withdraw_credit)
    step(market.amend, listing, from_=window, floorPrice=5 * USD // 2)
    fourth = step(market.open, listing, gpus=2, term=3 * DAY)
    step(market.mine)
    step(market.mine)
    step(market.mine)
    return {
        **api.story,
        "recorded": recorded,
        "site": site,
        "other": other,
        "listing": listing,
        "cheap": cheap,
        "leases": [first, second, third, fourth],
    }
