"""What a signed EIP-1559 transaction says, and who signed it."""

from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from backend.kit.problems import InvalidRequest

TYPE = 2
FIELDS = 12
UNSIGNED = 9
HALF_N = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True)
class Signed:
    """A signed transaction; addresses and bytes as lower-case hex, `to` empty for a creation."""

    hash: str
    sender: str
    chain_id: int
    nonce: int
    to: str
    value: int
    data: str


def decode(raw: str) -> Signed:
    """Read a raw transaction of type 2.

    Raises:
        InvalidRequest: it is not one, or its signature is none.
    """
    try:
        return _decode(bytes.fromhex(raw[2:]))
    except (RLPException, BadSignature, ValidationError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise InvalidRequest(
            "raw_transaction is not a signed EIP-1559 transaction (type 2).",
            errors=[{"loc": "body.raw_transaction", "message": "must be 0x02 and the RLP of its twelve fields"}],
        ) from error


def _decode(raw: bytes) -> Signed:
    if raw[0] != TYPE:
        raise ValueError("another type")
    fields: Any = rlp.decode(raw[1:])
    if not isinstance(fields, list) or len(fields) != FIELDS:
        raise ValueError("other fields")
    chain_id, nonce, _, _, _, to, value, data, _, parity, r, s = fields
    signed = keccak(bytes([TYPE]) + rlp.encode(fields[:UNSIGNED]))
    if _number(s) > HALF_N:
        raise ValueError("the malleable half of signatures, which no chain takes")
    signature = Signature(vrs=(_number(parity), _number(r), _number(s)))
    sender = signature.recover_public_key_from_msg_hash(signed).to_address()
    return Signed(
        "0x" + keccak(raw).hex(),
        sender.lower(),
        _number(chain_id),
        _number(nonce),
        "0x" + bytes(to).hex(),
        _number(value),
        "0x" + bytes(data).hex(),
    )


def _number(field: Any) -> int:
    if not isinstance(field, bytes) or len(field) > 32 or field[:1] == b"\0":
        raise ValueError("not a number of RLP")
    return int.from_bytes(field)
