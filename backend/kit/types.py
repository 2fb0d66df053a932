"""The types of the HTTP surface: strict on the way in, one form on the way out.

Inside, amounts are integers of base units, addresses lower-case hex, times unix seconds. Outside, amounts are decimal
strings (a JSON number is never money), addresses EIP-55, times RFC 3339 in UTC. A form is used as
`Annotated[int, amount(96)]`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from eth_utils.address import to_checksum_address
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

UINT256_MAX = 2**256 - 1
ID_MAX = 2**63 - 1
ZERO_ADDRESS = "0x" + "0" * 40

_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,77})", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


@dataclass(frozen=True, eq=False)
class Form:
    """How a value is read (`ValueError` for what is none), shown, and described in JSON Schema."""

    read: Callable[[Any], Any]
    schema: dict[str, Any]
    show: Callable[[Any], str] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic."""
        shown = None
        if self.show is not None:
            shown = core_schema.plain_serializer_function_ser_schema(self.show, return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(self.read, serialization=shown)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell OpenAPI."""
        return dict(self.schema)


# ----------------------------------------------------------------------------------------------------------- numbers


def parse_amount(value: Any, maximum: int = UINT256_MAX) -> int:
    """Read a decimal string of base units."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        number = int(value)
        if number <= maximum:
            return number
        raise ValueError(f"must be at most {maximum}")
    raise ValueError('must be a decimal string of base units, such as "1500000"')


def amount(bits: int, least: int = 0) -> Form:
    """Return the form of an amount in a request, of `bits` bits as the contract takes it."""

    def read(value: Any) -> int:
        number = parse_amount(value, 2**bits - 1)
        if number < least:
            raise ValueError(f"must be at least {least}")
        return number

    return Form(read, {"type": "string", "pattern": "^(0|[1-9][0-9]{0,77})$", "examples": ["1500000"]}, str)


Uint256 = Annotated[int, amount(256)]


def _exact(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError(f"{value!r} is no exact amount")
    return int(value)


#: What we answer with: the mirror's integers, never from a request.
Amount = Annotated[
    int, Form(_exact, {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)$", "examples": ["1500000"]}, str)
]


def integer(least: int, most: int) -> Form:
    """Return the form of a whole number in a request: a JSON integer, or ASCII digits in a query or path."""
    digits = re.compile(rf"[0-9]{{1,{len(str(most))}}}", re.ASCII)

    def read(value: Any) -> int:
        if isinstance(value, str) and digits.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return Form(read, {"type": "integer", "minimum": least, "maximum": most})


Id = Annotated[int, integer(1, ID_MAX)]
Id32 = Annotated[int, integer(1, 2**32 - 1)]
BlockNumber = Annotated[int, integer(0, ID_MAX)]
Bps = Annotated[int, integer(0, 10_000)]
Limit = Annotated[int, integer(1, 200)]
Gpus = Annotated[int, integer(1, 2**24 - 1)]
Price = Annotated[int, amount(72)]

# ------------------------------------------------------------------------------------------------- addresses and bytes


@lru_cache(maxsize=65536)
def checksummed(address: str) -> str:
    """Return the EIP-55 form."""
    return str(to_checksum_address(address))


def _address(value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError("must be 0x and 40 hex digits")
    digits = value[2:]
    if digits not in {digits.lower(), digits.upper()} and checksummed(value) != value:
        raise ValueError("its mixed case does not pass EIP-55; check the address or write it in lower case")
    return value.lower()


def _recipient(value: Any) -> str:
    account = _address(value)
    if account == ZERO_ADDRESS:
        raise ValueError("must not be the zero address")
    return account


_ADDRESS_SCHEMA = {
    "type": "string",
    "pattern": "^0x[0-9a-fA-F]{40}$",
    "examples": ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"],
}
Address = Annotated[str, Form(_address, _ADDRESS_SCHEMA, checksummed)]
#: An address that is to get something.
Recipient = Annotated[str, Form(_recipient, _ADDRESS_SCHEMA, checksummed)]


def hex_bytes(least: int, most: int) -> Form:
    """Return the form of 0x-prefixed bytes, `least` to `most` of them, lower-case inside and out."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > 2 + 2 * most or not _HEX.fullmatch(value):
            raise ValueError(f"must be 0x and hex digits, at most {most} bytes")
        if len(value) < 2 + 2 * least:
            raise ValueError(f"must be at least {least} bytes")
        return value.lower()

    return Form(read, {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"})


Hash = Annotated[str, hex_bytes(32, 32)]

# -------------------------------------------------------------------------------------------------------------- times


def seconds_of(value: Any) -> int:
    """Read an RFC 3339 time as unix seconds."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            seconds = (datetime.fromisoformat(value.upper()) - _EPOCH) // timedelta(seconds=1)
        except (ValueError, OverflowError):
            seconds = -1
        if seconds >= 0:
            return seconds
    raise ValueError("must be an RFC 3339 time from 1970 on, such as 2026-11-22T12:00:00Z")


def rfc3339(seconds: int) -> str:
    """Write unix seconds in UTC; times past the year 9999, which RFC 3339 cannot write, as its last second."""
    return (_EPOCH + timedelta(seconds=min(seconds, _LAST_SECOND))).strftime("%Y-%m-%dT%H:%M:%SZ")


_TIME_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2026-11-22T12:00:00Z"]}
TimeIn = Annotated[int, Form(seconds_of, _TIME_SCHEMA)]
Time = Annotated[int, Form(_exact, _TIME_SCHEMA, rfc3339)]

# --------------------------------------------------------------------------------------------------------------- text


def text(least: int, most: int) -> Form:
    """Return the form of text of `least` to `most` UTF-8 bytes, without control characters."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or _CONTROL.search(value):
            raise ValueError("must be text without control characters")
        if not least <= len(value.encode()) <= most:
            raise ValueError(f"must be {least} to {most} bytes of text")
        return value

    return Form(read, {"type": "string", "minLength": least, "maxLength": most})


def _word(value: Any) -> str:
    if not isinstance(value, str) or _CONTROL.search(value) or not value.isascii() or not 1 <= len(value) <= 32:
        raise ValueError("must be 1 to 32 printable ASCII characters")
    return value


#: A name that fits a bytes32.
ShortText = Annotated[str, Form(_word, {"type": "string", "minLength": 1, "maxLength": 32})]
