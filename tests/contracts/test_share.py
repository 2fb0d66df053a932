"""CapacityShare: revenue streams in, each keeps what he earned, and the registry decides who holds.

The LeaseBook is an ordinary account here; the real one is tested with the leases.
"""

import pytest
from kit import (
    CUSTODIAN,
    DAY,
    DEMAND_RESPONSE,
    HOUR,
    INVESTOR,
    LEASE,
    MINING,
    NO_PERMIT,
    OTHER,
    SHARE,
    USD,
    ZERO,
    clone_with_args,
    event,
    events,
    forward,
    low,
    now,
    permit,
    refused,
    to,
)

SUPPLY = 1_000_000 * SHARE
SCALE = 10**36


@pytest.fixture(scope="module")
def implementation(CapacityShare, registry, manager, people):
    return CapacityShare.deploy(registry, people.book, manager, {"from": people.admin})


@pytest.fixture(scope="module")
def make(implementation, people):
    """Make and initialise a clone, as the LeaseBook does."""

    def clone(token, supply=SUPPLY, initialise=True):
        made = clone_with_args(
            implementation.address,
            implementation.abi,
            people.admin,
            ["address", "uint256", "uint256"],
            [str(token), supply, 3],
        )
        if initialise:
            made.initialise(people.owner, "Hall 3", "HALL3", {"from": people.book})
        return made

    return clone


@pytest.fixture(scope="module")
def share(make, usd, manager, people):
    """The owner has the whole supply; everybody has approved the clone; the enforcer acts on the book's address."""
    made = make(usd)
    for person in (people.book, people.stranger, people.owner):
        usd.approve(made, 2**255, {"from": person})
    selectors = [s for s, name in made.selectors.items() if name in ("forcedTransfer", "setFrozenTokens")]
    manager.grantRole(5, people.enforcer, 0, {"from": people.admin})
    manager.setTargetFunctionRole(people.book, selectors, 5, {"from": people.admin})
    return made


@pytest.fixture
def pay(share, people):
    """Pay revenue in as a stranger."""
    return lambda amount, source=MINING, ref=0: share.distribute(amount, source, ref, {"from": people.stranger})


@pytest.fixture
def held(share, people):
    """The owner keeps 60 %; alice has 30 % and bob 10 %."""
    share.transfer(people.alice, SUPPLY * 3 // 10, {"from": people.owner})
    share.transfer(people.bob, SUPPLY // 10, {"from": people.owner})
    return share


# --------------------------------------------------------------------------------------------------------- the offering


def test_an_offering_begins_with_its_owner_holding_all(share, usd, registry, people):
    assert share.balanceOf(people.owner) == share.totalSupply() == SUPPLY
    assert (share.name(), share.symbol(), share.decimals()) == ("Hall 3", "HALL3", 18)
    assert (share.siteId(), share.settlementToken(), share.leaseBook()) == (3, usd, people.book)
    assert tuple(share.stream()) == (0, 0, 0, 0)
    assert share.totalOwed(usd) == 0
    assert share.eip712Domain()[1] == "Drakewell CapacityShare"
    assert share.eip712Domain()[4] == share.address


def test_interfaces_are_told(share):
    assert [share.supportsInterface(i) for i in ("0x01ffc9a7", "0x36372b07", "0x3edbb4c4", "0xffffffff")] == [
        True,
        True,
        True,
        False,
    ]


def test_initialised_once_and_only_by_the_book(share, make, usd, implementation, people):
    already = ("CapacityShare_AlreadyInitialised",)
    assert refused(share.initialise, people.owner, "", "", by=people.book) == already
    assert refused(implementation.initialise, people.owner, "", "", by=people.book) == already
    fresh = make(usd, initialise=False)
    assert refused(fresh.initialise, people.owner, "", "", by=people.stranger) == (
        "CapacityShare_OnlyLeaseBook",
        low(people.stranger),
    )
    assert refused(fresh.initialise, people.stranger, "", "", by=people.book) == (
        "ERC7943CannotReceive",
        low(people.stranger),
    )


@pytest.mark.parametrize("supply", [10**18 - 1, 10**30 + 1])
def test_supply_is_bounded(make, usd, people, supply):
    made = make(usd, supply, initialise=False)
    error = ("CapacityShare_SupplyOutOfBounds", supply, 10**18, 10**30)
    assert refused(made.initialise, people.owner, "", "", by=people.book) == error


# ------------------------------------------------------------------------------------------------------------ streaming


def test_revenue_streams_in_over_a_day(share, usd, people, pay):
    start = now()
    told = event(pay(864 * USD, MINING, 42), "Distributed")
    assert (told.payer, told.source, told.ref, told.amount) == (people.stranger, MINING, 42, 864 * USD)
    assert (told.index, told.indexEnd) == (0, 864 * USD * SCALE // SUPPLY)
    assert (told.streamStart, told.streamEnd, told.owed) == (start, start + DAY, 864 * USD)
    assert tuple(share.stream()) == (told.index, told.indexEnd, told.streamStart, told.streamEnd)
    assert share.claimableDown(people.owner) == 0
    forward(1000)
    assert share.claimableDown(people.owner) == 10 * USD
    to(start + DAY)
    assert share.claimableDown(people.owner) == 864 * USD
    forward(DAY)
    assert share.claimableDown(people.owner) == 864 * USD
    assert share.currentIndex() == told.indexEnd
    assert usd.balanceOf(share) == share.totalOwed(usd) == 864 * USD
    assert share.totalOwed(people.alice) == 0


def test_merged_amounts_end_at_their_weighted_mean(share, people, pay):
    start = now()
    pay(800 * USD)
    to(start + DAY // 2)
    told = event(pay(100 * USD), "Distributed")
    # 400 are left for half a day, 100 come for a day: (400 x 43,200 + 100 x 86,400) / 500 = 51,840 s from now
    assert told.streamEnd == start + DAY // 2 + 51_840
    assert told.index == 400 * USD * SCALE // SUPPLY
    assert told.indexEnd == 900 * USD * SCALE // SUPPLY
    to(told.streamEnd - 25_920)
    assert share.claimableDown(people.owner) == 650 * USD


def test_dust_stretches_nothing(share, pay):
    start = now()
    pay(1000 * USD)
    to(start + DAY - 100)
    for _ in range(5):
        pay(1)
    assert share.stream()["streamEnd"] == start + DAY


def test_two_payments_in_one_second(share, people, pay):
    start = now()
    pay(100 * USD)
    pay(200 * USD)
    assert share.stream()["streamEnd"] == start + DAY
    forward(HOUR)
    assert share.claimableDown(people.owner) == 300 * USD // 24


def test_buying_just_before_a_payment_gains_nothing(share, people, pay):
    share.transfer(people.alice, SUPPLY // 2, {"from": people.owner})
    pay(1000 * USD)
    share.transfer(people.owner, SUPPLY // 2, {"from": people.alice})
    forward(DAY)
    assert share.claimableDown(people.alice) == 0
    assert share.claimableDown(people.owner) == 1000 * USD


def test_a_second_stream_begins_where_the_first_ended(share, people, pay):
    pay(10 * USD)
    forward(3 * DAY)
    told = event(pay(20 * USD), "Distributed")
    assert (told.streamStart, told.streamEnd) == (now(), now() + DAY)
    assert told.index == 10 * USD * SCALE // SUPPLY
    forward(DAY)
    assert share.claimableDown(people.owner) == 30 * USD


@pytest.mark.parametrize("source", [MINING, DEMAND_RESPONSE, OTHER])
def test_anyone_may_pay_in(share, people, pay, source):
    assert event(pay(5, source, 9), "Distributed").source == source


def test_rent_comes_from_the_book_alone(share, people):
    told = event(share.distribute(7 * USD, LEASE, 1, {"from": people.book}), "Distributed")
    assert (told.source, told.ref, told.payer) == (LEASE, 1, people.book)
    error = ("CapacityShare_OnlyLeaseBook", low(people.stranger))
    assert refused(share.distribute, 1, LEASE, 1, by=people.stranger) == error
    assert refused(share.distributeWithPermit, 1, LEASE, 1, NO_PERMIT, by=people.stranger) == error


@pytest.mark.parametrize("supply", [SHARE, SUPPLY, 10**30])
def test_amounts_are_bounded_by_the_room_of_the_index(make, usd, people, supply):
    made = make(usd, supply)
    room = (2**128 - 1) * supply // SCALE
    for amount in (0, room + 1, 2**256 - 1):
        error = ("CapacityShare_AmountOutOfBounds", amount, room)
        assert refused(made.distribute, amount, MINING, 0, by=people.stranger) == error
    usd.mint(people.stranger, room, {"from": people.admin})
    usd.approve(made, room, {"from": people.stranger})
    made.distribute(room - 5, MINING, 0, {"from": people.stranger})
    error = ("CapacityShare_AmountOutOfBounds", 6, 5)
    assert refused(made.distribute, 6, MINING, 0, by=people.stranger) == error
    made.distribute(5, MINING, 0, {"from": people.stranger})
    forward(DAY)
    assert made.claimableDown(people.owner) == room


@pytest.mark.parametrize("supply", [SHARE, 10**30, 3 * 10**23 + 7])
def test_the_whole_range_of_supplies_loses_less_than_a_unit(make, usd, people, supply):
    made = make(usd, supply)
    usd.approve(made, 10**12, {"from": people.stranger})
    made.transfer(people.alice, supply // 3, {"from": people.owner})
    made.distribute(1_000_003, MINING, 0, {"from": people.stranger})
    forward(DAY)
    paid = made.claimableDown(people.owner) + made.claimableDown(people.alice)
    assert 1_000_003 - 2 <= paid <= 1_000_003
    assert made.claimableDown(people.alice) == (supply // 3) * (1_000_003 * SCALE // supply) // SCALE


def test_a_token_that_takes_a_fee_is_refused(make, FeeToken, people):
    odd = FeeToken.deploy({"from": people.admin})
    made = make(odd)
    odd.mint(people.stranger, 1000, {"from": people.admin})
    error = ("CapacityShare_TransferFee", 990, 1000)
    assert refused(made.distribute, 1000, MINING, 0, by=people.stranger) == error


def test_a_token_that_calls_back_is_refused(make, CallingToken, people):
    odd = CallingToken.deploy({"from": people.admin})
    made = make(odd)
    odd.mint(people.stranger, 1000, {"from": people.admin})
    made.distribute(500, MINING, 0, {"from": people.stranger})
    forward(DAY)
    for back in (made.claim.encode_input(people.bob), made.claimFor.encode_input(people.owner)):
        odd.callBack(made, back, {"from": people.admin})
        error = ("ReentrancyGuardReentrantCall",)
        assert refused(made.distribute, 100, MINING, 0, by=people.stranger) == error
        assert refused(made.distributeWithPermit, 100, MINING, 0, NO_PERMIT, by=people.stranger) == error
        assert refused(made.claim, people.owner, by=people.owner) == error
        assert refused(made.claimFor, people.owner, by=people.stranger) == error


# --------------------------------------------------------------------------------------------------------------- claims


def test_claims_pay_what_has_streamed(held, usd, people, pay):
    pay(1000 * USD)
    forward(DAY // 4)
    before = usd.balanceOf(people.carol)
    told = event(held.claim(people.carol, {"from": people.alice}), "Claimed")
    assert (told.account, told.to, told.amount, told.owed) == (people.alice, people.carol, 75 * USD, 925 * USD)
    assert usd.balanceOf(people.carol) == before + 75 * USD
    assert held.claimableDown(people.alice) == 0
    forward(DAY)
    assert held.claimableDown(people.alice) == 225 * USD
    assert held.totalOwed(usd) == usd.balanceOf(held) == 925 * USD


def test_anyone_may_claim_for_another_to_that_one(held, usd, people, pay):
    pay(100 * USD)
    forward(DAY)
    before = usd.balanceOf(people.bob)
    told = event(held.claimFor(people.bob, {"from": people.stranger}), "Claimed")
    assert (told.account, told.to, told.amount) == (people.bob, people.bob, 10 * USD)
    assert usd.balanceOf(people.bob) == before + 10 * USD


def test_all_claims_together_leave_only_dust(held, usd, people, pay):
    for step in range(5):
        pay(1_000_001 + step)
        forward(HOUR * (step + 1) + 7)
        held.transfer(people.alice, 12_345_678_901 * (step + 1), {"from": people.bob})
    forward(DAY)
    for person in (people.owner, people.alice, people.bob):
        held.claim(person, {"from": person})
    assert usd.balanceOf(held) == held.totalOwed(usd)
    # Each settlement of an account loses less than a unit: 5 transfers of two sides, and three claims.
    assert 0 <= held.totalOwed(usd) <= 13


def test_refused_claims(held, registry, people, pay):
    assert refused(held.claim, people.alice, by=people.alice) == (
        "CapacityShare_NothingClaimable",
        low(people.alice),
    )
    pay(100 * USD)
    forward(DAY)
    assert refused(held.claim, ZERO, by=people.alice) == ("CapacityShare_ZeroAddress",)
    assert refused(held.claim, held.address, by=people.alice) == ("CapacityShare_SelfTransfer", low(held.address))
    assert refused(held.claimFor, people.dave, by=people.alice) == ("CapacityShare_NothingClaimable", low(people.dave))
    registry.setFrozen(people.alice, True, {"from": people.officer})
    frozen = ("CapacityShare_AccountFrozen", low(people.alice))
    assert refused(held.claim, people.bob, by=people.alice) == frozen
    assert refused(held.claimFor, people.alice, by=people.bob) == frozen
    registry.setFrozen(people.alice, False, {"from": people.officer})
    assert event(held.claim(people.alice, {"from": people.alice}), "Claimed").amount == 30 * USD


def test_a_blocklisted_holder_stops_nobody_else(held, usd, people, pay):
    pay(100 * USD)
    forward(DAY)
    usd.blacklist(people.alice, {"from": people.admin})
    assert refused(held.claimFor, people.alice, by=people.bob) == ("Error", "Blacklistable: account is blacklisted")
    assert event(held.claim(people.bob, {"from": people.bob}), "Claimed").amount == 10 * USD
    assert event(held.claim(people.dave, {"from": people.alice}), "Claimed").amount == 30 * USD, "to another address"


def test_an_expired_holder_claims_and_sells(held, registry, people, pay):
    registry.register(people.alice, (now() + HOUR, 840, INVESTOR, 11), {"from": people.officer})
    pay(100 * USD)
    forward(DAY)
    assert event(held.claim(people.alice, {"from": people.alice}), "Claimed").amount == 30 * USD
    held.transfer(people.bob, 1, {"from": people.alice})
    error = ("ERC7943CannotReceive", low(people.alice))
    assert refused(held.transfer, people.alice, 1, by=people.bob) == error


# ------------------------------------------------------------------------------------------------------------ transfers


def test_a_transfer_leaves_both_claimables_unchanged(held, people, pay):
    pay(1_234_567)
    forward(12_345)
    before = [held.claimableDown(p) for p in (people.alice, people.bob)]
    assert min(before) > 0
    held.transfer(people.bob, 77 * SHARE, {"from": people.alice})
    assert [held.claimableDown(p) for p in (people.alice, people.bob)] == before
    assert tuple(held.accountOf(people.alice)) == (held.currentIndex(), before[0], False)
    held.approve(people.stranger, 5, {"from": people.bob})
    held.transferFrom(people.bob, people.alice, 5, {"from": people.stranger})
    assert [held.claimableDown(p) for p in (people.alice, people.bob)] == before


def test_a_transfer_to_oneself_changes_nothing(held, people, pay):
    pay(1_234_567)
    forward(12_345)
    before = (held.claimableDown(people.alice), held.balanceOf(people.alice))
    held.transfer(people.alice, 5 * SHARE, {"from": people.alice})
    assert (held.claimableDown(people.alice), held.balanceOf(people.alice)) == before


def test_what_was_earned_before_stays_with_the_seller(held, people, pay):
    pay(1000 * USD)
    forward(DAY // 2)
    held.transfer(people.bob, held.balanceOf(people.alice), {"from": people.alice})
    forward(DAY)
    assert held.claimableDown(people.alice) == 150 * USD
    assert held.claimableDown(people.bob) == 50 * USD + 200 * USD


def test_transfers_that_the_registry_or_the_balance_forbids(held, registry, people):
    assert refused(held.transfer, people.stranger, 1, by=people.alice) == (
        "ERC7943CannotReceive",
        low(people.stranger),
    )
    balance = held.balanceOf(people.alice)
    assert refused(held.transfer, people.bob, balance + 1, by=people.alice) == (
        "ERC20InsufficientBalance",
        low(people.alice),
        balance,
        balance + 1,
    )
    assert refused(held.transfer, ZERO, 1, by=people.alice) == ("ERC20InvalidReceiver", ZERO)
    assert refused(held.transferFrom, people.alice, people.bob, 1, by=people.stranger) == (
        "ERC20InsufficientAllowance",
        low(people.stranger),
        0,
        1,
    )
    assert refused(held.approve, ZERO, 1, by=people.alice) == ("ERC20InvalidSpender", ZERO)
    registry.setFrozen(people.alice, True, {"from": people.officer})
    assert refused(held.transfer, people.bob, 1, by=people.alice) == ("ERC7943CannotSend", low(people.alice))
    assert refused(held.transfer, people.alice, 1, by=people.bob) == ("ERC7943CannotReceive", low(people.alice))
    assert not held.canSend(people.alice)
    assert not held.canReceive(people.alice)
    assert held.canSend(people.stranger)


def test_frozen_tokens_stay(held, people):
    balance = held.balanceOf(people.alice)
    told = event(held.setFrozenTokens(people.alice, balance - 10, {"from": people.enforcer}), "Frozen")
    assert (told.account, told.amount) == (people.alice, balance - 10)
    assert held.getFrozenTokens(people.alice) == balance - 10
    assert held.accountOf(people.alice)["hasFrozen"]
    assert refused(held.transfer, people.bob, 11, by=people.alice) == (
        "ERC7943InsufficientUnfrozenBalance",
        low(people.alice),
        11,
        10,
    )
    assert refused(held.transfer, people.bob, balance + 1, by=people.alice)[0] == "ERC20InsufficientBalance"
    assert (held.canTransfer(people.alice, people.bob, 10), held.canTransfer(people.alice, people.bob, 11)) == (
        True,
        False,
    )
    assert not held.canTransfer(people.alice, people.stranger, 1)
    held.transfer(people.bob, 10, {"from": people.alice})
    held.setFrozenTokens(people.alice, 0, {"from": people.enforcer})
    assert not held.accountOf(people.alice)["hasFrozen"]
    held.transfer(people.bob, 11, {"from": people.alice})


def test_more_may_be_frozen_than_is_held(held, people):
    held.setFrozenTokens(people.alice, 2**200, {"from": people.enforcer})
    assert refused(held.transfer, people.bob, 1, by=people.alice)[1:] == (low(people.alice), 1, 0)
    assert not held.canTransfer(people.alice, people.bob, 1)
    held.transfer(people.alice, 5, {"from": people.bob})


# ----------------------------------------------------------------------------------------------------- forced transfers


def test_a_seizure_leaves_the_claimable(held, people, pay):
    pay(100 * USD)
    forward(DAY)
    tx = held.forcedTransfer(people.alice, people.bob, 40, {"from": people.enforcer})
    told = event(tx, "ForcedTransfer")
    assert (getattr(told, "from"), told.to, told.amount) == (people.alice, people.bob, 40)
    assert events(tx, "ClaimableMoved") == []
    assert events(tx, "Frozen") == []
    assert event(tx, "Transfer").value == 40
    assert held.claimableDown(people.alice) == 30 * USD
    assert held.claimableDown(people.bob) == 10 * USD


def test_a_seizure_takes_the_unfrozen_part_first(held, people):
    balance = held.balanceOf(people.alice)
    held.setFrozenTokens(people.alice, 100, {"from": people.enforcer})
    tx = held.forcedTransfer(people.alice, people.bob, balance - 100, {"from": people.enforcer})
    assert events(tx, "Frozen") == []
    tx = held.forcedTransfer(people.alice, people.bob, 30, {"from": people.enforcer})
    assert event(tx, "Frozen").amount == held.getFrozenTokens(people.alice) == 70
    tx = held.forcedTransfer(people.alice, people.bob, 70, {"from": people.enforcer})
    assert event(tx, "Frozen").amount == 0
    assert not held.accountOf(people.alice)["hasFrozen"]


def test_seized_from_a_frozen_account(held, registry, people):
    registry.setFrozen(people.alice, True, {"from": people.officer})
    held.forcedTransfer(people.alice, people.bob, 40, {"from": people.enforcer})


def test_a_lost_wallet_is_replaced_with_its_claimables(held, registry, people, pay):
    registry.register(people.carol, (now() + 9 * DAY, 840, INVESTOR, 11), {"from": people.officer})
    pay(100 * USD)
    forward(DAY)
    balance = held.balanceOf(people.alice)
    tx = held.forcedTransfer(people.alice, people.carol, balance, {"from": people.enforcer})
    told = event(tx, "ClaimableMoved")
    assert (getattr(told, "from"), told.to, told.amount) == (people.alice, people.carol, 30 * USD)
    assert (held.claimableDown(people.alice), held.claimableDown(people.carol)) == (0, 30 * USD)
    assert (held.balanceOf(people.alice), held.balanceOf(people.carol)) == (0, balance)
    tx = held.forcedTransfer(people.carol, people.alice, 1, {"from": people.enforcer})
    tx = held.forcedTransfer(people.carol, people.alice, 0, {"from": people.enforcer})
    assert events(tx, "ClaimableMoved") == [], "nothing was left to move"


def test_refused_forced_transfers(held, people):
    balance = held.balanceOf(people.alice)
    cases = {
        (people.alice, people.alice, 1): ("CapacityShare_SelfTransfer", low(people.alice)),
        (ZERO, people.alice, 0): ("CapacityShare_ZeroAddress",),
        (people.alice, ZERO, 1): ("ERC7943CannotReceive", ZERO),
        (people.alice, people.stranger, 1): ("ERC7943CannotReceive", low(people.stranger)),
        (people.alice, people.bob, balance + 1): (
            "ERC20InsufficientBalance",
            low(people.alice),
            balance,
            balance + 1,
        ),
    }
    for args, error in cases.items():
        assert refused(held.forcedTransfer, *args, by=people.enforcer) == error
    assert refused(held.setFrozenTokens, ZERO, 1, by=people.enforcer) == ("CapacityShare_ZeroAddress",)


def test_a_custodian_is_neither_seized_from_nor_frozen_nor_claimed_for(held, registry, people, pay):
    registry.register(people.carol, (now() + HOUR, 0, CUSTODIAN, 0), {"from": people.officer})
    held.transfer(people.carol, SUPPLY // 100, {"from": people.owner})
    pay(100 * USD)
    forward(DAY)
    error = ("CapacityShare_Custodian", low(people.carol))
    assert refused(held.forcedTransfer, people.carol, people.bob, 1, by=people.enforcer) == error
    assert refused(held.setFrozenTokens, people.carol, 1, by=people.enforcer) == error
    assert refused(held.claimFor, people.carol, by=people.stranger) == error
    held.setFrozenTokens(people.carol, 0, {"from": people.enforcer})
    assert event(held.claim(people.carol, {"from": people.carol}), "Claimed").amount == USD


def test_only_the_enforcer(held, people):
    for person in (people.admin, people.officer, people.owner, people.stranger):
        error = ("CapacityShare_NotAuthorised", low(person))
        assert refused(held.forcedTransfer, people.alice, people.bob, 1, by=person) == error
        assert refused(held.setFrozenTokens, people.alice, 1, by=person) == error


def test_an_enforcer_with_a_delay_cannot_act_on_a_clone(held, manager, people):
    manager.grantRole(5, people.dave, DAY, {"from": people.admin})
    error = ("CapacityShare_NotAuthorised", low(people.dave))
    assert refused(held.setFrozenTokens, people.alice, 1, by=people.dave) == error


# -------------------------------------------------------------------------------------------------------------- permits


def test_paying_in_with_a_permit(share, usd, people):
    signed = permit(usd, people.dave, share, 55)
    told = event(share.distributeWithPermit(55, MINING, 0, signed, {"from": people.dave}), "Distributed")
    assert (told.payer, told.amount) == (people.dave, 55)


def test_a_failing_permit_is_ignored(share, usd, people):
    signed = permit(usd, people.dave, share, 55)
    usd.permit(people.dave, share, *signed, {"from": people.stranger})
    share.distributeWithPermit(55, MINING, 0, signed, {"from": people.dave})
    error = ("Error", "ERC20: transfer amount exceeds allowance")
    assert refused(share.distributeWithPermit, 55, MINING, 0, signed, by=people.dave) == error
    usd.approve(share, 10, {"from": people.dave})
    share.distributeWithPermit(5, MINING, 0, NO_PERMIT, {"from": people.dave})
    expired = permit(usd, people.dave, share, 55, deadline=now() - 1)
    share.distributeWithPermit(5, MINING, 0, expired, {"from": people.dave})


def test_permits_of_the_share_itself(held, people):
    value, deadline, v, r, s = permit(held, people.alice, people.dave, 100)
    held.permit(people.alice, people.dave, value, deadline, v, r, s, {"from": people.stranger})
    assert held.allowance(people.alice, people.dave) == 100
    held.transferFrom(people.alice, people.bob, 100, {"from": people.dave})
    replay = refused(held.permit, people.alice, people.dave, value, deadline, v, r, s, by=people.stranger)
    assert replay[0] == "ERC2612InvalidSigner"
    value, deadline, v, r, s = permit(held, people.alice, people.dave, 100)
    to(deadline + 1)
    assert refused(held.permit, people.alice, people.dave, value, deadline, v, r, s, by=people.stranger) == (
        "ERC2612ExpiredSignature",
        deadline,
    )
