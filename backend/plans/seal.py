"""A plan's id is its hash and its MAC our word for it, so that nobody has to store it."""

import hashlib
import hmac
import json
from typing import Any

from backend.kit.problems import PlanInvalid


def _id(plan: dict[str, Any]) -> str:
    body = {name: value for name, value in plan.items() if name not in {"id", "mac"}}
    return "0x" + hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _mac(secret: bytes, plan_id: str) -> str:
    return "0x" + hmac.new(secret, plan_id.encode(), hashlib.sha256).hexdigest()


def seal(plan: dict[str, Any], secret: bytes) -> dict[str, Any]:
    """Return the plan with its `id` and `mac`."""
    plan_id = _id(plan)
    return {"id": plan_id, "mac": _mac(secret, plan_id), **plan}


def verify(plan: dict[str, Any], secret: bytes) -> None:
    """Check that we made this very plan.

    Raises:
        PlanInvalid: it was changed, or made under another key.
    """
    given_id, given_mac = plan.get("id"), plan.get("mac")
    try:
        plan_id = _id(plan)
    except (ValueError, RecursionError):
        plan_id = ""
    genuine = (
        isinstance(given_id, str)
        and isinstance(given_mac, str)
        and given_id == plan_id
        and hmac.compare_digest(given_mac.encode("utf-8", "replace"), _mac(secret, plan_id).encode())
    )
    if not genuine:
        raise PlanInvalid("This plan is not one of ours, or it was changed: ask for a new one and send it unchanged.")
