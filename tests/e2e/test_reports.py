"""What the client computes of a report is what the contract computes."""

import random
from dataclasses import replace

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from drakewell.codec import Call
from drakewell.reports import NO_SAMPLES, Entry, Report, Sample, SampleTree, entry_of, sign, verify
from tests.e2e.market import Market

ENTRY = Entry(7, 490_000, 490_003, 2, 86_400, 12_345, 60, 2_400)


def samples(count: int, seed: int = 1) -> list[Sample]:
    rng = random.Random(seed)
    return [Sample(7, 490_001 + i % 3, i // 3, 3600 - i, rng.randint(0, 3600 - i), 0, 250) for i in range(count)]


def eth_call(market: Market, call: Call) -> bytes:
    answer = market.stack.node.rpc("eth_call", {"to": call.to, "data": "0x" + call.data().hex()}, "latest")
    return bytes.fromhex(answer[2:])


@pytest.mark.parametrize("entries", [(), (ENTRY,), (ENTRY, replace(ENTRY, lease_id=8, curtailed=0))])
@pytest.mark.parametrize("root", [NO_SAMPLES, SampleTree(samples(5)).root])
def test_digest_is_the_contracts(market: Market, root: bytes, entries: tuple[Entry, ...]):
    report = Report(3, root, entries)
    deployment = market.story.deployment
    theirs = eth_call(market, Call("UsageMeter", deployment["UsageMeter"], "digestOf", (report.as_args(),)))
    assert report.digest(deployment.chain_id, deployment["UsageMeter"]) == theirs


def test_contract_accepts_every_proof_of_a_posted_report_and_no_other(market: Market):
    # Nothing is leased, so the entry is skipped with a reason; the root is posted all the same.
    measured = samples(7)
    tree = SampleTree(measured)
    report = Report(1, tree.root, (entry_of(measured, 490_000, 490_003),))
    deployment = market.story.deployment
    attesters = [market.story.people[name].account for name in ("Orla's meter", "Pavel's meter")]
    signatures = sign(report, deployment.chain_id, deployment["UsageMeter"], attesters)
    posted = market.client("Orla's meter").report_usage(report, signatures).wait()
    report_id = posted["resource"]["id"]

    def accepted(sample: Sample, proof: list[bytes]) -> bool:
        arguments = (report_id, tuple(vars(sample).values()), proof)
        return bool(
            int.from_bytes(eth_call(market, Call("UsageMeter", deployment["UsageMeter"], "verifySample", arguments)))
        )

    for sample in measured:
        assert accepted(sample, tree.proof(sample))
    assert not accepted(replace(measured[0], busy=measured[0].busy + 1), tree.proof(measured[0]))
    assert not accepted(measured[0], tree.proof(measured[1]))


@given(count=st.integers(1, 40), seed=st.integers(0, 5))
def test_every_sample_has_a_proof(count: int, seed: int):
    measured = samples(count, seed)
    tree = SampleTree(measured)
    assert all(verify(tree.root, sample, tree.proof(sample)) for sample in measured)
    assert tree.root == SampleTree(reversed(measured)).root
    assert not verify(tree.root, replace(measured[0], watt_hours=251), tree.proof(measured[0]))


def test_tree_refuses_nothing_twice_and_strangers():
    with pytest.raises(ValueError, match="needs a sample"):
        SampleTree([])
    with pytest.raises(ValueError, match="once"):
        SampleTree([*samples(2), samples(1)[0]])
    with pytest.raises(ValueError, match="not in this tree"):
        SampleTree(samples(2)).proof(samples(3)[2])


def test_entry_sums_one_lease_within_its_hours():
    measured = samples(6)
    entry = entry_of(measured, 490_000, 490_003, 1)
    assert (entry.round, entry.available, entry.busy) == (1, 6 * 3600 - 15, sum(sample.busy for sample in measured))
    with pytest.raises(ValueError, match=r"\[490003\] are not in \(490000, 490002\]"):
        entry_of(measured, 490_000, 490_002)
    with pytest.raises(ValueError, match="of one lease"):
        entry_of([*measured, replace(measured[0], lease_id=9)], 490_000, 490_003)


def test_signers_ascend():
    signers = [Account.create(str(number)) for number in range(4)]
    report = Report(3, NO_SAMPLES, (ENTRY,))
    meter = "0x" + "11" * 20
    signatures = sign(report, 31337, meter, signers)
    recovered = [Account._recover_hash(report.digest(31337, meter), signature=signature) for signature in signatures]
    assert recovered == sorted((signer.address for signer in signers), key=str.lower)
