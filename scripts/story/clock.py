"""What the story does to the chain itself: set the clock, mine, ask the faucet. All else goes over the API."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from drakewell.codec import Call
from scripts.chain import Node

GAS = 1_500_000
GWEI = 10**9
DRIP_ETH = 10 * 10**18


class Clock:
    """Time and blocks of a chain that mines only when told."""

    def __init__(self, node: Node) -> None:
        """Stop mining by itself."""
        self._node = node
        self.mined = 0
        node.rpc("evm_setAutomine", False)

    def now(self) -> int:
        """Return the head's time, unix seconds."""
        return int(self._node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mine(self, at: int) -> int:
        """Mine all that waits in one block of the time `at`; return its number."""
        self._node.rpc("evm_setNextBlockTimestamp", at)
        self._node.rpc("evm_mine")
        self.mined += 1
        return int(self._node.rpc("eth_blockNumber"), 16)


class Office:
    """The deployment's own hands: the faucet, the officer who registers people, the token's issuer.

    Each act is a transaction signed by the deployer's key, none of them goes over the API, which serves users.
    """

    def __init__(self, node: Node, account: LocalAccount, chain_id: int) -> None:
        """Ask the node for the account's nonce."""
        self._node, self._account, self._chain_id = node, account, chain_id
        self._nonce = int(node.rpc("eth_getTransactionCount", account.address, "pending"), 16)
        self._sponsor: str = node.rpc("eth_accounts")[0]
        self._sent: list[str] = []

    def drip(self, account: str) -> None:
        """Give an account ETH for gas, from the first of the node's own accounts."""
        sent = self._node.rpc("eth_sendTransaction", {"from": self._sponsor, "to": account, "value": hex(DRIP_ETH)})
        self._sent.append(sent)

    def act(self, call: Call) -> None:
        """Sign a call and hand it to the node."""
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": self._nonce,
                "to": to_checksum_address(call.to),
                "value": 0,
                "data": call.data(),
                "gas": GAS,
                "maxFeePerGas": 20 * GWEI,
                "maxPriorityFeePerGas": GWEI,
            }
        )
        self._nonce += 1
        self._sent.append(self._node.rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()))

    def check(self) -> None:
        """Make sure that all sent since the last check was mined and succeeded.

        Raises:
            RuntimeError: a transaction reverted or is not there.
        """
        for sent in self._sent:
            receipt = self._node.rpc("eth_getTransactionReceipt", sent)
            if not receipt or int(receipt["status"], 16) != 1:
                raise RuntimeError(f"the deployment's own transaction {sent} failed: {receipt}")
        self._sent.clear()
