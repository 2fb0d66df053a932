"""The API over HTTP: answers as Python values, problem documents as exceptions."""

from __future__ import annotations

import re
from typing import Any

import httpx

from drakewell.errors import Unreachable, problem

_DECIMAL = re.compile(r"-?\d+")
# Amounts travel as decimal strings under these names; everything else that looks like a number is text.
_AMOUNTS = {
    "amount",
    "available",
    "balance",
    "balance_after",
    "bond",
    "bond_free",
    "bond_locked",
    "bond_per_gpu",
    "ceiling_price",
    "claimable",
    "claimed",
    "collectable",
    "collected",
    "compensation",
    "credit",
    "credits",
    "current_index",
    "debit",
    "demand_response",
    "deposited",
    "distributed",
    "effective_gas_price",
    "fee",
    "fee_total",
    "floor_price",
    "free_bond",
    "frozen",
    "index",
    "index_end",
    "lease",
    "locked_bond",
    "max_deposit",
    "max_penalty",
    "min_deposit",
    "mining",
    "needed",
    "other",
    "owed",
    "owner_part",
    "owner_total",
    "penalty",
    "penalty_view",
    "pending_shares",
    "price",
    "ref",
    "rent",
    "rent_per_hour",
    "rent_total",
    "shares",
    "shares_total",
    "supply",
    "unshared_net",
}


def exact(value: Any, key: str = "") -> Any:
    """Turn the amounts of an answer into ints, in depth."""
    if isinstance(value, dict):
        return {name: exact(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item, key) for item in value]
    if isinstance(value, str) and key in _AMOUNTS and _DECIMAL.fullmatch(value):
        return int(value)
    return value


class Http:
    """One API, over one pool of connections; safe to share between threads."""

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        """Open nothing yet. `timeout` in seconds, for each answer."""
        self._http = httpx.Client(base_url=base_url.rstrip("/"), timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the whole answer, amounts as they came."""
        return self._ask("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer, amounts as they came: a plan must go back unchanged."""
        return self._ask("POST", path, json={key: value for key, value in body.items() if value is not None})

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
        retry = response.headers.get("retry-after", "")
        try:
            document = response.json()
        except ValueError:
            document = {"code": "no_problem_document", "detail": response.text[:200]}
        raise problem(response.status_code, document, float(retry) if retry.isdigit() else None)
