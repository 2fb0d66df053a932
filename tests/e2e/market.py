"""What the tests of this folder share."""

from dataclasses import dataclass

from drakewell import Client
from scripts.demo import Stack
from scripts.story.story import Story


@dataclass
class Market:
    """One site with listings, bond and shares; everybody has TestUSD. Blocks come as transactions do."""

    stack: Stack
    story: Story

    def client(self, name: str) -> Client:
        """Return the client of one of the cast, at the newest block."""
        client = self.story.people[name]
        client.seen_block = int(self.stack.node.rpc("eth_blockNumber"), 16)
        return client
