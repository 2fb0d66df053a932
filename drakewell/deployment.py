"""The addresses that a client pins: `deployments/<chain_id>.json`, as `scripts/deploy.py` wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eth_utils import keccak, to_canonical_address, to_checksum_address


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
        addresses = {name: to_checksum_address(entry["address"]) for name, entry in document["contracts"].items()}
        return cls(int(document["chain_id"]), addresses)

    def __getitem__(self, name: str) -> str:
        """Return the address of a contract."""
        return self.addresses[name]

    def share_of(self, site_id: int) -> str:
        """Return where the LeaseBook puts the shares of a site: an EIP-1167 clone, CREATE2 with the site id as its salt."""
        code = (
            bytes.fromhex("3d602d80600a3d3981f3363d3d373d3d3d363d73")
            + to_canonical_address(self["CapacityShare"])
            + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
        )
        preimage = b"\xff" + to_canonical_address(self["LeaseBook"]) + site_id.to_bytes(32, "big") + keccak(code)
        return to_checksum_address(keccak(preimage)[12:])
