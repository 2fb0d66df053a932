"""The contracts' ABIs, exported by ``scripts/build.py``: all of the contracts that Python reads."""

import json
from functools import cache
from pathlib import Path
from typing import Any

ABI_FOLDER = Path(__file__).parent / "abi"


@cache
def load_abi(name: str) -> list[dict[str, Any]]:
    """Return the ABI of the contract ``name``, shared by all callers: do not change it.

    Raises:
        FileNotFoundError: no ABI of that name was exported (``make abi`` exports them).
    """
    abi: list[dict[str, Any]] = json.loads((ABI_FOLDER / f"{name}.json").read_text(encoding="utf-8"))["abi"]
    return abi
