"""LeaseBook: sites and bonds, listings and their capacity, opening at the quoted price, closing, reclaiming, money."""

import pytest
from kit import (
    CUSTODIAN,
    DAY,
    HOUR,
    NO_PERMIT,
    SHARE,
    SITE_OWNER,
    USD,
    ZERO,
    event,
    events,
    forward,
    low,
    now,
    permit,
    receipt_of,
    refused,
    refused_deployment,
    rpc,
    to,
)
from market import MODEL, REGION, WINDOW, entry, terms

TOP_UINT24 = 2**24 - 1


@pytest.fixture(scope="module")
def site(market):
    return market.site(revenue_bps=6_000)


@pytest.fixture(scope="module")
def book(market):
    return market.book


@pytest.fixture
def listing(market, site):
    return market.listing(site)


@pytest.fixture
def lease(market, listing):
    """Eight GPUs for a day at 2.50, paid in full."""
    return market.open(listing)


def bounds(what, value, low_, high):
    return ("LeaseBook_OutOfBounds", what.encode().ljust(32, b"\0"), value, low_, high)


def report_all(market, lease, share_of_full=10_000):
    """Go to the lease's end and have all its hours reported, a share of them in basis points available."""
    data = market.book.leaseOf(lease)
    end = market.book.endOf(lease)
    first, last = data["start"] // HOUR, -(-end // HOUR)
    to(max(now(), last * HOUR))
    gpu_seconds = data["gpus"] * (end - data["start"]) * share_of_full // 10_000
    market.record(data["siteId"], entry(lease, first, last, gpu_seconds))
    forward(WINDOW)


# ---------------------------------------------------------------------------------------------------------------- sites


def test_a_site_is_registered(market, book, people, usd):
    tx = book.registerSite(usd, 64, REGION, "Hall 9", {"from": people.owner})
    told = event(tx, "SiteRegistered")
    assert (told.siteId, told.owner, told.token, told.gpus) == (book.siteCount(), people.owner, usd, 64)
    assert (bytes(told.region), told.name) == (REGION, "Hall 9")
    site = book.siteOf(told.siteId)
    assert (site["owner"], site["token"], site["gpus"], site["bond"], site["share"]) == (people.owner, usd, 64, 0, ZERO)


def test_refused_sites(book, people, usd, registry):
    assert refused(book.registerSite, usd, 0, REGION, "", by=people.owner) == bounds("gpus", 0, 1, 2**32 - 1)
    assert refused(book.registerSite, people.dave, 1, REGION, "", by=people.owner) == (
        "LeaseBook_TokenNotAllowed",
        low(people.dave),
    )
    assert refused(book.registerSite, usd, 1, REGION, "", by=people.tenant) == (
        "LeaseBook_NotSiteOwner",
        low(people.tenant),
    )
    registry.register(people.owner, (now(), 276, SITE_OWNER, 1), {"from": people.officer})
    assert refused(book.registerSite, usd, 1, REGION, "", by=people.owner)[0] == "LeaseBook_NotSiteOwner"


def test_a_site_changes_hands_in_two_steps(market, book, site, lease, people, usd, registry):
    told = event(book.offerSite(site, people.other_owner, {"from": people.owner}), "SiteOffered")
    assert (told.owner, told.pendingOwner) == (people.owner, people.other_owner)
    assert refused(book.acceptSite, site, by=people.stranger) == (
        "LeaseBook_NotPendingOwner",
        low(people.stranger),
        low(people.other_owner),
    )
    to(now() + 2 * HOUR)
    hour = now() // HOUR
    market.record(site, entry(lease, hour - 2, hour, 57_600))
    forward(WINDOW)
    before = market.settle(lease)
    told = event(book.acceptSite(site, {"from": people.other_owner}), "SiteOwnerChanged")
    assert (told.siteId, told.previousOwner, told.owner) == (site, people.owner, people.other_owner)
    assert (book.siteOf(site)["owner"], book.siteOf(site)["pendingOwner"]) == (people.other_owner, ZERO)
    assert book.creditOf(usd, people.owner) == before.ownerPart, "credits of the past stay with the old owner"
    hour = now() // HOUR
    market.record(site, entry(lease, hour - 6, hour, 6 * 28_800))
    forward(WINDOW)
    assert market.settle(lease).owner == people.other_owner
    assert refused(book.list, site, terms(), by=people.owner) == ("LeaseBook_NotSiteOwner", low(people.owner))


def test_hand_overs_that_fail(book, site, people, registry):
    assert refused(book.offerSite, site, people.dave, by=people.stranger)[0] == "LeaseBook_NotSiteOwner"
    assert refused(book.offerSite, 99, people.dave, by=people.owner) == ("LeaseBook_UnknownSite", 99)
    assert refused(book.acceptSite, 99, by=people.owner) == ("LeaseBook_UnknownSite", 99)
    book.offerSite(site, people.dave, {"from": people.owner})
    assert refused(book.acceptSite, site, by=people.dave) == ("LeaseBook_NotSiteOwner", low(people.dave))
    book.offerSite(site, ZERO, {"from": people.owner})
    assert refused(book.acceptSite, site, by=people.dave)[0] == "LeaseBook_NotPendingOwner"
    registry.setFrozen(people.owner, True, {"from": people.officer})
    frozen = ("LeaseBook_AccountFrozen", low(people.owner))
    assert refused(book.offerSite, site, people.other_owner, by=people.owner) == frozen


def test_nothing_leaves_a_frozen_owner_who_had_offered(book, site, people, registry):
    book.offerSite(site, people.other_owner, {"from": people.owner})
    registry.setFrozen(people.owner, True, {"from": people.officer})
    frozen = ("LeaseBook_AccountFrozen", low(people.owner))
    assert refused(book.acceptSite, site, by=people.other_owner) == frozen


def test_shares_are_issued_once(market, book, people, usd):
    site = market.site()
    tx = book.issue(site, 2_500, 7 * SHARE, "Hall 4", "H4", {"from": people.owner})
    told = event(tx, "SharesIssued")
    assert (told.siteId, told.owner, told.revenueBps, told.supply) == (site, people.owner, 2_500, 7 * SHARE)
    assert (told.name, told.symbol, told.share) == ("Hall 4", "H4", book.siteOf(site)["share"])
    share = market.share(site)
    assert (share.name(), share.symbol(), share.siteId(), share.leaseBook()) == ("Hall 4", "H4", site, book)
    assert (share.settlementToken(), share.balanceOf(people.owner)) == (usd, 7 * SHARE)
    assert refused(book.issue, site, 1, 7 * SHARE, "", "", by=people.owner) == (
        "LeaseBook_SharesAlreadyIssued",
        site,
        low(share.address),
    )
    assert refused(share.initialise, people.owner, "", "", by=people.owner) == ("CapacityShare_AlreadyInitialised",)


def test_refused_issues(market, book, people, registry):
    site = market.site()
    assert refused(book.issue, site, 0, SHARE, "", "", by=people.owner) == bounds("revenueBps", 0, 1, 10_000)
    assert refused(book.issue, site, 10_001, SHARE, "", "", by=people.owner) == bounds("revenueBps", 10_001, 1, 10_000)
    assert refused(book.issue, site, 1, SHARE - 1, "", "", by=people.owner)[0] == "CapacityShare_SupplyOutOfBounds"
    assert refused(book.issue, site, 1, SHARE, "", "", by=people.other_owner)[0] == "LeaseBook_NotSiteOwner"
    registry.register(people.owner, (now(), 276, SITE_OWNER, 1), {"from": people.officer})
    assert refused(book.issue, site, 1, SHARE, "", "", by=people.owner)[0] == "LeaseBook_NotSiteOwner"


# ---------------------------------------------------------------------------------------------------------------- bonds


def test_bonds_come_from_anyone_and_go_to_whom_the_owner_names(market, book, people, usd):
    site = market.site(bond=0)
    told = event(book.postBond(site, 100, {"from": people.tenant}), "BondPosted")
    assert (told.payer, told.amount, told.bond) == (people.tenant, 100, 100)
    before = usd.balanceOf(people.dave)
    told = event(book.withdrawBond(site, 60, people.dave, {"from": people.owner}), "BondWithdrawn")
    assert (told.to, told.amount, told.bond) == (people.dave, 60, 40)
    assert usd.balanceOf(people.dave) == before + 60
    signed = permit(usd, people.dave, book, 5)
    told = event(book.postBondWithPermit(site, 5, signed, {"from": people.dave}), "BondPosted")
    assert (told.payer, told.bond) == (people.dave, 45)
    market.owes_what_it_has()


def test_a_locked_bond_stays(market, book, site, lease, people):
    free = book.siteOf(site)["bond"] - book.siteOf(site)["lockedBond"]
    assert book.siteOf(site)["lockedBond"] == 800 * USD
    assert refused(book.withdrawBond, site, free + 1, people.owner, by=people.owner) == bounds(
        "bond", free + 1, 1, free
    )
    book.withdrawBond(site, free, people.owner, {"from": people.owner})
    assert refused(book.withdrawBond, site, 1, people.owner, by=people.owner) == bounds("bond", 1, 1, 0)


def test_refused_bonds(book, site, people, registry):
    bond = book.siteOf(site)["bond"]
    assert refused(book.postBond, site, 0, by=people.owner) == bounds("bond", 0, 1, 2**96 - 1 - bond)
    assert refused(book.postBond, site, 2**96, by=people.owner) == bounds("bond", 2**96, 1, 2**96 - 1 - bond)
    assert refused(book.postBond, 99, 1, by=people.owner) == ("LeaseBook_UnknownSite", 99)
    assert refused(book.postBondWithPermit, 99, 1, NO_PERMIT, by=people.owner) == ("LeaseBook_UnknownSite", 99)
    assert refused(book.withdrawBond, site, 0, people.owner, by=people.owner)[0] == "LeaseBook_OutOfBounds"
    assert refused(book.withdrawBond, site, 1, ZERO, by=people.owner) == ("LeaseBook_ZeroAddress",)
    assert refused(book.withdrawBond, site, 1, book.address, by=people.owner) == ("LeaseBook_SelfTransfer",)
    assert refused(book.withdrawBond, site, 1, people.dave, by=people.dave)[0] == "LeaseBook_NotSiteOwner"
    registry.setFrozen(people.owner, True, {"from": people.officer})
    frozen = ("LeaseBook_AccountFrozen", low(people.owner))
    assert refused(book.withdrawBond, site, 1, people.owner, by=people.owner) == frozen
    assert refused(book.postBond, site, 1, by=people.owner) == frozen


# ------------------------------------------------------------------------------------------------------------- listings


def test_a_listing_is_told_whole(market, book, site, people):
    values = terms(floor=2_000_000, ceiling=4_000_000)
    told = event(book.list(site, values, {"from": people.owner}), "ListingSet")
    assert (told.listingId, told.siteId, told.version) == (book.listingCount(), site, 1)
    assert tuple(told.terms)[:-1] == values[:-1]
    assert tuple(book.termsOf(told.listingId, 1))[:-1] == values[:-1]
    assert bytes(book.termsOf(told.listingId, 1)["model"]) == MODEL
    assert tuple(book.listingOf(told.listingId)) == (site, 1, 0, 0, 0, False)
    assert book.liveListingsOf(site) == (told.listingId,)


@pytest.mark.parametrize(
    ("change", "what", "limits"),
    [
        ({"gpus": 0}, "gpus", (0, 1, 64)),
        ({"gpus": 65}, "gpus", (65, 1, 64)),
        ({"floor": 0}, "floorPrice", (0, 1, 2_500_000)),
        ({"floor": 2_500_001}, "floorPrice", (2_500_001, 1, 2_500_000)),
        ({"max_term": HOUR - 1}, "maxTerm", (HOUR - 1, HOUR, 5 * 365 * DAY)),
        ({"max_term": 5 * 365 * DAY + 1}, "maxTerm", (5 * 365 * DAY + 1, HOUR, 5 * 365 * DAY)),
        ({"min_term": HOUR - 1}, "minTerm", (HOUR - 1, HOUR, 30 * DAY)),
        ({"min_term": 30 * DAY + 1}, "minTerm", (30 * DAY + 1, HOUR, 30 * DAY)),
        ({"notice": 5 * 365 * DAY + 1}, "notice", (5 * 365 * DAY + 1, 0, 5 * 365 * DAY)),
        ({"sla": 10_001}, "slaBps", (10_001, 0, 10_000)),
        ({"penalty": 100_001}, "penaltyBps", (100_001, 0, 100_000)),
        ({"curtailable": 10_001}, "curtailableBps", (10_001, 0, 10_000)),
        ({"watts": 0}, "wattsPerGpu", (0, 1, 65_535)),
        ({"pue": 9_999}, "pueBps", (9_999, 10_000, 65_535)),
        ({"reclaim": 5 * 365 * DAY + 1}, "reclaimWindow", (5 * 365 * DAY + 1, 0, 5 * 365 * DAY)),
        ({"compensation": 10_001}, "compensationBps", (10_001, 0, 10_000)),
        ({"bond_per_gpu": 2**80 // 64}, "bond", (2**80, 0, 2**80 - 1)),
        ({"model": b"\0" * 32}, "model", (0, 1, 2**256 - 1)),
        ({"ceiling": 2**72 - 1, "max_term": 5 * 365 * DAY}, "rent", None),
    ],
)
def test_terms_have_hard_bounds(book, site, people, change, what, limits):
    found = refused(book.list, site, terms(**change), by=people.owner)
    assert found[:2] == bounds(what, 0, 0, 0)[:2]
    if limits is None:
        cost = -(-change["ceiling"] * 64 * change["max_term"] // 3600)
        limits = (cost, 0, 2**88 - 1)
    assert found[2:] == limits


def test_a_window_holds_at_least_the_minimum_term(book, site, people):
    late = terms(start=now() + DAY, until=now() + DAY + HOUR - 1)
    assert refused(book.list, site, late, by=people.owner) == bounds(
        "until", now() + DAY + HOUR - 1, now() + DAY + HOUR, 2**40 - 1
    )
    past = terms(start=1, until=now() + HOUR - 1)
    assert refused(book.list, site, past, by=people.owner) == bounds("until", now() + HOUR - 1, now() + HOUR, 2**40 - 1)


def test_gpu_seconds_fit_the_meter(market, book, people):
    site = market.site(gpus=2_000_000)
    huge = terms(gpus=2_000_000, max_term=5 * 365 * DAY, bond_per_gpu=0)
    seconds = 2_000_000 * 5 * 365 * DAY
    assert refused(book.list, site, huge, by=people.owner) == bounds("gpuSeconds", seconds, 0, 2**48 - 1)


def test_only_the_site_s_valid_owner_lists(book, site, listing, people, registry):
    assert refused(book.list, site, terms(), by=people.other_owner)[0] == "LeaseBook_NotSiteOwner"
    assert refused(book.amend, listing, terms(), by=people.other_owner)[0] == "LeaseBook_NotSiteOwner"
    assert refused(book.withdrawListing, listing, by=people.other_owner)[0] == "LeaseBook_NotSiteOwner"
    assert refused(book.list, 99, terms(), by=people.owner) == ("LeaseBook_UnknownSite", 99)
    assert refused(book.amend, 99, terms(), by=people.owner) == ("LeaseBook_UnknownListing", 99)
    registry.register(people.owner, (now(), 276, SITE_OWNER, 1), {"from": people.officer})
    for function, number in ((book.list, site), (book.amend, listing)):
        assert refused(function, number, terms(), by=people.owner) == ("LeaseBook_NotSiteOwner", low(people.owner))
    book.withdrawListing(listing, {"from": people.owner})


def test_listings_that_overlap_fit_the_site(market, book, people):
    site = market.site()
    start = now()
    market.listing(site, gpus=40, start=start, until=start + 10 * DAY)
    market.listing(site, gpus=24, start=start + 5 * DAY, until=start + 15 * DAY)
    over = terms(gpus=1, start=start + 4 * DAY, until=start + 6 * DAY)
    assert refused(book.list, site, over, by=people.owner) == (
        "LeaseBook_CapacityExceeded",
        start + 5 * DAY,
        65,
        64,
    )
    market.listing(site, gpus=24, start=start + 4 * DAY, until=start + 5 * DAY)
    market.listing(site, gpus=40, start=start + 10 * DAY, until=start + 12 * DAY)
    assert refused(book.list, site, terms(gpus=1, start=start, until=start + 20 * DAY), by=people.owner)[0] == (
        "LeaseBook_CapacityExceeded"
    )


def test_a_site_has_at_most_sixteen_live_listings(market, book, people):
    site = market.site()
    start = now()
    for n in range(16):
        market.listing(site, gpus=1, start=start, until=start + DAY + n)
    assert refused(book.list, site, terms(gpus=1), by=people.owner) == ("LeaseBook_TooManyListings", 17, 16)
    to(start + DAY)
    made = market.listing(site, gpus=1)
    assert len(book.liveListingsOf(site)) == 16, "the one that ended was dropped"
    assert made in book.liveListingsOf(site)
    gone = next(n for n in book.liveListingsOf(site) if n != made)
    book.withdrawListing(gone, {"from": people.owner})
    made = market.listing(site, gpus=1)
    assert gone not in book.liveListingsOf(site)


def test_a_change_is_a_new_version_and_leases_keep_theirs(market, book, listing, lease, people):
    told = event(
        book.amend(listing, terms(floor=9_000_000, ceiling=9_000_000, gpus=8), {"from": people.owner}), "ListingSet"
    )
    assert (told.listingId, told.version) == (listing, 2)
    assert book.listingOf(listing)["version"] == 2
    assert book.termsOf(listing, 1)["floorPrice"] == 2_500_000
    assert (book.leaseOf(lease)["version"], book.leaseOf(lease)["price"]) == (1, 2_500_000)
    stale = market.params(listing, deposit=USD, version=1)
    assert refused(book.open, stale, by=people.tenant) == ("LeaseBook_StaleVersion", 1, 2)


def test_a_change_never_cuts_into_leases(market, book, listing, people):
    start = now()
    lease = market.open(listing, gpus=8, term=DAY)
    assert refused(book.amend, listing, terms(gpus=7), by=people.owner) == ("LeaseBook_BelowLeased", 7, 8)
    cut = terms(until=start + DAY - 1)
    assert refused(book.amend, listing, cut, by=people.owner) == (
        "LeaseBook_WindowCutsLeases",
        start,
        start + DAY - 1,
        start,
        start + DAY,
    )
    late = terms(start=start + 1)
    assert refused(book.amend, listing, late, by=people.owner)[0] == "LeaseBook_WindowCutsLeases"
    book.amend(listing, terms(gpus=8, until=start + DAY), {"from": people.owner})
    assert (book.listingOf(listing)["busyFrom"], book.listingOf(listing)["busyUntil"]) == (start, start + DAY)
    to(start + DAY)
    book.release(lease, {"from": people.stranger})
    assert (book.listingOf(listing)["busyFrom"], book.listingOf(listing)["busyUntil"]) == (0, 0)
    book.amend(listing, terms(gpus=7), {"from": people.owner})


def test_a_withdrawn_listing_counts_what_is_leased_of_it(market, book, people):
    site = market.site()
    start = now()
    listing = market.listing(site, gpus=64)
    lease = market.open(listing, gpus=8, term=DAY)
    event(book.withdrawListing(listing, {"from": people.owner}), "ListingWithdrawn")
    gone = ("LeaseBook_ListingWithdrawn", listing)
    assert refused(book.withdrawListing, listing, by=people.owner) == gone
    assert refused(book.amend, listing, terms(), by=people.owner) == gone
    assert refused(book.quote, listing, 1, HOUR, by=people.tenant) == gone
    assert refused(book.list, site, terms(gpus=57), by=people.owner) == (
        "LeaseBook_CapacityExceeded",
        start,
        65,
        64,
    )
    market.listing(site, gpus=56)
    market.listing(site, gpus=8, start=start + DAY)
    assert market.state(lease) == "Active"


# -------------------------------------------------------------------------------------------------------------- opening


def test_the_worked_price(market, site, people):
    listing = market.listing(site, floor=2 * USD, ceiling=4 * USD, bond_per_gpu=0)
    market.open(listing, gpus=16)
    quote = market.book.quote(listing, 8, DAY)
    assert quote["price"] == 2_625_000


def test_what_is_quoted_is_what_is_charged(market, book, site, people, usd):
    listing = market.listing(site, floor=2_000_001, ceiling=4_000_000)
    market.open(listing, gpus=5)
    quote = book.quote(listing, 8, DAY)
    assert quote["start"] == now()
    assert quote["maxDeposit"] == -(-quote["price"] * 8 * DAY // 3600)
    assert quote["minDeposit"] == quote["price"] * 8
    assert (quote["bond"], quote["bondFree"]) == (800 * USD, book.siteOf(site)["bond"] - 500 * USD)
    assert quote["maxPenalty"] == min(800 * USD, quote["price"] * 9_900 * 8 * DAY * 15_000 // (3600 * 10**8))
    before = usd.balanceOf(people.tenant)
    tx = book.open(market.params(listing, max_price=quote["price"]), {"from": people.tenant})
    told = event(tx, "LeaseOpened")
    assert (told.price, told.deposit, told.start, told.termEnd) == (
        quote["price"],
        quote["maxDeposit"],
        quote["start"],
        quote["termEnd"],
    )
    assert (told.holder, told.payer, told.gpus, told.feeBps, told.leased) == (people.tenant, people.tenant, 8, 100, 13)
    assert told.lockedBond == book.siteOf(site)["lockedBond"] == 1_300 * USD
    assert before - usd.balanceOf(people.tenant) == quote["maxDeposit"]
    assert book.ownerOf(told.leaseId) == people.tenant
    assert refused(book.open, market.params(listing, max_price=quote["price"]), by=people.tenant)[0] == (
        "LeaseBook_PriceAboveMax"
    )


def test_splitting_a_fill_costs_the_same_up_to_a_unit_a_gpu(market, site, people):
    """Each price is rounded up, so n parts cost at most a base unit a GPU-hour more, and never less."""
    price = {"floor": 2_000_003, "ceiling": 4_999_999, "bond_per_gpu": 0}
    whole = market.listing(market.site(), **price)
    at_once = market.book.quote(whole, 60, HOUR)["price"] * 60
    parts = market.listing(market.site(), **price)
    split = 0
    for gpus in (1, 7, 13, 2, 37):
        split += market.book.quote(parts, gpus, HOUR)["price"] * gpus
        market.open(parts, gpus=gpus, term=HOUR)
    assert at_once - 60 <= split <= at_once + 60


def test_a_started_window_is_spot_a_future_one_a_forward(market, book, site, people):
    start = now()
    listing = market.listing(site, start=start + DAY, until=start + 3 * DAY)
    lease = market.open(listing, term=DAY)
    assert (book.leaseOf(lease)["start"], book.endOf(lease)) == (start + DAY, start + 2 * DAY)
    assert market.state(lease) == "Forward"
    to(start + DAY)
    assert market.state(lease) == "Active"
    to(start + 2 * DAY)
    assert market.state(lease) == "Ended"
    assert market.state(999) == "None"
    late = market.params(listing, gpus=1, term=DAY + 1, deposit=3 * USD)
    assert refused(book.open, late, by=people.tenant) == bounds("termEnd", start + 3 * DAY + 1, 0, start + 3 * DAY)


def test_gpus_are_sold_once(market, book, listing, people):
    market.open(listing, gpus=60)
    for gpus in (5, 0, TOP_UINT24):
        assert refused(book.quote, listing, gpus, HOUR, by=people.tenant) == ("LeaseBook_NotEnoughGpus", gpus, 4)
    lease = market.open(listing, gpus=4, term=HOUR)
    forward(HOUR - 1)
    assert refused(book.release, lease, by=people.stranger) == ("LeaseBook_NotEnded", lease, now() + 1)
    forward(1)
    told = event(book.release(lease, {"from": people.stranger}), "LeaseReleased")
    assert (told.leaseId, told.listingId, told.leased) == (lease, listing, 60)
    assert refused(book.release, lease, by=people.stranger) == ("LeaseBook_AlreadyReleased", lease)
    assert refused(book.release, 999, by=people.stranger) == ("LeaseBook_UnknownLease", 999)
    market.open(listing, gpus=4)


def test_refused_openings(market, book, site, listing, people, registry, usd):
    quote = book.quote(listing, 8, DAY)

    def says(by=people.tenant, **changes):
        return refused(book.open, market.params(listing, **changes), by=by)

    assert says(deadline=now() - 1) == ("LeaseBook_Expired", now() - 1, now())
    assert says(term=HOUR - 1, deposit=USD) == bounds("term", HOUR - 1, HOUR, 30 * DAY)
    assert says(term=30 * DAY + 1, deposit=USD) == bounds("term", 30 * DAY + 1, HOUR, 30 * DAY)
    deposit = ("LeaseBook_DepositOutOfBounds", quote["minDeposit"] - 1, quote["minDeposit"], quote["maxDeposit"])
    assert says(deposit=quote["minDeposit"] - 1) == deposit
    assert says(deposit=quote["maxDeposit"] + 1)[0] == "LeaseBook_DepositOutOfBounds"
    assert says(max_price=2_499_999) == ("LeaseBook_PriceAboveMax", 2_500_000, 2_499_999)
    unknown = (99, 1, 8, DAY, USD, 2**72 - 1, people.tenant, now())
    assert refused(book.open, unknown, by=people.tenant) == ("LeaseBook_UnknownListing", 99)
    assert refused(book.openWithPermit, unknown, NO_PERMIT, by=people.tenant) == ("LeaseBook_UnknownListing", 99)
    assert says(by=people.owner) == ("LeaseBook_OwnerParty", low(people.owner))
    assert says(holder=people.owner) == ("LeaseBook_OwnerParty", low(people.owner))
    registry.register(people.carol, (now() + DAY, 276, 0, 1), {"from": people.officer})
    assert says(by=people.carol) == ("LeaseBook_OwnerParty", low(people.carol))
    assert says(holder=people.carol) == ("LeaseBook_OwnerParty", low(people.carol))
    assert says(holder=ZERO) == ("ERC721InvalidReceiver", ZERO)
    free = quote["bondFree"]
    book.withdrawBond(site, free - 800 * USD + 1, people.owner, {"from": people.owner})
    assert says() == ("LeaseBook_NotEnoughBond", 800 * USD, 800 * USD - 1)
    book.postBond(site, USD, {"from": people.owner})
    registry.setFrozen(people.tenant, True, {"from": people.officer})
    assert says() == ("LeaseBook_AccountFrozen", low(people.tenant))
    assert says(by=people.buyer) == ("LeaseBook_AccountFrozen", low(people.tenant))
    registry.setFrozen(people.tenant, False, {"from": people.officer})
    book.setTokenAllowed(usd, False, {"from": people.policy})
    assert says() == ("LeaseBook_TokenNotAllowed", low(usd.address))
    book.setTokenAllowed(usd, True, {"from": people.policy})
    registry.register(people.owner, (now(), 276, SITE_OWNER, 1), {"from": people.officer})
    assert says() == ("LeaseBook_NotSiteOwner", low(people.owner))


def test_opening_for_another_and_with_a_permit(market, book, listing, people, usd):
    params = market.params(listing, holder=people.alice)
    signed = permit(usd, people.dave, book, 480 * USD)
    told = event(book.openWithPermit(params, signed, {"from": people.dave}), "LeaseOpened")
    assert (told.payer, told.holder) == (people.dave, people.alice)
    replay = ("Error", "ERC20: transfer amount exceeds allowance")
    assert refused(book.openWithPermit, params, signed, by=people.dave) == replay
    usd.approve(book, 480 * USD, {"from": people.dave})
    book.openWithPermit(params, signed, {"from": people.dave})
    usd.approve(book, 480 * USD, {"from": people.dave})
    book.openWithPermit(params, NO_PERMIT, {"from": people.dave})


def test_a_token_that_takes_a_fee_or_calls_back(market, book, FeeToken, CallingToken, people):
    for container, error in ((FeeToken, "LeaseBook_TransferFee"), (CallingToken, "ReentrancyGuardReentrantCall")):
        odd = container.deploy({"from": people.admin})
        book.setTokenAllowed(odd, True, {"from": people.policy})
        odd.mint(people.owner, 1_000, {"from": people.admin})
        site = book.registerSite(odd, 8, REGION, "", {"from": people.owner}).return_value
        if container is CallingToken:
            odd.callBack(book, book.postBond.encode_input(site, 1), {"from": people.admin})
        assert refused(book.postBond, site, 1_000, by=people.owner)[0] == error


def test_every_way_out_is_guarded(market, book, CallingToken, people):
    """The token calls back into each function that moves money while another runs."""
    odd = CallingToken.deploy({"from": people.admin})
    book.setTokenAllowed(odd, True, {"from": people.policy})
    for person in (people.owner, people.tenant):
        odd.mint(person, 10**12, {"from": people.admin})
    site = book.registerSite(odd, 64, REGION, "", {"from": people.owner}).return_value
    book.postBond(site, 10**10, {"from": people.owner})
    lease = market.open(market.listing(site), deposit=100 * USD)
    params = market.params(book.leaseOf(lease)["listingId"], deposit=100 * USD)
    report_all(market, lease)
    for data in (
        book.settle.encode_input(lease),
        book.collect.encode_input(lease, people.tenant),
        book.withdrawCredit.encode_input(odd, people.owner),
        book.pushShares.encode_input(site),
        book.withdrawFees.encode_input(odd, people.owner),
        book.issue.encode_input(site, 1, SHARE, "", ""),
        book.open.encode_input(params),
        book.openWithPermit.encode_input(params, NO_PERMIT),
        book.fund.encode_input(lease, 1),
        book.fundWithPermit.encode_input(lease, 1, NO_PERMIT),
        book.withdrawBond.encode_input(site, 1, people.owner),
        book.postBondWithPermit.encode_input(site, 1, NO_PERMIT),
    ):
        odd.callBack(book, data, {"from": people.admin})
        found = refused(book.withdrawBond, site, 1, people.owner, by=people.owner)
        # `restricted` comes before the guard: the token has no role
        assert found[0] in ("ReentrancyGuardReentrantCall", "AccessManagedUnauthorized"), data[:10]


# -------------------------------------------------------------------------------------------------------------- funding


def test_funding_buys_time_up_to_the_term(market, book, listing, people, usd):
    start = now()
    lease = market.open(listing, deposit=100 * USD)
    assert book.endOf(lease) == start + 5 * HOUR
    told = event(book.fund(lease, 20 * USD, {"from": people.buyer}), "LeaseFunded")
    assert (told.payer, told.amount, told.deposited, told.end) == (people.buyer, 20 * USD, 120 * USD, start + 6 * HOUR)
    assert refused(book.fund, lease, 360 * USD + 1, by=people.buyer) == (
        "LeaseBook_DepositOutOfBounds",
        360 * USD + 1,
        1,
        360 * USD,
    )
    assert refused(book.fund, lease, 0, by=people.buyer)[0] == "LeaseBook_DepositOutOfBounds"
    signed = permit(usd, people.dave, book, 360 * USD)
    told = event(book.fundWithPermit(lease, 360 * USD, signed, {"from": people.dave}), "LeaseFunded")
    assert told.end == start + DAY
    assert refused(book.fund, 999, 1, by=people.buyer) == ("LeaseBook_UnknownLease", 999)
    assert refused(book.fundWithPermit, 999, 1, NO_PERMIT, by=people.buyer) == ("LeaseBook_UnknownLease", 999)


def test_odd_deposits_buy_whole_seconds_rounded_down(market, book, listing):
    start = now()
    lease = market.open(listing, deposit=100 * USD + 1)
    assert book.endOf(lease) == start + (100 * USD + 1) * 3600 // (8 * 2_500_000)


def test_a_dry_a_closing_and_a_frozen_one_s_lease_is_not_funded(market, book, listing, people, registry):
    lease = market.open(listing, deposit=20 * USD)
    closing = market.open(listing, deposit=200 * USD)
    book.close(closing, 1, {"from": people.tenant})
    end = book.endOf(closing)
    assert refused(book.fund, closing, 1, by=people.buyer) == ("LeaseBook_AlreadyClosing", closing, end)
    registry.setFrozen(people.buyer, True, {"from": people.officer})
    assert refused(book.fund, lease, 1, by=people.buyer) == ("LeaseBook_AccountFrozen", low(people.buyer))
    forward(HOUR)
    assert refused(book.fund, lease, 1, by=people.dave) == ("LeaseBook_Ended", lease, now())


def test_a_lease_that_ran_dry_is_told_so(market, book, listing, people):
    lease = market.open(listing, deposit=20 * USD)
    report_all(market, lease)
    tx = book.settle(lease, {"from": people.stranger})
    assert event(tx, "LeaseFinalised").code == 20_001
    assert book.leaseOf(lease)["code"] == 20_001
    assert market.state(lease) == "Final"
    # all was rent: nothing is left to collect, and the token is gone
    assert event(tx, "LeaseSettled").rentTotal == 20 * USD
    assert refused(book.ownerOf, lease, by=people.tenant) == ("ERC721NonexistentToken", lease)
    assert refused(book.collect, lease, people.tenant, by=people.tenant) == ("ERC721NonexistentToken", lease)
    assert refused(book.settle, lease, by=people.tenant)[0] == "LeaseBook_NothingToSettle"


# -------------------------------------------------------------------------------------------------- closing, reclaiming


def test_a_tenant_closes_with_notice(market, book, listing, people):
    start = now()
    lease = market.open(listing, deposit=200 * USD)
    to(start + 4 * HOUR)
    told = event(book.close(lease, 9_999, {"from": people.tenant}), "LeaseClosing")
    assert (told.by, told.code, told.end) == (people.tenant, 9_999, start + 5 * HOUR)
    assert (market.state(lease), book.endOf(lease)) == ("Closing", start + 5 * HOUR)
    assert refused(book.close, lease, 1, by=people.tenant) == ("LeaseBook_AlreadyClosing", lease, start + 5 * HOUR)
    to(start + 5 * HOUR)
    assert market.state(lease) == "Ended"
    assert refused(book.close, lease, 1, by=people.tenant) == ("LeaseBook_Ended", lease, start + 5 * HOUR)


def test_closing_respects_the_minimum_term(market, book, site, people):
    listing = market.listing(site, min_term=10 * HOUR, notice=HOUR)
    start = now()
    lease = market.open(listing)
    book.close(lease, 1, {"from": people.tenant})
    assert book.endOf(lease) == start + 10 * HOUR


def test_refused_closings(market, book, listing, lease, people):
    for code in (0, 10_000, 20_000):
        assert refused(book.close, lease, code, by=people.tenant) == ("LeaseBook_CodeOutOfRange", code, 1, 9_999)
    for person in (people.owner, people.stranger):
        assert refused(book.close, lease, 1, by=person) == ("LeaseBook_NotHolder", low(person), lease)
    assert refused(book.close, 999, 1, by=people.tenant) == ("LeaseBook_UnknownLease", 999)
    end = book.endOf(lease)
    to(end - HOUR)
    assert refused(book.close, lease, 1, by=people.tenant) == ("LeaseBook_NotEarlier", end, end)


def test_the_holder_or_whom_he_approved_closes(market, book, listing, people):
    first, second = (market.open(listing) for _ in range(2))
    book.approve(people.dave, first, {"from": people.tenant})
    book.close(first, 5, {"from": people.dave})
    book.setApprovalForAll(people.carol, True, {"from": people.tenant})
    book.close(second, 5, {"from": people.carol})


def test_an_owner_reclaims_for_a_compensation(market, book, site, listing, people):
    start = now()
    lease = market.open(listing)
    bond = book.siteOf(site)["bond"]
    to(start + 4 * HOUR)
    told = event(book.reclaim(lease, 10_000, {"from": people.owner}), "LeaseReclaimed")
    # 18 of 24 hours taken back after a window of two: 8 GPUs x 2.50 x 18 h x 20 %
    assert (told.by, told.code, told.end, told.compensation) == (people.owner, 10_000, start + 6 * HOUR, 72 * USD)
    assert (told.bond, told.lockedBond) == (bond - 72 * USD, 728 * USD)
    assert market.state(lease) == "Reclaiming"
    assert book.leaseOf(lease)["compensation"] == 72 * USD
    assert book.collectable(lease) == 18 * 20 * USD + 72 * USD, "refund and compensation can be collected at once"
    event(book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected")
    assert refused(book.reclaim, lease, 10_000, by=people.owner)[0] == "LeaseBook_AlreadyClosing"
    told = event(book.close(lease, 3, {"from": people.tenant}), "LeaseClosing")
    assert told.end == now() == book.endOf(lease), "the tenant may leave at once"
    report_all(market, lease, share_of_full=0)
    tx = book.settle(lease, {"from": people.stranger})
    # 4 h x 8 GPUs x 99 % short at 2.50 x 1.5; bounded by what compensation left of the lock
    assert event(tx, "LeaseFinalised").penalty == 118_800_000
    assert event(tx, "LeaseFinalised").lockedBond == 0
    assert event(book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected").amount == (
        120 * USD + 118_800_000
    )
    market.owes_what_it_has()


def test_compensation_and_penalty_together_take_at_most_the_lock(market, book, site, people):
    listing = market.listing(site, bond_per_gpu=10 * USD)
    lease = market.open(listing)
    forward(HOUR)
    told = event(book.reclaim(lease, 19_999, {"from": people.owner}), "LeaseReclaimed")
    assert told.compensation == 80 * USD
    report_all(market, lease, share_of_full=0)
    assert event(book.settle(lease, {"from": people.stranger}), "LeaseFinalised").penalty == 0


def test_refused_reclaims(market, book, listing, lease, people, registry):
    for code in (1, 9_999, 20_000):
        assert refused(book.reclaim, lease, code, by=people.owner) == (
            "LeaseBook_CodeOutOfRange",
            code,
            10_000,
            19_999,
        )
    assert refused(book.reclaim, lease, 10_000, by=people.tenant) == ("LeaseBook_NotSiteOwner", low(people.tenant))
    assert refused(book.reclaim, 999, 10_000, by=people.owner) == ("LeaseBook_UnknownLease", 999)
    registry.setFrozen(people.owner, True, {"from": people.officer})
    assert refused(book.reclaim, lease, 10_000, by=people.owner) == ("LeaseBook_AccountFrozen", low(people.owner))
    registry.setFrozen(people.owner, False, {"from": people.officer})
    end = book.endOf(lease)
    to(end - 2 * HOUR)
    assert refused(book.reclaim, lease, 10_000, by=people.owner) == ("LeaseBook_NotEarlier", end, end)
    to(end)
    assert refused(book.reclaim, lease, 10_000, by=people.owner) == ("LeaseBook_Ended", lease, end)


def test_an_owner_may_reclaim_what_the_tenant_is_closing(market, book, site, people):
    listing = market.listing(site, notice=10 * HOUR)
    start = now()
    lease = market.open(listing)
    book.close(lease, 1, {"from": people.tenant})
    told = event(book.reclaim(lease, 10_000, {"from": people.owner}), "LeaseReclaimed")
    assert (told.end, told.compensation) == (start + 2 * HOUR, 8 * 20 * USD * 2_000 // 10_000)


def test_a_forward_reclaimed_before_its_start_never_runs(market, book, site, people):
    start = now()
    listing = market.listing(site, start=start + DAY, until=start + 3 * DAY)
    lease = market.open(listing, term=DAY)
    told = event(book.reclaim(lease, 10_000, {"from": people.owner}), "LeaseReclaimed")
    assert (told.end, told.compensation) == (start + DAY, 96 * USD)
    assert market.state(lease) == "Ended"
    tx = book.settle(lease, {"from": people.stranger})
    assert event(tx, "LeaseFinalised").penalty == 0
    assert event(book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected").amount == 576 * USD
    book.release(lease, {"from": people.stranger})


# ------------------------------------------------------------------------------------------------------ the lease token


def test_a_lease_is_sold_with_all_it_will_pay(market, book, lease, people):
    book.transferFrom(people.tenant, people.buyer, lease, {"from": people.tenant})
    report_all(market, lease, share_of_full=5_000)
    market.settle(lease)
    due = book.collectable(lease)
    assert refused(book.collect, lease, people.tenant, by=people.tenant)[0] == "LeaseBook_NotHolder"
    assert event(book.collect(lease, people.dave, {"from": people.buyer}), "LeaseCollected").amount == due
    assert refused(book.ownerOf, lease, by=people.buyer) == ("ERC721NonexistentToken", lease), "burnt when all is paid"


def test_lease_tokens_of_the_frozen_stay(market, book, lease, people, registry):
    registry.setFrozen(people.buyer, True, {"from": people.officer})
    assert refused(book.transferFrom, people.tenant, people.buyer, lease, by=people.tenant) == (
        "LeaseBook_AccountFrozen",
        low(people.buyer),
    )
    registry.setFrozen(people.tenant, True, {"from": people.officer})
    frozen = ("LeaseBook_AccountFrozen", low(people.tenant))
    assert refused(book.transferFrom, people.tenant, people.dave, lease, by=people.tenant) == frozen
    report_all(market, lease, share_of_full=5_000)
    market.settle(lease)
    assert refused(book.collect, lease, people.dave, by=people.tenant) == frozen
    registry.setFrozen(people.tenant, False, {"from": people.officer})
    book.approve(people.carol, lease, {"from": people.tenant})
    event(book.collect(lease, people.carol, {"from": people.carol}), "LeaseCollected")


def test_tokens_of_others_stay_where_they_are(book, lease, people):
    assert refused(book.transferFrom, people.tenant, people.dave, lease, by=people.dave) == (
        "ERC721InsufficientApproval",
        low(people.dave),
        lease,
    )
    assert refused(book.transferFrom, people.buyer, people.dave, lease, by=people.tenant)[0] == "ERC721IncorrectOwner"
    assert refused(book.transferFrom, people.tenant, ZERO, lease, by=people.tenant) == ("ERC721InvalidReceiver", ZERO)
    assert refused(book.approve, people.dave, lease, by=people.dave) == ("ERC721InvalidApprover", low(people.dave))
    assert refused(book.setApprovalForAll, ZERO, True, by=people.tenant) == ("ERC721InvalidOperator", ZERO)
    assert refused(book.balanceOf, ZERO, by=people.tenant) == ("ERC721InvalidOwner", ZERO)
    safe = next(f for f in book.safeTransferFrom.methods.values() if len(f.abi["inputs"]) == 3)
    assert refused(safe, people.tenant, book.address, lease, by=people.tenant) == (
        "ERC721InvalidReceiver",
        low(book.address),
    )
    assert (book.name(), book.symbol()) == ("Drakewell Lease", "DWL")


def test_collecting_to_nowhere(market, book, lease, people):
    assert refused(book.collect, lease, ZERO, by=people.tenant) == ("LeaseBook_ZeroAddress",)
    assert refused(book.collect, lease, book.address, by=people.tenant) == ("LeaseBook_SelfTransfer",)
    assert refused(book.collect, 999, people.tenant, by=people.tenant) == ("LeaseBook_UnknownLease", 999)


def test_a_blocklisted_holder_collects_to_another_address_and_stops_nobody(market, book, listing, people, usd):
    blocked, other = market.open(listing), market.open(listing, holder=people.buyer)
    forward(0)
    usd.blacklist(people.tenant, {"from": people.admin})
    report_all(market, blocked, 5_000)
    market.record(
        book.leaseOf(other)["siteId"], entry(other, book.leaseOf(other)["start"] // HOUR + 20, now() // HOUR - 6, 0)
    )
    tx = book.settleMany([blocked, other], {"from": people.stranger})
    assert [e.leaseId for e in events(tx, "LeaseSettled")] == [blocked, other]
    assert refused(book.collect, blocked, people.tenant, by=people.tenant)[0] == "Error"
    event(book.collect(blocked, people.dave, {"from": people.tenant}), "LeaseCollected")


# ---------------------------------------------------------------------------------------------------- credits and fees


def test_credits_are_drawn_by_whom_they_belong_to(market, book, lease, people, usd, registry):
    report_all(market, lease)
    part = market.settle(lease).ownerPart
    assert book.creditOf(usd, people.owner) == part
    assert refused(book.withdrawCredit, usd, people.dave, by=people.dave) == (
        "LeaseBook_NothingToWithdraw",
        low(usd.address),
        low(people.dave),
    )
    assert refused(book.withdrawCredit, usd, ZERO, by=people.owner) == ("LeaseBook_ZeroAddress",)
    assert refused(book.withdrawCredit, usd, book.address, by=people.owner) == ("LeaseBook_SelfTransfer",)
    registry.setFrozen(people.owner, True, {"from": people.officer})
    frozen = ("LeaseBook_AccountFrozen", low(people.owner))
    assert refused(book.withdrawCredit, usd, people.owner, by=people.owner) == frozen
    registry.setFrozen(people.owner, False, {"from": people.officer})
    told = event(book.withdrawCredit(usd, people.dave, {"from": people.owner}), "CreditWithdrawn")
    assert (told.token, told.account, told.to, told.amount) == (usd, people.owner, people.dave, part)
    assert book.creditOf(usd, people.owner) == 0
    market.owes_what_it_has()


def test_fees_are_the_policy_s(market, book, lease, people, usd):
    report_all(market, lease)
    fee = market.settle(lease).fee
    assert book.feesOf(usd) == fee == 4_800_000
    told = event(book.withdrawFees(usd, people.dave, {"from": people.policy}), "FeesWithdrawn")
    assert (told.token, told.to, told.amount) == (usd, people.dave, fee)
    assert refused(book.withdrawFees, usd, people.dave, by=people.policy) == (
        "LeaseBook_NothingToWithdraw",
        low(usd.address),
        low(people.policy),
    )
    assert refused(book.withdrawFees, usd, ZERO, by=people.policy) == ("LeaseBook_ZeroAddress",)
    assert refused(book.withdrawFees, usd, book.address, by=people.policy) == ("LeaseBook_SelfTransfer",)
    market.owes_what_it_has()


def test_a_lease_keeps_the_fee_it_opened_with(market, book, lease, listing, people):
    assert event(book.setFee(1_000, {"from": people.policy}), "FeeSet").feeBps == 1_000
    later = market.open(listing)
    assert (book.leaseOf(lease)["feeBps"], book.leaseOf(later)["feeBps"]) == (100, 1_000)
    assert refused(book.setFee, 1_001, by=people.policy) == bounds("feeBps", 1_001, 0, 1_000)


# ------------------------------------------------------------------------------------------------- a clone that refuses


def test_a_clone_that_refuses_its_cash_stops_nobody(market, book, site, listing, people, usd):
    share = market.share(site)
    first, second = (market.open(listing) for _ in range(2))
    usd.blacklist(share, {"from": people.admin})
    report_all(market, first)
    before = book.totalOwed(usd)
    tx = book.settle(first, {"from": people.stranger})
    told = event(tx, "SharesDeferred")
    parts = event(tx, "LeaseSettled")
    assert (told.siteId, told.leaseId, told.amount, told.pending) == (site, first, parts.shares, parts.shares)
    assert book.pendingSharesOf(site) == parts.shares
    assert book.totalOwed(usd) == before, "deferred is still owed"
    assert usd.balanceOf(book) == book.totalOwed(usd)
    assert refused(book.pushShares, site, by=people.stranger) == ("Error", "Blacklistable: account is blacklisted")
    usd.unBlacklist(share, {"from": people.admin})
    tx = book.pushShares(site, {"from": people.stranger})
    assert event(tx, "SharesPushed").amount == parts.shares
    paid = event(tx, "Distributed")
    assert (paid.source, paid.ref, paid.amount, paid.payer) == (0, 0, parts.shares, book)
    assert refused(book.pushShares, site, by=people.stranger) == ("LeaseBook_NothingPending", site)
    assert refused(book.pushShares, 99, by=people.stranger) == ("LeaseBook_UnknownSite", 99)
    market.owes_what_it_has()
    data = book.leaseOf(second)
    market.record(site, entry(second, data["start"] // HOUR + 20, data["start"] // HOUR + 24, 28_800))
    forward(WINDOW)
    assert event(book.settle(second, {"from": people.stranger}), "Distributed").ref == second


def test_deferred_parts_add_up(market, book, site, listing, people, usd):
    usd.blacklist(market.share(site), {"from": people.admin})
    start = now()
    lease = market.open(listing)
    parts = []
    for n in range(2):
        to(start + (n + 1) * 10 * HOUR)
        market.record(site, entry(lease, start // HOUR + 10 * n, start // HOUR + 10 * (n + 1), 100_000))
        forward(WINDOW)
        tx = book.settle(lease, {"from": people.stranger})
        parts.append(event(tx, "LeaseSettled").shares)
        assert event(tx, "SharesDeferred").pending == sum(parts)


def test_the_inner_call_cannot_be_starved_of_gas(market, book, site, lease, people):
    """With any gas limit a settlement pays the holders, or fails as a whole."""
    report_all(market, lease)
    snapshot = rpc("evm_snapshot")
    met = set()
    for gas in (120_000, 200_000, 300_000, 340_000, 380_000, 420_000, 500_000):
        data = book.settle.encode_input(lease)
        sent = {"from": people.stranger.address, "to": book.address, "data": data, "gas": hex(gas)}
        receipt = receipt_of(rpc("eth_sendTransaction", sent))
        topics = {entry["topics"][0] for entry in receipt["logs"]}
        met.add(int(receipt["status"], 16))
        if int(receipt["status"], 16):
            assert book.topics["SharesDeferred"] not in topics
        rpc("evm_revert", snapshot)
        snapshot = rpc("evm_snapshot")
    assert met == {0, 1}
    assert refused(book.settle, lease, by=people.stranger, gas=300_000)[0] == "LeaseBook_GasTooLow"
    found = refused(book.settleMany, [lease], by=people.stranger, gas=400_000)
    assert (found[0], found[2]) == ("LeaseBook_GasTooLow", 500_000)


# ----------------------------------------------------------------------------------------------------- policy and pause


def test_the_pause_stops_entries_only(market, book, site, listing, lease, people, usd):
    other_site = market.site()
    params = market.params(listing)
    assert event(book.setEntriesPaused(True, {"from": people.guardian}), "EntriesPaused").paused
    paused = ("LeaseBook_EntriesPaused",)
    assert refused(book.registerSite, usd, 1, REGION, "", by=people.owner) == paused
    assert refused(book.list, site, terms(), by=people.owner) == paused
    assert refused(book.amend, listing, terms(), by=people.owner) == paused
    assert refused(book.issue, other_site, 1, SHARE, "", "", by=people.owner) == paused
    assert refused(book.open, params, by=people.tenant) == paused
    assert refused(book.openWithPermit, params, NO_PERMIT, by=people.tenant) == paused
    funded = market.book.leaseOf(lease)["deposited"]
    assert funded == 480 * USD
    book.postBond(site, 1, {"from": people.owner})
    book.withdrawBond(site, 1, people.owner, {"from": people.owner})
    book.offerSite(site, people.other_owner, {"from": people.owner})
    book.acceptSite(site, {"from": people.other_owner})
    book.withdrawListing(listing, {"from": people.other_owner})
    book.close(lease, 1, {"from": people.tenant})
    report_all(market, lease)
    market.settle(lease)
    book.release(lease, {"from": people.stranger})
    book.collect(lease, people.tenant, {"from": people.tenant})
    book.withdrawCredit(usd, people.other_owner, {"from": people.other_owner})
    book.withdrawFees(usd, people.dave, {"from": people.policy})
    share = market.share(site)
    share.transfer(people.alice, 1, {"from": people.owner})
    forward(DAY)
    share.claim(people.owner, {"from": people.owner})
    assert not event(book.setEntriesPaused(False, {"from": people.guardian}), "EntriesPaused").paused
    assert not book.entriesPaused()


def test_funding_goes_on_while_paused(market, book, listing, people):
    lease = market.open(listing, deposit=100 * USD)
    book.setEntriesPaused(True, {"from": people.guardian})
    event(book.fund(lease, USD, {"from": people.buyer}), "LeaseFunded")


def test_roles(book, people, usd):
    calls = [
        (book.setFee, (0,)),
        (book.setTokenAllowed, (usd, False)),
        (book.setEntriesPaused, (True,)),
        (book.withdrawFees, (usd, people.dave)),
    ]
    for function, args in calls:
        wrong = people.policy if function is book.setEntriesPaused else people.guardian
        for person in (wrong, people.owner, people.stranger):
            assert refused(function, *args, by=person) == ("AccessManagedUnauthorized", low(person))


def test_tokens_are_allowed_one_by_one(book, people, usd):
    told = event(book.setTokenAllowed(usd, False, {"from": people.policy}), "TokenAllowed")
    assert (told.token, told.allowed, book.isTokenAllowed(usd)) == (usd, False, False)
    assert refused(book.setTokenAllowed, ZERO, True, by=people.policy) == ("LeaseBook_ZeroAddress",)


def test_the_constructor_s_arguments(LeaseBook, market, people):
    good = [market.manager.address, market.registry.address, market.meter.address, 100]
    for place in (1, 2):
        args = [*good]
        args[place] = ZERO
        assert refused_deployment(LeaseBook, *args, by=people.admin) == ("LeaseBook_ZeroAddress",)
    assert refused_deployment(LeaseBook, *good[:3], 1_001, by=people.admin) == bounds("feeBps", 1_001, 0, 1_000)
    assert (market.book.registry(), market.book.meter()) == (market.registry, market.meter)


def test_a_token_no_longer_allowed_takes_no_new_leases_but_pays_out(market, book, lease, people, usd):
    book.setTokenAllowed(usd, False, {"from": people.policy})
    report_all(market, lease, 5_000)
    market.settle(lease)
    event(book.collect(lease, people.tenant, {"from": people.tenant}), "LeaseCollected")
    event(book.withdrawCredit(usd, people.owner, {"from": people.owner}), "CreditWithdrawn")


# ------------------------------------------------------------------------------------------------------- shares as held


def test_the_enforcer_acts_on_every_clone_through_the_book(market, site, people):
    share = market.share(site)
    share.transfer(people.alice, 100, {"from": people.owner})
    share.setFrozenTokens(people.alice, 60, {"from": people.enforcer})
    assert refused(share.transfer, people.bob, 41, by=people.alice)[0] == "ERC7943InsufficientUnfrozenBalance"
    event(share.forcedTransfer(people.alice, people.bob, 100, {"from": people.enforcer}), "ForcedTransfer")


def test_a_custodian_may_hold_shares_and_claims_for_itself(market, site, lease, people, registry):
    registry.register(people.carol, (now() + 9 * DAY, 0, CUSTODIAN, 0), {"from": people.officer})
    share = market.share(site)
    share.transfer(people.carol, 500_000 * SHARE, {"from": people.owner})
    report_all(market, lease)
    paid = market.settle(lease).shares
    forward(DAY)
    assert refused(share.claimFor, people.carol, by=people.stranger)[0] == "CapacityShare_Custodian"
    assert event(share.claim(people.dave, {"from": people.carol}), "Claimed").amount == paid // 2
