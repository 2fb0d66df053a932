"""How the service is."""

from pydantic import BaseModel

from backend.kit.types import Address, Time
from backend.mirror.assets import Asset


class Block(BaseModel):
    """A block of the chain."""

    number: int
    hash: str
    time: Time


class Lag(BaseModel):
    """Blocks behind the node's head, and wall seconds since that head last moved."""

    blocks: int
    seconds: float | None


class Contract(BaseModel):
    """A deployed contract."""

    address: Address
    block: int
    code_hash: str


class Versions(BaseModel):
    """Of the API, of the fold that made the mirror, and of the database's schema."""

    api: str
    fold: str
    schema_: str

    model_config = {"serialize_by_alias": True, "alias_generator": lambda name: name.rstrip("_")}


class Reconciled(BaseModel):
    """Comparisons of books and chain for blocks that the mirror still holds."""

    last_block: int | None
    blocks_checked: int
    accounts_compared: int
    node_calls: int
    differences: int
    unreconciled: int


class Status(BaseModel):
    """Where chain, mirror and reconciler stand. `head` is null while the node does not answer."""

    chain_id: int
    genesis_hash: str
    head: Block | None
    indexed: Block
    safe: int | None
    finalized: int | None
    lag: Lag
    halted: str | None
    contracts: dict[str, Contract]
    tokens: list[Asset]
    versions: Versions
    reconciliation: Reconciled


class Health(BaseModel):
    """The process answers."""

    status: str
