"""JSON-RPC over HTTP: one kept-alive connection, batches, time-outs, retries; every answer is checked.

`Node` is what the rest of the indexer knows of a node, so that a pool of several can stand in for one. http.client is
enough for one connection and takes 150 ms less to import than the HTTP libraries.
"""

from __future__ import annotations

import http.client
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from indexer.errors import BadAnswer, Refused, RpcError, Unreachable
from indexer.settings import Settings

Call = tuple[str, list[Any]]

BATCH = 100
BACK_OFF_SECONDS = 0.1
# JSON-RPC codes that providers use for "slow down" and "not now"
PASSING_CODES = frozenset({-32005, -32016, -32097, 429})
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Node(Protocol):
    """A node, or a pool of them."""

    def call(self, method: str, *params: Any, attempts: int | None = None) -> Any:
        """Return the result of one call."""

    def batch(self, calls: Sequence[Call], *, attempts: int | None = None) -> list[Any]:
        """Return the results of ``calls``, in their order."""

    def try_batch(self, calls: Sequence[Call]) -> list[Any]:
        """Like ``batch``, but a call that the node refuses has its `Refused` as its result."""


class HttpNode:
    """One node behind one URL, for one thread.

    Args:
        url: http:// or https://.
        timeout: seconds for each request.
        attempts: tries of a request that fails in passing.
    """

    def __init__(self, url: str, *, timeout: float = 15.0, attempts: int = 5) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RpcError(f"the node's URL must begin with http:// or https:// and name a host, not {parts.scheme!r}")
        # what errors and logs may show: providers put their keys in the path
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.requests = 0
        self._timeout = timeout
        self._attempts = attempts
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        factory = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = factory(parts.hostname, parts.port, timeout=timeout)
        self._ids = itertools.count(1)

    def call(self, method: str, *params: Any, attempts: int | None = None) -> Any:
        """Return the result of one call.

        Raises:
            Unreachable: no answer after all attempts.
            Refused: the node answered with an error.
            BadAnswer: what came is no JSON-RPC answer.
        """
        return self.batch([(method, list(params))], attempts=attempts)[0]

    def batch(self, calls: Sequence[Call], *, attempts: int | None = None) -> list[Any]:
        """Return the results of ``calls``, in their order, 100 a request; errors as for `call`."""
        results = self._all(calls, attempts or self._attempts)
        for result in results:
            if isinstance(result, Refused):
                raise result
        return results

    def try_batch(self, calls: Sequence[Call]) -> list[Any]:
        """Like ``batch``, but a call that the node refuses has its `Refused` as its result."""
        return self._all(calls, self._attempts)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _all(self, calls: Sequence[Call], attempts: int) -> list[Any]:
        results: list[Any] = []
        for start in range(0, len(calls), BATCH):
            results += self._with_retries(calls[start : start + BATCH], attempts)
        return results

    def _with_retries(self, calls: Sequence[Call], attempts: int) -> list[Any]:
        for attempt in itertools.count(1):
            try:
                results = self._request(calls)
                for (method, _), result in zip(calls, results, strict=True):
                    if isinstance(result, Refused) and result.code in PASSING_CODES:
                        raise Unreachable(f"{method}: {result.message} ({result.code})")
            except Unreachable:
                if attempt >= attempts:
                    raise
                # full jitter: many clients that failed together do not return together
                time.sleep(random.uniform(0, BACK_OFF_SECONDS * 2**attempt))  # noqa: S311 - no secret
            else:
                return results
        raise AssertionError

    def _request(self, calls: Sequence[Call]) -> list[Any]:
        first = next(self._ids)
        ids = [first, *(next(self._ids) for _ in calls[1:])]
        body = [
            {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
            for id, (method, params) in zip(ids, calls, strict=True)
        ]
        answers = self._post(orjson.dumps(body if len(body) > 1 else body[0]))
        if isinstance(answers, dict):  # one call, or a provider's error for the whole batch
            answers = [answers] if len(calls) == 1 else [{**answers, "id": id} for id in ids]
        if not isinstance(answers, list):
            raise BadAnswer(f"{self.name} answered {type(answers).__name__} to JSON-RPC")
        by_id = {str(answer.get("id")): answer for answer in answers if isinstance(answer, dict)}
        if set(by_id) != set(map(str, ids)) or len(answers) != len(ids):
            raise BadAnswer(f"{self.name} answered {len(answers)} of {len(ids)} calls, or other calls than asked")
        return [_result(method, by_id[str(id)]) for id, (method, _) in zip(ids, calls, strict=True)]

    def _post(self, body: bytes) -> Any:
        self.requests += 1
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(f"{self.name}: {error or type(error).__name__}") from error
        if status in PASSING_STATUS:
            raise Unreachable(f"{self.name}: HTTP {status}")
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BadAnswer(f"{self.name}: HTTP {status}, not JSON: {text[:100]!r}") from error


@contextmanager
def open_node(settings: Settings) -> Iterator[HttpNode]:
    """Open the node that the settings name, for one thread."""
    node = HttpNode(settings.rpc_url, timeout=settings.rpc_timeout, attempts=settings.rpc_attempts)
    try:
        yield node
    finally:
        node.close()


def _result(method: str, answer: dict[str, Any]) -> Any:
    if error := answer.get("error"):
        said = error if isinstance(error, dict) else {}  # some providers answer with a bare text
        code = said.get("code")
        return Refused(method, code if isinstance(code, int) else 0, str(said.get("message", error)))
    if "result" not in answer:
        raise BadAnswer(f"{method}: neither a result nor an error")
    return answer["result"]
