"""A node that leaves logs out, lies or fails: the mirror is right in the end, or says what is wrong; it never skips."""

from contextlib import closing

import pytest

from indexer.errors import BadAnswer, Refused, RpcError, Unreachable
from indexer.follow import Follower
from indexer.rpc import HttpNode
from indexer.settings import Settings
from tests.indexer.conftest import faults, following, rows, to_tip
from tests.indexer.market import USD, Market
from tests.indexer.proxy import DropError, Proxy, RefusalError, proxy


@pytest.fixture
def lying(market: Market, settings: Settings):
    """A story behind a proxy, and the settings to follow it through the proxy."""
    market.story()
    with proxy(market.node.url) as between:
        yield between, settings.model_copy(update={"rpc_url": between.url})


def patient(follower: Follower, tries: int = 30) -> int:
    """Step to the tip, starting over after each failure as `run` does; return how many there were."""
    for failures in range(tries):
        try:
            to_tip(follower)
        except RpcError:
            follower.store.reset()
        else:
            return failures
    raise AssertionError("the node's faults were never overcome")


def test_logs_left_out_are_found_by_the_bloom_and_taken_from_the_receipts(lying: tuple[Proxy, Settings]):
    between, settings = lying

    def truncate(method, params, result):
        return result[: len(result) // 2] if method == "eth_getLogs" else result

    between.tamper = truncate
    with following(settings) as follower:
        to_tip(follower)
    assert "eth_getBlockReceipts" in between.calls
    between.tamper = lambda method, params, result: result
    assert faults(settings, strict=True) == []


@pytest.mark.parametrize("kept", [1, 2])
def test_an_answer_cut_inside_a_block(market: Market, settings: Settings, kept: int):
    # opening a lease logs the deposit's Transfer, LeaseOpened and the lease token's Transfer
    market.lease(market.listing(market.site()))

    def cut(method, params, result):
        last = hex(market.height())
        if method != "eth_getLogs":
            return result
        here = [log for log in result if log["blockNumber"] == last]
        return [log for log in result if log not in here[kept:]]

    with proxy(market.node.url) as between:
        between.tamper = cut
        with following(settings.model_copy(update={"rpc_url": between.url})) as follower:
            to_tip(follower)
    assert faults(settings) == []


def test_a_block_whose_logs_are_all_left_out_at_the_tip(market: Market, settings: Settings):
    with proxy(market.node.url) as between:
        between.tamper = lambda method, params, result: [] if method == "eth_getLogs" else result
        with following(settings.model_copy(update={"rpc_url": between.url})) as follower:
            to_tip(follower)
            site = market.site()
            to_tip(follower)
            market.shares(site)  # the clone is found in receipts, and its own logs are asked for after
            to_tip(follower)
            market.share(site).send(market.stranger, "distribute", 3 * USD, 1, 0)
            to_tip(follower)
    assert faults(settings) == []


def test_an_unknown_error_for_long_ranges_shortens_them_and_ends(lying: tuple[Proxy, Settings]):
    between, settings = lying
    asked: list[int] = []

    def limited(method, params, result):
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            asked.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
            if asked[-1] > 3:
                raise RefusalError("an error that no library has ever seen")
        return result

    between.tamper = limited
    with following(settings) as follower:
        to_tip(follower)
    assert max(asked) > 3, "it tried long ranges first"
    assert sum(blocks > 3 for blocks in asked) < len(asked) / 2, "and learned from it"
    assert faults(settings) == []


@pytest.mark.parametrize("status", [429, 503, None])
def test_failures_that_pass_are_tried_again(lying: tuple[Proxy, Settings], status: int | None):
    between, settings = lying
    count = [0]

    def now_and_then(method, params, result):
        count[0] += 1
        if count[0] % 40 == 0:
            raise DropError(status)
        return result

    between.tamper = now_and_then
    with following(settings.model_copy(update={"rpc_attempts": 4})) as follower:
        patient(follower)
    assert faults(settings) == []


def test_a_node_that_is_gone_is_said_to_be(market: Market, settings: Settings):
    gone = settings.model_copy(update={"rpc_url": "http://127.0.0.1:1"})
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"), following(gone):
        pass


def test_the_key_in_a_providers_url_is_told_to_nobody():
    node = HttpNode("http://me:password@127.0.0.1:1/v3/key?token=key", attempts=1)
    with closing(node), pytest.raises(Unreachable) as failure:
        node.call("eth_chainId")
    assert str(failure.value).startswith("http://127.0.0.1:1: ")
    with pytest.raises(RpcError) as failure:
        HttpNode("wss://127.0.0.1/v3/key")
    assert "key" not in str(failure.value)


def lie(item: dict, **changes) -> dict:
    return {**item, **changes}


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (lambda logs: [lie(logs[0], removed=True), *logs[1:]], "removed"),
        (lambda logs: [lie(logs[0], blockHash="0x" + 64 * "1"), *logs[1:]], "another block"),
        (lambda logs: [*logs[1:], logs[0]], "out of order"),
        (lambda logs: [lie(logs[0], topics=["0x" + 64 * "7"]), *logs[1:]], "bloom denies"),
        (lambda logs: [lie(logs[0], blockNumber="0xffff"), *logs[1:]], "not asked for"),
        (lambda logs: [{"blockNumber": logs[0]["blockNumber"]}, *logs[1:]], "without"),
        (lambda logs: "busy", "answered str"),
    ],
)
def test_a_log_that_cannot_be_is_refused(market: Market, lying: tuple[Proxy, Settings], tell, message: str):
    between, settings = lying
    between.tamper = lambda method, params, result: tell(result) if method == "eth_getLogs" and result else result
    with following(settings) as follower:
        with pytest.raises(BadAnswer, match=message):
            to_tip(follower)
        assert follower.cursor().number < market.height(), "it did not go on without it"
        between.tamper = lambda method, params, result: result
        follower.store.reset()
        to_tip(follower)


def test_a_header_that_does_not_follow_its_parent_is_refused(lying: tuple[Proxy, Settings]):
    between, settings = lying

    def torn(method, params, result):
        if method == "eth_getBlockByNumber" and params[0] == "0x9":
            return {**result, "parentHash": "0x" + 64 * "2"}
        return result

    between.tamper = torn
    with following(settings) as follower, pytest.raises(BadAnswer, match="block 9 does not follow block 8"):
        to_tip(follower)
    assert rows(settings, "SELECT max(block_number) < 9 FROM mirror.header") == [(True,)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda found: found[1:], "answered 3 of 4"),
        (lambda found: [{**each, "id": 1} for each in found], "other calls"),
        (lambda found: [{"id": each["id"]} for each in found], "neither a result nor an error"),
        (lambda found: [{**each, "id": [each["id"]]} for each in found], "other calls"),
        (lambda found: "hello", "answered str"),
    ],
)
def test_an_answer_that_is_no_json_rpc_is_refused(lying: tuple[Proxy, Settings], answer, message: str):
    between, settings = lying
    with following(settings) as follower:
        honest = between.answer
        between.answer = lambda body: answer(honest(body)) if isinstance(body, list) else honest(body)
        with pytest.raises(BadAnswer, match=message):
            to_tip(follower)


@pytest.mark.parametrize(
    "answer",
    [
        lambda found: {"error": "slow down"},
        lambda found: [{"id": each["id"], "error": "slow down"} for each in found],
        lambda found: [{"id": each["id"], "error": {"code": None, "message": "slow down"}} for each in found],
    ],
)
def test_an_error_of_another_form_is_an_error_of_the_node(lying: tuple[Proxy, Settings], answer):
    between, settings = lying
    with following(settings) as follower:
        honest = between.answer
        between.answer = lambda body: answer(honest(body)) if isinstance(body, list) else honest(body)
        with pytest.raises(Refused, match="slow down"):
            to_tip(follower)


def test_receipts_of_another_form_are_refused(lying: tuple[Proxy, Settings]):
    between, settings = lying
    tampered = {"eth_getLogs": lambda logs: [], "eth_getBlockReceipts": lambda receipts: [None, {}]}
    between.tamper = lambda method, params, result: tampered.get(method, lambda same: same)(result)
    with following(settings) as follower, pytest.raises(BadAnswer, match="a receipt of block"):
        to_tip(follower)
