"""TestUSD behaves as USDC v2.2: permits, authorisations, blocklist, pause, minters, the same revert strings."""

import pytest
from brownie import web3
from kit import (
    HOUR,
    ZERO,
    domain_of,
    event,
    forward,
    key_of,
    now,
    permit,
    refused,
    sign_typed,
    struct,
)

BLOCKED = ("Error", "Blacklistable: account is blacklisted")
PAUSED = ("Error", "Pausable: paused")
TRANSFER_FIELDS = struct(
    "address from",
    "address to",
    "uint256 value",
    "uint256 validAfter",
    "uint256 validBefore",
    "bytes32 nonce",
)
NONCE = b"\x07" * 32


def authorise(usd, kind, sender, receiver, value, after=0, before=None, nonce=NONCE):
    before = now() + HOUR if before is None else before
    message = {
        "from": str(sender),
        "to": str(receiver),
        "value": value,
        "validAfter": after,
        "validBefore": before,
        "nonce": nonce,
    }
    signed = sign_typed(key_of(sender), domain_of(usd), {kind: TRANSFER_FIELDS}, kind, message)
    return (sender, receiver, value, after, before, nonce, signed.v, parts(signed.r), parts(signed.s))


def parts(number):
    return number.to_bytes(32, "big")


def test_what_it_is(usd):
    assert (usd.name(), usd.symbol(), usd.decimals(), usd.currency(), usd.version()) == (
        "Test USD",
        "TUSD",
        6,
        "USD",
        "2",
    )
    domain = domain_of(usd)
    assert (domain["name"], domain["version"], domain["verifyingContract"]) == ("Test USD", "2", usd.address)


def test_transfers_and_allowances(usd, people):
    before = usd.balanceOf(people.bob)
    tx = usd.transfer(people.bob, 5, {"from": people.alice})
    assert event(tx, "Transfer").value == 5
    usd.approve(people.carol, 2**256 - 1, {"from": people.alice})
    usd.transferFrom(people.alice, people.bob, 7, {"from": people.carol})
    assert usd.balanceOf(people.bob) == before + 12
    assert usd.allowance(people.alice, people.carol) == 2**256 - 8, "counted down from the maximum too"
    usd.approve(people.carol, 3, {"from": people.alice})
    assert refused(usd.transferFrom, people.alice, people.bob, 4, by=people.carol) == (
        "Error",
        "ERC20: transfer amount exceeds allowance",
    )
    balance = usd.balanceOf(people.alice)
    assert refused(usd.transfer, people.bob, balance + 1, by=people.alice) == (
        "Error",
        "ERC20: transfer amount exceeds balance",
    )
    assert refused(usd.transfer, ZERO, 1, by=people.alice) == ("Error", "ERC20: transfer to the zero address")
    assert refused(usd.approve, ZERO, 1, by=people.alice) == ("Error", "ERC20: approve to the zero address")
    assert refused(usd.approve, people.bob, 1, by=ZERO) == ("Error", "ERC20: approve from the zero address")
    assert refused(usd.transfer, people.bob, 0, by=ZERO) == ("Error", "ERC20: transfer from the zero address")


def test_a_blocked_sender_receiver_or_spender(usd, people):
    usd.approve(people.carol, 100, {"from": people.alice})
    held = usd.balanceOf(people.bob)
    event(usd.blacklist(people.bob, {"from": people.admin}), "Blacklisted")
    assert usd.isBlacklisted(people.bob)
    assert usd.balanceOf(people.bob) == held, "the mark is not part of the balance"
    assert refused(usd.transfer, people.alice, 1, by=people.bob) == BLOCKED
    assert refused(usd.transfer, people.bob, 1, by=people.alice) == BLOCKED
    assert refused(usd.approve, people.bob, 1, by=people.alice) == BLOCKED
    assert refused(usd.approve, people.alice, 1, by=people.bob) == BLOCKED
    assert refused(usd.mint, people.bob, 1, by=people.admin) == BLOCKED
    usd.blacklist(people.carol, {"from": people.admin})
    assert refused(usd.transferFrom, people.alice, people.dave, 1, by=people.carol) == BLOCKED
    event(usd.unBlacklist(people.bob, {"from": people.admin}), "UnBlacklisted")
    usd.transfer(people.alice, held, {"from": people.bob})


def test_the_pause_stops_every_movement(usd, people):
    signed = permit(usd, people.alice, people.bob, 1)
    moving = authorise(usd, "TransferWithAuthorization", people.alice, people.bob, 1)
    usd.pause({"from": people.admin})
    assert usd.paused()
    assert refused(usd.transfer, people.bob, 1, by=people.alice) == PAUSED
    assert refused(usd.transferFrom, people.bob, people.bob, 1, by=people.alice) == PAUSED
    assert refused(usd.approve, people.bob, 1, by=people.alice) == PAUSED
    assert refused(usd.mint, people.bob, 1, by=people.admin) == PAUSED
    assert refused(usd.configureMinter, people.bob, 1, by=people.admin) == PAUSED
    assert refused(usd.transferWithAuthorization, *moving, by=people.bob) == PAUSED
    assert refused(usd.cancelAuthorization, people.alice, NONCE, *moving[6:], by=people.bob) == PAUSED
    value, deadline, v, r, s = signed
    by_parts = next(f for f in usd.permit.methods.values() if len(f.abi["inputs"]) == 7)
    assert refused(by_parts, people.alice, people.bob, value, deadline, v, r, s, by=people.bob) == PAUSED
    usd.unpause({"from": people.admin})
    usd.transfer(people.bob, 1, {"from": people.alice})


def test_minters_have_allowances(usd, people):
    event(usd.configureMinter(people.dave, 100, {"from": people.admin}), "MinterConfigured")
    supply = usd.totalSupply()
    told = event(usd.mint(people.stranger, 60, {"from": people.dave}), "Mint")
    assert (told.minter, told.to, told.amount) == (people.dave, people.stranger, 60)
    assert (usd.totalSupply(), usd.minterAllowance(people.dave)) == (supply + 60, 40)
    cases = {
        (people.stranger, 41): "FiatToken: mint amount exceeds minterAllowance",
        (people.stranger, 0): "FiatToken: mint amount not greater than 0",
        (ZERO, 1): "FiatToken: mint to the zero address",
    }
    for args, text in cases.items():
        assert refused(usd.mint, *args, by=people.dave) == ("Error", text)
    assert refused(usd.mint, people.bob, 1, by=people.bob) == ("Error", "FiatToken: caller is not a minter")
    assert refused(usd.mint, people.bob, 2**255, by=people.admin) == (
        "Error",
        "FiatTokenV2_2: Balance exceeds (2^255 - 1)",
    )


def test_the_owner_alone(usd, people):
    not_owner = ("Error", "Ownable: caller is not the owner")
    for function, args in (
        (usd.blacklist, (people.bob,)),
        (usd.unBlacklist, (people.bob,)),
        (usd.pause, ()),
        (usd.unpause, ()),
        (usd.configureMinter, (people.bob, 1)),
    ):
        assert refused(function, *args, by=people.alice) == not_owner


def by_length(usd, length):
    return next(f for f in usd.permit.methods.values() if len(f.abi["inputs"]) == length)


def test_permits(usd, people):
    value, deadline, v, r, s = permit(usd, people.alice, people.bob, 50)
    args = (people.alice, people.bob, value, deadline, v, r, s)
    by_length(usd, 7)(*args, {"from": people.stranger})
    assert (usd.allowance(people.alice, people.bob), usd.nonces(people.alice)) == (50, 1)
    invalid = ("Error", "EIP2612: invalid signature")
    assert refused(by_length(usd, 7), *args, by=people.stranger) == invalid, "a replay"
    value, deadline, v, r, s = permit(usd, people.alice, people.bob, 60)
    signature = r + s + bytes([v])
    assert refused(by_length(usd, 5), people.alice, people.bob, 61, deadline, signature, by=people.bob) == invalid
    by_length(usd, 5)(people.alice, people.bob, value, deadline, signature, {"from": people.stranger})
    assert usd.allowance(people.alice, people.bob) == 60
    value, deadline, v, r, s = permit(usd, people.alice, people.bob, 60)
    forward(HOUR + 1)
    expired = refused(by_length(usd, 7), people.alice, people.bob, value, deadline, v, r, s, by=people.bob)
    assert expired == ("Error", "FiatTokenV2: permit is expired")


@pytest.mark.parametrize("kind", ["TransferWithAuthorization", "ReceiveWithAuthorization"])
def test_authorisations(usd, people, kind):
    function = getattr(usd, kind[0].lower() + kind[1:])
    args = authorise(usd, kind, people.alice, people.bob, 9)
    before = usd.balanceOf(people.bob)
    tx = function(*args, {"from": people.bob})
    told = event(tx, "AuthorizationUsed")
    assert (told.authorizer, bytes(told.nonce)) == (people.alice, NONCE)
    assert usd.balanceOf(people.bob) == before + 9
    assert usd.authorizationState(people.alice, NONCE)
    assert refused(function, *args, by=people.bob) == ("Error", "FiatTokenV2: authorization is used or canceled")
    fresh = b"\x08" * 32
    early = authorise(usd, kind, people.alice, people.bob, 9, after=now(), nonce=fresh)
    assert refused(function, *early, by=people.bob) == ("Error", "FiatTokenV2: authorization is not yet valid")
    late = authorise(usd, kind, people.alice, people.bob, 9, before=now(), nonce=fresh)
    assert refused(function, *late, by=people.bob) == ("Error", "FiatTokenV2: authorization is expired")
    other = list(authorise(usd, kind, people.alice, people.bob, 9, nonce=fresh))
    other[2] = 10
    assert refused(function, *other, by=people.bob) == ("Error", "FiatTokenV2: invalid signature")


def test_only_the_payee_receives(usd, people):
    args = authorise(usd, "ReceiveWithAuthorization", people.alice, people.bob, 9)
    assert refused(usd.receiveWithAuthorization, *args, by=people.carol) == (
        "Error",
        "FiatTokenV2: caller must be the payee",
    )


def test_an_authorisation_can_be_cancelled(usd, people):
    types = {"CancelAuthorization": struct("address authorizer", "bytes32 nonce")}
    message = {"authorizer": people.alice.address, "nonce": NONCE}
    signed = sign_typed(key_of(people.alice), domain_of(usd), types, "CancelAuthorization", message)
    args = (people.alice, NONCE, signed.v, parts(signed.r), parts(signed.s))
    wrong = (people.bob, *args[1:])
    assert refused(usd.cancelAuthorization, *wrong, by=people.carol) == ("Error", "FiatTokenV2: invalid signature")
    event(usd.cancelAuthorization(*args, {"from": people.carol}), "AuthorizationCanceled")
    used = ("Error", "FiatTokenV2: authorization is used or canceled")
    assert refused(usd.cancelAuthorization, *args, by=people.carol) == used
    moving = authorise(usd, "TransferWithAuthorization", people.alice, people.bob, 1)
    assert refused(usd.transferWithAuthorization, *moving, by=people.carol) == used


def test_the_domain_separator_is_the_one_that_wallets_compute(usd):
    domain = domain_of(usd)
    kind = web3.keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    expected = web3.keccak(
        web3.codec.encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                kind,
                web3.keccak(text=domain["name"]),
                web3.keccak(text=domain["version"]),
                domain["chainId"],
                domain["verifyingContract"],
            ],
        )
    )
    assert bytes(usd.DOMAIN_SEPARATOR()) == bytes(expected)
