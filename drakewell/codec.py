"""Calls as bytes, from the bundled ABIs alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from contracts import load_abi

SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Call:
    """A call of `function` of the contract named `contract` at `to`, with Python values in the ABI's order."""

    contract: str
    to: str
    function: str
    args: tuple[Any, ...]

    def data(self) -> bytes:
        """Return selector and encoded arguments.

        Raises:
            ValueError: the ABI has no such function with that many arguments.
            eth_abi.exceptions.EncodingError: an argument does not fit its type.
        """
        types = _types(self.contract, self.function, len(self.args))
        return selector(self.contract, self.function, len(self.args)) + encode(types, self.args)

    def decoded(self, data: bytes) -> tuple[Any, ...] | None:
        """Return the arguments of `data`, or None where it calls another function."""
        if data[:SELECTOR_BYTES] != selector(self.contract, self.function, len(self.args)):
            return None
        return tuple(decode(_types(self.contract, self.function, len(self.args)), data[SELECTOR_BYTES:]))


@cache
def selector(contract: str, function: str, arity: int) -> bytes:
    """Return the first four bytes of the signature's hash."""
    return keccak(text=f"{function}({','.join(_types(contract, function, arity))})")[:SELECTOR_BYTES]


def inputs(contract: str, function: str, arity: int) -> list[dict[str, Any]]:
    """Return the parameters of a function as the ABI has them; among overloads the one with `arity` parameters.

    Raises:
        ValueError: there is no such function, or several.
    """
    found: list[list[dict[str, Any]]] = [
        item["inputs"]
        for item in load_abi(contract)
        if item["type"] == "function" and item["name"] == function and len(item["inputs"]) == arity
    ]
    if len(found) != 1:
        raise ValueError(f"{contract} has {len(found)} functions {function} with {arity} parameters")
    return found[0]


@cache
def _types(contract: str, function: str, arity: int) -> tuple[str, ...]:
    return tuple(_type(parameter) for parameter in inputs(contract, function, arity))


def _type(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in parameter['components'])}){kind.removeprefix('tuple')}"
