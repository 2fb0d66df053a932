"""JSON-RPC over HTTP with kept-alive connections, shared by the threads of the service."""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from backend.kit.metrics import Metrics
from backend.kit.problems import NodeUnavailable

HEAD_SECONDS = 0.1


class NodeError(Exception):
    """The node understood and refused: JSON-RPC code, message and data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class NodeTimeout(NodeUnavailable):
    """No answer in time: whether the node acted is unknown."""


@dataclass(frozen=True)
class Head:
    """A block of the node. `time` is unix seconds, `base_fee` wei per gas."""

    number: int
    hash: str
    time: int
    base_fee: int


class Node:
    """A node behind a URL."""

    def __init__(self, url: str, seconds: float, metrics: Metrics) -> None:
        self._client = httpx.Client(base_url=url, timeout=seconds)
        self._ids = itertools.count(1)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._head: tuple[float, Head] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, *params: Any) -> Any:
        """Return a method's result.

        Raises:
            NodeError: the node refused.
            NodeUnavailable: it does not answer; `NodeTimeout` when it may have acted.
        """
        return self.batch([(method, list(params))])[0]

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of several calls, made in one round trip; the first refusal raises."""
        results = self.try_batch(calls)
        for result in results:
            if isinstance(result, NodeError):
                raise result
        return results

    def try_batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Like `batch`, but a refusal is that call's result."""
        if not calls:
            return []
        body = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params} for method, params in calls
        ]
        for method, _ in calls:
            self._metrics.node_calls.labels(method).inc()
        answers = self._post(body if len(body) > 1 else body[0])
        if isinstance(answers, dict):
            answers = [{**answers, "id": each["id"]} for each in body]
        by_id = {answer.get("id"): answer for answer in answers}
        return [_result(by_id.get(each["id"])) for each in body]

    def head(self, *, fresh: bool = False) -> Head:
        """Return the newest block, at most 100 ms old unless it must be `fresh`."""
        with self._lock:
            now = time.monotonic()
            if not fresh and self._head is not None and now - self._head[0] < HEAD_SECONDS:
                return self._head[1]
            head = block_head(self.call("eth_getBlockByNumber", "latest", False))
            self._head = (now, head)
            return head

    def _post(self, body: Any) -> Any:
        try:
            response = self._client.post("", content=orjson.dumps(body), headers={"content-type": "application/json"})
            return orjson.loads(response.content)
        except httpx.TimeoutException as error:
            raise NodeTimeout("The node did not answer in time.") from error
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise NodeUnavailable("The node cannot be reached; try again.", headers={"Retry-After": "1"}) from error


def block_head(block: dict[str, Any]) -> Head:
    """Read what we need of a block as the node gives it."""
    return Head(
        int(block["number"], 16),
        block["hash"],
        int(block["timestamp"], 16),
        int(block.get("baseFeePerGas") or "0x0", 16),
    )


def _result(answer: dict[str, Any] | None) -> Any:
    if answer is None:
        raise NodeUnavailable("The node left a call of a batch unanswered.")
    if error := answer.get("error"):
        said = error if isinstance(error, dict) else {}  # some send bare text, some no code
        code = said.get("code")
        return NodeError(code if isinstance(code, int) else 0, str(said.get("message", error)), said.get("data"))
    return answer.get("result")
