"""IdentityRegistry: who may list, invest, attest and hold; one record an account, written by an officer."""

import pytest
from brownie import accounts
from kit import ATTESTER, CUSTODIAN, DAY, FROZEN, INVESTOR, SITE_OWNER, ZERO, event, forward, low, now, refused

KNOWN = FROZEN | INVESTOR | SITE_OWNER | ATTESTER | CUSTODIAN


@pytest.fixture
def put(registry, people):
    """Register an account for a year."""

    def register(account, flags, party=0, valid_for=365 * DAY, country=276):
        return registry.register(account, (now() + valid_for, country, flags, party), {"from": people.officer})

    return register


def test_a_record_is_kept_and_told_whole(registry, people, put):
    tx = put(people.carol, INVESTOR | ATTESTER, party=77)
    told = event(tx, "IdentitySet")
    until = now() + 365 * DAY
    assert (told.account, told.party, told.validUntil, told.country, told.flags) == (people.carol, 77, until, 276, 10)
    assert tuple(registry.identityOf(people.carol)) == (until, 276, INVESTOR | ATTESTER, 77)
    assert tuple(registry.identityOf(people.stranger)) == (0, 0, 0, 0)


@pytest.mark.parametrize("flag", [INVESTOR, SITE_OWNER, ATTESTER, CUSTODIAN, 0])
def test_what_each_flag_allows(registry, people, put, flag):
    put(people.carol, flag)
    assert registry.canReceive(people.carol) == (flag in (INVESTOR, SITE_OWNER, CUSTODIAN))
    assert registry.isSiteOwner(people.carol) == (flag == SITE_OWNER)
    assert registry.isAttester(people.carol) == (flag == ATTESTER)
    assert registry.isCustodian(people.carol) == (flag == CUSTODIAN)


def test_an_expired_member_may_exit_but_not_receive(registry, people, put):
    put(people.carol, INVESTOR | SITE_OWNER | ATTESTER | CUSTODIAN, valid_for=100)
    forward(99)
    assert registry.canReceive(people.carol)
    forward(1)
    assert not registry.canReceive(people.carol)
    assert not registry.isSiteOwner(people.carol)
    assert not registry.isAttester(people.carol)
    assert registry.isCustodian(people.carol), "what it holds is others', expired or not"
    assert tuple(registry.canTransfer(people.carol, people.alice)) == (True, True)
    assert tuple(registry.canTransfer(people.alice, people.carol)) == (True, False)


def test_a_frozen_account_neither_sends_nor_receives(registry, people):
    told = event(registry.setFrozen(people.alice, True, {"from": people.officer}), "IdentitySet")
    assert told.flags == INVESTOR | FROZEN
    assert registry.isFrozen(people.alice)
    assert not registry.canReceive(people.alice)
    assert tuple(registry.canTransfer(people.alice, people.bob)) == (False, True)
    assert tuple(registry.canTransfer(people.bob, people.alice)) == (True, False)
    registry.setFrozen(people.alice, False, {"from": people.officer})
    assert not registry.isFrozen(people.alice)
    assert registry.canReceive(people.alice)


def test_a_frozen_site_owner_or_attester_is_none(registry, people, put):
    put(people.carol, SITE_OWNER | ATTESTER)
    registry.setFrozen(people.carol, True, {"from": people.officer})
    assert not registry.isSiteOwner(people.carol)
    assert not registry.isAttester(people.carol)


def test_one_never_registered_can_be_frozen(registry, people):
    registry.setFrozen(people.stranger, True, {"from": people.officer})
    assert registry.isFrozen(people.stranger)


def test_registering_neither_freezes_nor_thaws(registry, people, put):
    put(people.carol, INVESTOR | FROZEN)
    assert not registry.isFrozen(people.carol)
    registry.setFrozen(people.carol, True, {"from": people.officer})
    put(people.carol, INVESTOR)
    assert registry.isFrozen(people.carol)


def test_a_custodian_cannot_be_frozen_and_the_frozen_become_none(registry, people, put):
    put(people.carol, CUSTODIAN)
    error = ("IdentityRegistry_CustodianCannotBeFrozen", low(people.carol))
    assert refused(registry.setFrozen, people.carol, True, by=people.officer) == error
    registry.setFrozen(people.carol, False, {"from": people.officer})
    registry.setFrozen(people.dave, True, {"from": people.officer})
    record = (now() + DAY, 0, CUSTODIAN, 0)
    error = ("IdentityRegistry_CustodianCannotBeFrozen", low(people.dave))
    assert refused(registry.register, people.dave, record, by=people.officer) == error


def test_parties(registry, people, put):
    put(people.carol, INVESTOR, party=5)
    put(people.dave, 0, party=5)
    put(people.stranger, INVESTOR, party=0)
    assert registry.sameParty(people.carol, people.dave)
    assert not registry.sameParty(people.carol, people.alice)
    assert registry.sameParty(people.stranger, people.stranger)
    assert not registry.sameParty(people.stranger, people.buyer), "two unknown parties are not one"


def test_many_at_once(registry, people):
    page = accounts[10:13]
    records = [(now() + DAY, 1, INVESTOR, n) for n in (1, 2, 3)]
    tx = registry.registerMany(page, records, {"from": people.officer})
    assert [entry["party"] for entry in tx.events["IdentitySet"]] == [1, 2, 3]
    assert [tuple(registry.identityOf(a)) for a in page] == records
    error = ("IdentityRegistry_LengthMismatch", 3, 2)
    assert refused(registry.registerMany, page, records[:2], by=people.officer) == error


def test_refused_records(registry, people):
    assert refused(registry.register, ZERO, (now() + DAY, 0, INVESTOR, 0), by=people.officer) == (
        "IdentityRegistry_ZeroAddress",
    )
    assert refused(registry.register, people.carol, (now() + DAY, 0, 32 | INVESTOR, 0), by=people.officer) == (
        "IdentityRegistry_UnknownFlags",
        32 | INVESTOR,
        KNOWN,
    )


def test_the_guardian_stops_entries_and_nothing_else(registry, people, put):
    assert event(registry.setEntriesPaused(True, {"from": people.guardian}), "EntriesPaused").paused
    assert registry.entriesPaused()
    record = (now() + DAY, 0, INVESTOR, 0)
    assert refused(registry.register, people.carol, record, by=people.officer) == ("IdentityRegistry_EntriesPaused",)
    assert refused(registry.registerMany, [people.carol], [record], by=people.officer) == (
        "IdentityRegistry_EntriesPaused",
    )
    registry.setFrozen(people.alice, True, {"from": people.officer})
    registry.setFrozen(people.alice, False, {"from": people.officer})
    assert not event(registry.setEntriesPaused(False, {"from": people.guardian}), "EntriesPaused").paused
    put(people.carol, INVESTOR)


def test_roles(registry, people):
    record = (now() + DAY, 0, INVESTOR, 0)
    calls = [
        (registry.register, (people.carol, record)),
        (registry.registerMany, ([people.carol], [record])),
        (registry.setFrozen, (people.alice, True)),
        (registry.setEntriesPaused, (True,)),
    ]
    for function, args in calls:
        wrong = people.officer if function is calls[-1][0] else people.guardian
        for person in (wrong, people.stranger, people.alice):
            assert refused(function, *args, by=person) == ("AccessManagedUnauthorized", low(person))
    assert refused(registry.setAuthority, people.stranger, by=people.stranger) == (
        "AccessManagedUnauthorized",
        low(people.stranger),
    )


def test_a_policy_change_can_have_a_delay(registry, manager, people):
    manager.grantRole(1, people.dave, DAY, {"from": people.admin})
    assert refused(registry.setFrozen, people.bob, True, by=people.dave)[0] == "AccessManagerNotScheduled"
    data = registry.setFrozen.encode_input(people.bob, True)
    manager.schedule(registry, data, 0, {"from": people.dave})
    assert refused(registry.setFrozen, people.bob, True, by=people.dave)[0] == "AccessManagerNotReady"
    forward(DAY)
    registry.setFrozen(people.bob, True, {"from": people.dave})
    assert registry.isFrozen(people.bob)
