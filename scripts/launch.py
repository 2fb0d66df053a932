"""PostgreSQL, Anvil and our own services for the demo, the tests and ``make up``: waited for, and stopped with us.

    with postgres() as pg, anvil() as node:
        url = pg.new_database()
        node.rpc("eth_blockNumber")

Without ``dir`` both are throw-away; ``data_folder(name)`` names a lasting place.
"""

from scripts.chain import Node, anvil
from scripts.database import Postgres, postgres, sqlalchemy_url
from scripts.processes import LaunchError, child, data_folder, free_port, python, run_folder

__all__ = [
    "LaunchError",
    "Node",
    "Postgres",
    "anvil",
    "child",
    "data_folder",
    "free_port",
    "postgres",
    "python",
    "run_folder",
    "sqlalchemy_url",
]
