"""UsageMeter: m of n signed reports, each entry judged by itself; voids, lapses, the ring of checkpoints."""

import pytest
from brownie import web3
from eth_abi import encode
from eth_account import Account
from kit import ATTESTER, DAY, HOUR, USD, ZERO, event, events, forward, low, now, refused, refused_deployment, to
from market import ATTESTERS, GRACE, SKIPS, WINDOW, attester, entry

FULL = 8 * HOUR


@pytest.fixture(scope="module")
def site(market):
    return market.site(bond=10_000 * USD)


@pytest.fixture(scope="module")
def listing(market, site):
    return market.listing(site)


@pytest.fixture
def lease(market, listing):
    """Eight GPUs for two days from the full hour."""
    return market.open(listing, gpus=8, term=2 * DAY)


@pytest.fixture
def hour(lease):
    """The epoch boundary at which the lease starts."""
    return now() // HOUR


def after(hour):
    """Go to the boundary ``hour``."""
    to(hour * HOUR)


def settled(market, lease):
    until, available, due = market.meter.settled(lease)
    return until, available, due


# -------------------------------------------------------------------------------------------------------------- reports


def test_a_report_is_recorded_and_told(market, site, lease, hour, people):
    after(hour + 2)
    tx = market.record(site, entry(lease, hour, hour + 2, 50_000, busy=40_000, curtailed=600, watt_hours=7_777))
    posted = event(tx, "Reported")
    assert (posted.reportId, posted.siteId, bytes(posted.samplesRoot)) == (1, site, market.root)
    assert posted.submitter == people.stranger
    told = event(tx, "UsageRecorded")
    assert (told.leaseId, told.fromEpoch, told.toEpoch, told.round) == (lease, hour, hour + 2, 0)
    assert (told.available, told.busy, told.curtailed, told.wattHours) == (50_000, 40_000, 600, 7_777)
    assert told.due == 2 * FULL - 600
    assert tuple(market.meter.totals(lease)) == (hour + 2, 0, 50_000, 2 * FULL - 600, 40_000, 600)
    count, ring = market.meter.checkpointsOf(lease)
    assert (count, [tuple(c) for c in ring]) == (
        1,
        [(hour + 2, 2, now(), 50_000, 2 * FULL - 600, 40_000, 600)],
    )
    assert (market.meter.reportCount(), bytes(market.meter.rootOf(1))) == (1, market.root)


def test_constants_are_those_it_was_made_with(market, registry):
    meter = market.meter
    assert (meter.quorum(), meter.challengeWindow(), meter.grace()) == (2, 6 * HOUR, DAY)
    assert (meter.registry(), meter.leaseBook()) == (registry, market.book)


def test_the_meter_s_constants_are_bounded(UsageMeter, market, people):
    good = [market.manager.address, market.registry.address, market.book.address, 2, WINDOW, GRACE]
    bad = {
        (1, ZERO): "registry",
        (2, ZERO): "leaseBook",
        (3, 0): "quorum",
        (3, 256): "quorum",
        (4, 0): "challengeWindow",
        (4, DAY + 1): "challengeWindow",
        (5, HOUR - 1): "grace",
        (5, 2 * DAY + 1): "grace",
    }
    for (place, value), name in bad.items():
        args = [*good]
        args[place] = value
        assert refused_deployment(UsageMeter, *args, by=people.admin)[:2] == (
            "UsageMeter_OutOfBounds",
            name.encode().ljust(32, b"\0"),
        )


def test_the_digest_is_the_one_that_wallets_compute(market, site, lease, hour):
    after(hour + 1)
    report = (site, market.root, [entry(lease, hour, hour + 1, FULL)])
    digest = bytes(market.meter.digestOf(report))
    for signer, signature in zip(ATTESTERS, market.sign(report, ATTESTERS), strict=True):
        assert Account._recover_hash(digest, signature=signature) == signer.address


def test_signatures(market, site, lease, hour, registry, people):
    after(hour + 1)
    report = (site, market.root, [entry(lease, hour, hour + 1, FULL)])
    first, second, third = market.sign(report, ATTESTERS)
    a, b, _ = (low(s.address) for s in ATTESTERS)

    def says(signatures, sent=report):
        return refused(market.meter.report, sent, signatures, by=people.stranger)

    assert says([]) == ("UsageMeter_TooFewSignatures", 0, 2)
    assert says([first]) == ("UsageMeter_TooFewSignatures", 1, 2)
    assert says([second, first]) == ("UsageMeter_SignersNotAscending", b, a)
    assert says([first, first]) == ("UsageMeter_SignersNotAscending", a, a)
    assert says([first, b"\1" * 64])[0] == "ECDSAInvalidSignatureLength"
    assert says([first, b"\0" * 65])[0] == "ECDSAInvalidSignature"
    s = int.from_bytes(second[32:64], "big")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = second[:32] + (order - s).to_bytes(32, "big") + bytes([55 - second[64]])
    assert says([first, twin])[0] == "ECDSAInvalidSignatureS"
    outsider = attester(0xEE)
    both = sorted([*ATTESTERS[:1], outsider], key=lambda s: int(s.address, 16))
    assert says(market.sign(report, both)) == ("UsageMeter_NotAttester", low(outsider.address))
    changed = (site, market.root, [entry(lease, hour, hour + 1, FULL - 1)])
    assert says([first, second], changed)[0] in ("UsageMeter_NotAttester", "UsageMeter_SignersNotAscending")
    assert says([first, second], (99, market.root, [])) == ("UsageMeter_UnknownSite", 99)
    # an expired attester and one of the owner's party count no more
    registry.register(ATTESTERS[1].address, (now(), 756, ATTESTER, 51), {"from": people.officer})
    assert says([first, second]) == ("UsageMeter_NotAttester", b)
    registry.register(ATTESTERS[1].address, (now() + DAY, 756, ATTESTER, 1), {"from": people.officer})
    assert says([first, second]) == ("UsageMeter_OwnerParty", b, site)
    market.meter.report(report, [first, third], {"from": people.stranger})


def test_more_signatures_than_the_quorum_all_count(market, site, lease, hour, people):
    after(hour + 1)
    report = (site, market.root, [entry(lease, hour, hour + 1, FULL)])
    tx = market.meter.report(report, market.sign(report, ATTESTERS), {"from": people.stranger})
    event(tx, "UsageRecorded")


def test_a_replay_adds_nothing(market, site, lease, hour):
    after(hour + 1)
    market.record(site, entry(lease, hour, hour + 1, FULL))
    assert market.skipped(site, entry(lease, hour, hour + 1, FULL)) == ["Overlap"]
    assert market.meter.totals(lease)["available"] == FULL


def test_too_many_entries(market, site, lease, people):
    report = (site, market.root, [entry(lease, 1, 2, 0)] * 201)
    assert refused(market.meter.report, report, [], by=people.stranger) == ("UsageMeter_TooManyEntries", 201, 200)


# ---------------------------------------------------------------------------------------------------------------- skips


def test_every_reason_to_skip_an_entry(market, site, listing, lease, hour, people):
    other_site = market.site(owner=people.other_owner)
    other = market.open(market.listing(other_site, owner=people.other_owner), gpus=8, term=DAY)
    after(hour + 30)
    cases = [
        (entry(999, hour, hour + 1, 0), "UnknownLease"),
        (entry(other, hour, hour + 1, 0), "WrongSite"),
        (entry(lease, hour + 10, hour + 11, 0, round_=1), "WrongRound"),
        (entry(lease, hour + 10, hour + 10, 0), "EmptySpan"),
        (entry(lease, hour + 11, hour + 10, 0), "EmptySpan"),
        (entry(lease, hour + 10, hour + 266, 0), "SpanTooLong"),
        (entry(lease, hour + 29, hour + 31, 0), "NotOver"),
        (entry(lease, hour - 1, hour, 0), "OutsideLease"),
        (entry(lease, hour + 5, hour + 10, 0), "Lapsed"),
        (entry(lease, hour + 10, hour + 11, FULL + 1), "AboveCapacity"),
        (entry(lease, hour + 10, hour + 11, FULL, curtailed=1), "AboveCapacity"),
        (entry(lease, hour + 10, hour + 11, 2**64 - 1, curtailed=2**64 - 1), "AboveCapacity"),
        (entry(lease, hour + 10, hour + 11, 100, busy=101), "BusyAboveAvailable"),
        # a tenth of 8 GPUs x 48 h may be curtailed: 138,240 GPU-s
        (entry(lease, hour + 10, hour + 20, 0, curtailed=138_241), "CurtailedAboveShare"),
    ]
    tx = market.report(site, *(e for e, _ in cases))
    assert [SKIPS[e.reason] for e in events(tx, "EntrySkipped")] == [reason for _, reason in cases]
    assert [(e.leaseId, e.fromEpoch, e.toEpoch) for e in events(tx, "EntrySkipped")] == [e[:3] for e, _ in cases]
    assert events(tx, "UsageRecorded") == []
    market.record(site, entry(lease, hour + 10, hour + 20, 0, curtailed=138_240))
    assert market.skipped(site, entry(lease, hour + 20, hour + 21, 0, curtailed=1)) == ["CurtailedAboveShare"]
    assert market.skipped(site, entry(lease, hour + 19, hour + 21, 0)) == ["Overlap"]


def test_a_failing_entry_does_not_fail_the_others(market, site, listing, hour, lease):
    second = market.open(listing, gpus=1, term=DAY)
    after(hour + 1)
    tx = market.report(
        site, entry(999, hour, hour + 1, 0), entry(lease, hour, hour + 1, FULL), entry(second, hour, hour + 1, 3_600)
    )
    assert [e.leaseId for e in events(tx, "UsageRecorded")] == [lease, second]
    assert [e.leaseId for e in events(tx, "EntrySkipped")] == [999]


def test_hours_are_clipped_to_the_lease(market, site, hour):
    to(hour * HOUR + 1_200)
    listing = market.listing(market.site(owner=market.people.other_owner), owner=market.people.other_owner)
    lease = market.open(listing, gpus=8, term=HOUR)
    site = market.book.leaseOf(lease)["siteId"]
    after(hour + 2)
    assert market.skipped(site, entry(lease, hour, hour + 1, 8 * 2_400 + 1)) == ["AboveCapacity"]
    market.record(site, entry(lease, hour, hour + 1, 8 * 2_400))
    assert market.skipped(site, entry(lease, hour + 1, hour + 2, 8 * 1_200 + 1)) == ["AboveCapacity"]
    market.record(site, entry(lease, hour + 1, hour + 2, 8 * 1_200))
    after(hour + 3)
    assert market.skipped(site, entry(lease, hour + 2, hour + 3, 0)) == ["OutsideLease"]
    assert market.meter.totals(lease)["due"] == 8 * HOUR


def test_hours_left_out_before_a_report_are_given_up(market, site, lease, hour):
    after(hour + 3)
    market.record(site, entry(lease, hour + 2, hour + 3, FULL))
    assert market.skipped(site, entry(lease, hour, hour + 2, FULL)) == ["Overlap"]
    forward(WINDOW)
    assert settled(market, lease) == ((hour + 3) * HOUR, FULL, FULL)


def test_anybody_may_report_while_entries_are_paused(market, site, lease, hour, people):
    market.book.setEntriesPaused(True, {"from": people.guardian})
    after(hour + 1)
    market.record(site, entry(lease, hour, hour + 1, FULL))


# ------------------------------------------------------------------------------------------------------- final and void


def test_a_report_is_final_six_hours_after_it_was_posted(market, site, lease, hour):
    assert settled(market, lease) == ((hour - 24) * HOUR, 0, 0)
    after(hour + 1)
    market.record(site, entry(lease, hour, hour + 1, 100))
    after(hour + 3)
    market.record(site, entry(lease, hour + 1, hour + 3, 200))
    assert settled(market, lease) == (hour * HOUR, 0, 0)
    to((hour + 7) * HOUR - 1)
    assert settled(market, lease) == (hour * HOUR, 0, 0)
    after(hour + 7)
    assert settled(market, lease) == ((hour + 1) * HOUR, 100, FULL)
    after(hour + 9)
    assert settled(market, lease) == ((hour + 3) * HOUR, 300, 3 * FULL)
    after(hour + 26)
    assert settled(market, lease) == ((hour + 3) * HOUR, 300, 3 * FULL)
    after(hour + 28)
    assert settled(market, lease) == ((hour + 4) * HOUR, 300, 3 * FULL), "the fourth hour has lapsed"


def test_a_void_takes_the_later_reports_along(market, site, lease, hour, people):
    for n in range(3):
        after(hour + n + 1)
        market.record(site, entry(lease, hour + n, hour + n + 1, 1000 * (n + 1)))
    told = event(market.meter.void(lease, hour + 1, {"from": people.challenger}), "Voided")
    assert (told.leaseId, told.challenger) == (lease, people.challenger)
    assert (told.fromEpoch, told.toEpoch, told.round) == (hour + 1, hour + 3, 1)
    assert tuple(market.meter.totals(lease)) == (hour + 1, 1, 1000, FULL, 1000, 0)
    assert market.meter.checkpointsOf(lease)[0] == 1
    assert market.skipped(site, entry(lease, hour + 1, hour + 2, 5)) == ["WrongRound"]
    market.record(site, entry(lease, hour + 1, hour + 3, 5, round_=1))
    assert market.meter.totals(lease)["available"] == 1005


def test_voided_signatures_never_count_again(market, site, lease, hour, people):
    after(hour + 1)
    report = (site, market.root, [entry(lease, hour, hour + 1, FULL)])
    signatures = market.sign(report)
    market.meter.report(report, signatures, {"from": people.stranger})
    market.meter.void(lease, hour, {"from": people.challenger})
    tx = market.meter.report(report, signatures, {"from": people.stranger})
    assert [SKIPS[e.reason] for e in events(tx, "EntrySkipped")] == ["WrongRound"]


def test_an_epoch_is_voided_at_most_twice(market, site, lease, hour, people):
    after(hour + 2)
    for round_ in range(2):
        market.record(site, entry(lease, hour, hour + 2, FULL, round_=round_))
        market.meter.void(lease, hour, {"from": people.challenger})
    market.record(site, entry(lease, hour, hour + 1, FULL, round_=2), entry(lease, hour + 1, hour + 2, 7, round_=2))
    assert refused(market.meter.void, lease, hour + 1, by=people.challenger) == (
        "UsageMeter_VoidedTwice",
        lease,
        hour + 2,
    )
    after(hour + 3)
    market.record(site, entry(lease, hour + 2, hour + 3, FULL, round_=2))
    market.meter.void(lease, hour + 2, {"from": people.challenger})
    assert market.meter.totals(lease)["available"] == FULL + 7


def test_refused_voids(market, site, lease, hour, people):
    none = ("UsageMeter_NoSuchReport", lease, hour)
    assert refused(market.meter.void, lease, hour, by=people.challenger) == none
    after(hour + 3)
    market.record(site, entry(lease, hour, hour + 2, FULL))
    for wrong in (hour - 1, hour + 1, hour + 2):
        assert refused(market.meter.void, lease, wrong, by=people.challenger) == (
            "UsageMeter_NoSuchReport",
            lease,
            wrong,
        )
    posted = now()
    to(posted + WINDOW - 1)
    for person in (people.stranger, people.owner, people.admin):
        assert refused(market.meter.void, lease, hour, by=person) == ("AccessManagedUnauthorized", low(person))
    market.meter.void.call(lease, hour, {"from": people.challenger})
    to(posted + WINDOW)
    assert refused(market.meter.void, lease, hour, by=people.challenger) == (
        "UsageMeter_ReportFinal",
        lease,
        hour,
        posted + WINDOW,
    )


def test_what_a_void_opened_again_stays_open_for_a_grace(market, site, lease, hour, people):
    after(hour + 20)
    market.record(site, entry(lease, hour, hour + 20, 20 * FULL))
    to((hour + 26) * HOUR - 1)
    market.meter.void(lease, hour, {"from": people.challenger})
    voided = now()
    to(voided + GRACE - 1)
    assert market.meter.lapsedTo(lease) == hour
    assert settled(market, lease)[0] == hour * HOUR
    to(voided + GRACE)
    lapsed = (voided + GRACE - GRACE) // HOUR
    assert market.meter.lapsedTo(lease) == lapsed
    assert market.skipped(site, entry(lease, hour, hour + 20, 20 * FULL, round_=1)) == ["Lapsed"]
    assert settled(market, lease) == (lapsed * HOUR, 0, 0)


def test_a_second_void_keeps_what_the_first_opened(market, site, lease, hour, people):
    after(hour + 10)
    market.record(site, entry(lease, hour, hour + 10, 10 * FULL))
    market.meter.void(lease, hour, {"from": people.challenger})
    after(hour + 20)
    market.record(site, entry(lease, hour, hour + 2, 2 * FULL, round_=1))
    market.meter.void(lease, hour, {"from": people.challenger})
    after(hour + 40)
    market.record(site, entry(lease, hour, hour + 10, 10 * FULL, round_=2))


def test_a_void_opens_only_what_it_took_back(market, site, lease, hour, people):
    """Hours that had lapsed unreported before the void stay lapsed."""
    to((hour + 24) * HOUR + HOUR // 2)
    market.record(site, entry(lease, hour, hour + 1, FULL))
    after(hour + 30)
    assert market.meter.lapsedTo(lease) == hour + 6
    market.meter.void(lease, hour, {"from": people.challenger})
    for first, last in ((hour + 1, hour + 6), (hour, hour + 2), (hour + 5, hour + 8)):
        told = market.skipped(site, entry(lease, first, last, (last - first) * FULL, round_=1))
        assert told == ["Lapsed"], (first - hour, last - hour)
    market.record(site, entry(lease, hour, hour + 1, FULL, round_=1))
    market.record(site, entry(lease, hour + 6, hour + 8, 2 * FULL, round_=1))


def test_hours_lapse_a_day_after_their_end(market, site, lease, hour):
    to((hour + 25) * HOUR - 1)
    assert market.meter.lapsedTo(lease) == hour
    market.meter.settled(lease)
    after(hour + 25)
    assert market.meter.lapsedTo(lease) == hour + 1
    assert settled(market, lease) == ((hour + 1) * HOUR, 0, 0)
    assert market.skipped(site, entry(lease, hour, hour + 1, FULL)) == ["Lapsed"]
    market.record(site, entry(lease, hour + 1, hour + 2, FULL))


# ----------------------------------------------------------------------------------------------------------------- ring


def test_the_ring_never_loses_the_last_final_report(market, site, lease, hour):
    after(hour + 1)
    market.record(site, entry(lease, hour, hour + 1, 1))
    after(hour + 9)
    for n in range(1, 8):
        market.record(site, entry(lease, hour + n, hour + n + 1, 1))
    assert [len(market.meter.checkpointsOf(lease)[1]), market.meter.checkpointsOf(lease)[0]] == [8, 8]
    # the first is final since hour + 7, but the second is not: overwriting the first would lose it
    assert settled(market, lease) == ((hour + 1) * HOUR, 1, FULL)
    assert market.skipped(site, entry(lease, hour + 8, hour + 9, 1)) == ["RingFull"]
    after(hour + 15)
    market.record(site, entry(lease, hour + 8, hour + 15, 7))
    count, ring = market.meter.checkpointsOf(lease)
    assert (count, len(ring)) == (9, 8)
    assert (ring[0]["toEpoch"], ring[-1]["toEpoch"]) == (hour + 2, hour + 15)
    assert settled(market, lease) == ((hour + 8) * HOUR, 8, 8 * FULL)
    after(hour + 21)
    assert settled(market, lease) == ((hour + 15) * HOUR, 15, 15 * FULL)


def test_hourly_reports_go_round_the_ring(market, site, lease, hour):
    for n in range(30):
        after(hour + n + 1)
        market.record(site, entry(lease, hour + n, hour + n + 1, 100 + n))
        final = max(0, n - 5)
        assert settled(market, lease) == ((hour + final) * HOUR, sum(range(100, 100 + final)), final * FULL)


def test_voiding_a_full_ring_falls_back(market, site, lease, hour, people):
    for n in range(10):
        after(hour + n + 1)
        market.record(site, entry(lease, hour + n, hour + n + 1, 1))
    market.meter.void(lease, hour + 5, {"from": people.challenger})
    count, ring = market.meter.checkpointsOf(lease)
    assert (count, len(ring)) == (5, 3)
    assert settled(market, lease) == ((hour + 4) * HOUR, 4, 4 * FULL)
    assert market.meter.totals(lease)["available"] == 5


# -------------------------------------------------------------------------------------------------------------- samples


def test_one_sample_is_verified_against_the_root(market, site, lease, hour, people):
    samples = [(lease, hour + 1, gpu, 3_600, 3_000, 0, 450) for gpu in range(3)]
    leaves = [
        web3.keccak(web3.keccak(encode(["(uint256,uint32,uint32,uint32,uint32,uint32,uint32)"], [s]))) for s in samples
    ]

    def parent(a, b):
        return web3.keccak(min(a, b) + max(a, b))

    pair = parent(leaves[0], leaves[1])
    root = parent(pair, leaves[2])
    after(hour + 1)
    report = (site, root, [entry(lease, hour, hour + 1, FULL)])
    number = market.meter.report(report, market.sign(report), {"from": people.stranger}).return_value
    assert market.meter.verifySample(number, samples[0], [leaves[1], leaves[2]])
    assert market.meter.verifySample(number, samples[2], [pair])
    assert not market.meter.verifySample(number, (*samples[2][:-1], 451), [pair])
    assert not market.meter.verifySample(number, samples[2], [leaves[0]])
    assert not market.meter.verifySample(number + 1, samples[2], [pair])
