"""Which contract is at which address of this chain."""

from pathlib import Path

from indexer import deployment

#: CapacityShare is the clones' implementation: no log that matters is its own.
IMPLEMENTATION = "CapacityShare"


class Deployment:
    """One deployment, as scripts/deploy.py wrote it.

    Raises:
        indexer.errors.SettingsError: the file is not there, or not whole.
    """

    def __init__(self, path: Path) -> None:
        read = deployment.load(path)
        self.chain_id = read.chain_id
        self.genesis_hash = read.genesis_hash
        self.contracts = read.contracts
        self._names = {
            contract.address.lower(): name for name, contract in read.contracts.items() if name != IMPLEMENTATION
        }

    def address(self, name: str) -> str:
        """Return a contract's address, lower case."""
        return self.contracts[name].address.lower()

    def name_of(self, address: str) -> str | None:
        """Return the name of the contract at an address; None for one that is not of the deployment."""
        return self._names.get(address.lower())
