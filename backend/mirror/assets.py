"""How the amounts of a token are to be read: the `asset` beside every amount."""

from typing import Any

from pydantic import BaseModel

from backend.chain.contracts import Contracts
from backend.kit.types import Address


class Asset(BaseModel):
    """A settlement token."""

    address: Address
    symbol: str
    decimals: int


class Assets:
    """Symbols and decimals never change, so each is asked of the node once."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def of(self, address: str) -> dict[str, Any]:
        """Return the asset of a token's address."""
        token = self._contracts.token(address)
        return {"address": token.address, "symbol": token.symbol, "decimals": token.decimals}
