"""Every event of every ABI is read as it was written, or left out for a stated reason."""

import random
import re
import subprocess
import sys
from typing import Any

import pytest
from eth_utils.crypto import keccak

from indexer import events
from indexer.fold import _HANDLERS, _KEYS, Fold, FoldBreach, Log
from tests.indexer.fold_kit import GENESIS, LEASEBOOK, TOKEN, Story, cash, encoded, item

ALL = [(kind, abi) for kind in _HANDLERS for abi in events.abi_events(kind)]
READ = [(kind, abi) for kind, abi in ALL if (kind, abi["name"]) not in events.IGNORED]


def made_up(part: dict[str, Any], rng: random.Random) -> tuple[Any, Any]:
    """Return a value of an ABI type and what the decoder makes of it."""
    kind = part["type"]
    if uint := re.match(r"uint(\d+)$", kind):
        value = rng.getrandbits(int(uint[1]))
        return value, value
    if kind == "address":
        value = "0x" + rng.randbytes(20).hex()
        return value, value
    if kind == "bool":
        flag = rng.random() < 0.5
        return flag, flag
    if kind == "string":
        words = "".join(rng.choice("gpu Ωé\n") for _ in range(rng.randrange(70)))
        return words, words
    assert kind == "bytes32", f"a value of {kind} must be made up here"
    if part["name"] in events._NAMES:
        return b"NO-03".ljust(32, b"\0"), "NO-03"
    word = rng.randbytes(32)
    return word, "0x" + word.hex()


@pytest.mark.parametrize(("kind", "abi"), READ, ids=[f"{kind}-{abi['name']}" for kind, abi in READ])
def test_an_event_decodes_to_what_was_emitted(kind: str, abi: dict[str, Any]) -> None:
    rng = random.Random(abi["name"])
    for _ in range(20):
        parts = [leaf for part in abi["inputs"] for leaf in (part.get("components") or [part])]
        values = {part["name"]: made_up(part, rng) for part in parts}
        topics, data = encoded(abi, {name: value for name, (value, _) in values.items()})
        log = Log(7, 1, 0, "0x" + "ab" * 32, 9, LEASEBOOK, topics, data)

        event = events.decode(kind, log)

        assert event == events.Event(log, kind, abi["name"], {name: want for name, (_, want) in values.items()})


def test_every_event_has_a_handler_or_a_stated_reason_not_both() -> None:
    for kind, abi in ALL:
        handled, ignored = abi["name"] in _HANDLERS[kind], (kind, abi["name"]) in events.IGNORED
        assert handled != ignored, f"{kind} {abi['name']}: write a handler, or the reason why none is due"
    names = {(kind, abi["name"]) for kind, abi in ALL}
    stale = {(kind, name) for kind, handlers in _HANDLERS.items() for name in handlers} | set(events.IGNORED)
    assert stale <= names, f"no ABI has these events: {stale - names}"


def test_topic0_is_keccak_of_the_signature() -> None:
    assert events.signature(item(events.TOKEN, "Transfer")) == "Transfer(address,address,uint256)"
    assert events.topics(events.TOKEN) == (keccak(text="Transfer(address,address,uint256)"),)
    listing = events.signature(item(events.LEASEBOOK, "ListingSet"))
    assert listing.startswith("ListingSet(uint256,uint256,uint16,(uint40,uint40,uint72"), listing


def test_every_kind_of_contract_can_be_prefetched_or_is_a_token() -> None:
    assert {*_KEYS, events.TOKEN} == set(_HANDLERS)


def test_a_foreign_transfer_of_another_shape_is_no_event() -> None:
    log = Story().told(cash(LEASEBOOK, LEASEBOOK, 1))[0]
    assert events.decode(events.LEASEBOOK, log) is None, "an ERC-20 Transfer has three topics, ERC-721's has four"
    assert events.decode(events.TOKEN, log._replace(topics=())) is None


def test_a_truncated_log_of_ours_halts_and_says_where() -> None:
    fold = Fold(GENESIS)
    state = fold.state(lambda table, keys: {}, tokens=[TOKEN])
    log = Story().told(cash(LEASEBOOK, LEASEBOOK, 1))[0]._replace(data=b"\1")
    with pytest.raises(FoldBreach, match=f"does not decode.*block {log.block}"):
        fold.decode(state, [log])


def test_names_that_are_no_text_and_strings_that_postgresql_refuses() -> None:
    assert events.text(b"H100".ljust(32, b"\0")) == "H100"
    assert events.text(b"\xff" * 32) == "0x" + "ff" * 32
    abi = item(events.LEASEBOOK, "SiteRegistered")
    args = {"siteId": 1, "owner": LEASEBOOK, "token": TOKEN, "gpus": 1, "region": b"\0" * 32, "name": "a\0b"}
    event = events.decode(events.LEASEBOOK, Log(1, 0, 0, "", 0, LEASEBOOK, *encoded(abi, args)))
    assert event is not None
    assert (event.args["region"], event.args["name"]) == ("", "a\N{REPLACEMENT CHARACTER}b")


def test_the_fold_imports_no_slow_library() -> None:
    program = (
        "import sys, indexer.fold; print([m for m in ('web3', 'fastapi', 'eth_abi', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
