"""Reads what `scripts/deploy.py` wrote: which contracts of which chain the mirror is about."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import orjson

from indexer.errors import SettingsError
from indexer.fold import Genesis

#: The contracts that the mirror reads; clones and tokens are found on chain.
NAMES = ("IdentityRegistry", "LeaseBook", "UsageMeter")


class Contract(NamedTuple):
    """One deployed contract: address in EIP-55, Keccak-256 of its code as 0x hex, block of its creation."""

    address: str
    code_hash: str
    block: int


class Deployment(NamedTuple):
    """One deployment on one chain."""

    chain_id: int
    genesis_hash: str
    first_block: int
    contracts: dict[str, Contract]

    def genesis(self) -> Genesis:
        """Return what the fold must know before the first log."""
        registry, leasebook, meter = (self.contracts[name].address.lower() for name in NAMES)
        return Genesis(registry, leasebook, meter, self.first_block)

    def identity(self) -> str:
        """Return one line that names this deployment among others on the same chain."""
        return " ".join(f"{name}={self.contracts[name].address}" for name in NAMES)


def load(path: Path) -> Deployment:
    """Read a deployments file.

    Raises:
        SettingsError: it is not there, or not whole.
    """
    try:
        written = orjson.loads(path.read_bytes())
        contracts = {
            name: Contract(record["address"], record["codeHash"], record["block"])
            for name, record in written["contracts"].items()
        }
        found = Deployment(written["chainId"], written["genesisHash"], written["firstBlock"], contracts)
    except FileNotFoundError:
        raise SettingsError(
            f"no deployment at {path}: deploy with scripts/deploy.py, or name the file in DRAKEWELL_DEPLOYMENT"
        ) from None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is no deployments file: {error!r}") from error
    if missing := [name for name in NAMES if name not in found.contracts]:
        raise SettingsError(f"{path} lacks {', '.join(missing)}")
    return found
