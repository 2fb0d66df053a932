"""What the contract tests share: a clock that stands still, refusals by their error, signatures."""

import time
from types import SimpleNamespace

from brownie import Contract, accounts, project, web3
from eth_abi import decode, encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

HOUR = 3600
DAY = 24 * HOUR
USD = 10**6
SHARE = 10**18
FROZEN, INVESTOR, SITE_OWNER, ATTESTER, CUSTODIAN = 1, 2, 4, 8, 16
LEASE, MINING, DEMAND_RESPONSE, OTHER = range(4)
ZERO = "0x" + "00" * 20
NO_PERMIT = (0, 0, 0, b"\0" * 32, b"\0" * 32)
# Anvil's own mnemonic: the keys of the accounts that the node has unlocked.
MNEMONIC = "test test test test test test test test test test test junk"
Account.enable_unaudited_hdwallet_features()

# Names of the custom errors that some test has met; test_zz_errors.py compares them with those declared.
errors_met = set()


def rpc(method, *params):
    """Call the node and return its result; an error of the node's is a RuntimeError."""
    answer = web3.provider.make_request(method, list(params))
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


def receipt_of(tx_hash):
    """Return a receipt: Anvil answers with the hash a little before the block is there."""
    deadline = time.monotonic() + 30
    while (receipt := rpc("eth_getTransactionReceipt", tx_hash)) is None:
        assert time.monotonic() < deadline, f"{tx_hash} is not mined"
        time.sleep(0.005)
    return receipt


# ---------------------------------------------------------------------------------------------------------------- time


def freeze_clock():
    """Let the chain's time move by `to` and `forward` alone: every block takes its parent's timestamp."""
    rpc("anvil_setBlockTimestampInterval", 0)


def now():
    return int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def to(at):
    """Mine a block at ``at``, unix seconds."""
    rpc("evm_mine", {"timestamp": int(at)})
    assert now() == at
    return at


def forward(seconds):
    return to(now() + seconds)


def next_hour():
    """Mine a block at the next full hour, and return that time."""
    return to(now() // HOUR * HOUR + HOUR)


# ------------------------------------------------------------------------------------------------------------ refusals


def errors_declared():
    """Return the ABI entry of each custom error by selector, of all contracts of the project."""
    found = {}
    for _, build in project.get_loaded_projects()[0]._build.items():  # noqa: PERF102 - not a dict
        for entry in build.get("abi", ()):
            if entry["type"] == "error":
                signature = f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})"
                found["0x" + keccak(text=signature)[:4].hex()] = entry
    return found


_by_selector = {}


def decode_error(data):
    """Return ``(name, *arguments)`` of revert data; a plain string is ``("Error", text)``."""
    if not _by_selector:
        _by_selector.update(errors_declared())
    selector, body = data[:10], bytes.fromhex(data[10:])
    if selector == "0x08c379a0":
        return ("Error", decode(["string"], body)[0])
    if selector == "0x4e487b71":
        return ("Panic", decode(["uint256"], body)[0])
    entry = _by_selector.get(selector)
    if entry is None:
        return ("unknown", data)
    errors_met.add(entry["name"])
    return (entry["name"], *decode([i["type"] for i in entry["inputs"]], body))


def refused(function, *args, by, gas=30_000_000):
    """Call ``function`` as ``by`` without a transaction, and return the error that it reverts with.

    Addresses in the error are lower case, as `low` gives them.
    """
    call = {"from": str(by), "to": function._address, "data": function.encode_input(*args), "gas": hex(gas)}
    return _refused(call, function._name)


def refused_deployment(container, *args, by):
    """Return the error with which a constructor reverts."""
    return _refused({"from": str(by), "data": container.deploy.encode_input(*args)}, container._name)


def _refused(call, name):
    answer = web3.provider.make_request("eth_call", [call, "latest"])
    assert "error" in answer, f"{name} was accepted: {answer.get('result')}"
    return decode_error(answer["error"].get("data") or "0x")


def low(account):
    return str(account).lower()


# --------------------------------------------------------------------------------------------------------------- events


def event(tx, name):
    """Return the arguments of the only event ``name`` of a transaction, by attribute."""
    found = events(tx, name)
    assert len(found) == 1, f"{len(found)} events {name}"
    return found[0]


def events(tx, name):
    return [SimpleNamespace(**dict(entry)) for entry in tx.events[name]] if name in tx.events else []


# ---------------------------------------------------------------------------------------------------------- signatures


def key_of(account):
    """Return the private key of one of the node's own accounts."""
    index = [a.address for a in accounts].index(str(account))
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key


def sign_typed(key, domain, types, primary, message):
    """Return the EIP-712 signature, an object with v, r and s."""
    fields = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
    full = {
        "types": {"EIP712Domain": [{"name": n, "type": t} for n, t in fields.items()], **types},
        "domain": domain,
        "primaryType": primary,
        "message": message,
    }
    return Account.sign_message(encode_typed_data(full_message=full), key)


def domain_of(contract):
    _, name, version, chain_id, address, _, _ = contract.eip712Domain()
    return {"name": name, "version": version, "chainId": chain_id, "verifyingContract": address}


def struct(*pairs):
    return [{"name": name, "type": kind} for kind, name in (pair.split() for pair in pairs)]


PERMIT = {"Permit": struct("address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline")}


def permit(token, owner, spender, value, deadline=None, nonce=None, key=None):
    """Return the `Permit` struct that `owner` signs for `spender`; valid for an hour unless told."""
    deadline = now() + HOUR if deadline is None else deadline
    message = {
        "owner": str(owner),
        "spender": str(spender),
        "value": value,
        "nonce": token.nonces(owner) if nonce is None else nonce,
        "deadline": deadline,
    }
    signed = sign_typed(key or key_of(owner), domain_of(token), PERMIT, "Permit", message)
    return (value, deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))


# ----------------------------------------------------------------------------------------------------------- contracts


def clone_with_args(implementation, abi, sender, types, values, name="CapacityShare"):
    """Make an EIP-1167 clone with immutable arguments, as OpenZeppelin's Clones does."""
    code = bytes.fromhex("363d3d373d3d3d363d73" + implementation[2:] + "5af43d82803e903d91602b57fd5bf3")
    code += encode(types, values)
    creation = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("3d81600a3d39f3") + code
    tx = sender.transfer(data="0x" + creation.hex(), silent=True)
    return Contract.from_abi(name, tx.contract_address, abi)
