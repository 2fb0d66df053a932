"""The addresses that a client pins: `deployments/<chain_id>.json`, as `scripts/deploy.py` wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

WORD = 32
_PROXY_BYTES = 45


@dataclass(frozen=True)
class Deployment:
    """A chain id and the addresses of our contracts on it, EIP-55."""

    chain_id: int
    addresses: dict[str, str]

    @classmethod
    def read(cls, path: str | Path) -> Deployment:
        """Read a deployments file.

        Raises:
            FileNotFoundError: nothing was deployed yet (`scripts/deploy.py`).
        """
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        addresses: dict[str, str] = {
            name: to_checksum_address(entry["address"]) for name, entry in document["contracts"].items()
        }
        return cls(int(document["chainId"]), addresses)

    def __getitem__(self, name: str) -> str:
        """Return the address of a contract."""
        return self.addresses[name]

    def share_of(self, site_id: int, token: str, supply: int) -> str:
        """Return where the LeaseBook puts a site's shares: CREATE2 of an EIP-1167 clone that bears its arguments.

        Nobody but the LeaseBook can put anything there, so a wrong token or supply leads nowhere.
        """
        arguments = to_canonical_address(token).rjust(WORD, b"\0") + supply.to_bytes(WORD, "big")
        arguments += site_id.to_bytes(WORD, "big")
        # As OpenZeppelin's Clones.cloneDeterministicWithImmutableArgs: size, copier, proxy, arguments.
        code = (
            b"\x61"
            + (len(arguments) + _PROXY_BYTES).to_bytes(2, "big")
            + bytes.fromhex("3d81600a3d39f3363d3d373d3d3d363d73")
            + to_canonical_address(self["CapacityShare"])
            + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
            + arguments
        )
        preimage = b"\xff" + to_canonical_address(self["LeaseBook"]) + site_id.to_bytes(WORD, "big") + keccak(code)
        return to_checksum_address(keccak(preimage)[12:])
