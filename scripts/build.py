"""Build the contracts with forge and export their ABIs; ``--check`` fails where the committed ones have drifted.

Bytecode stays in ``build/forge``: ``contracts/abi`` holds only what does not change with the compiler.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from typing import Any

from scripts.processes import CHECKOUT, foundry

ABI_FOLDER = CHECKOUT / "contracts/abi"
ARTIFACTS = CHECKOUT / "build/forge"
STAMP = CHECKOUT / "build/forge.stamp"
# EIP-170: a chain refuses runtime code above this many bytes.
CODE_LIMIT = 24_576
# Every contract of these folders is exported; those of other folders are libraries and interfaces of theirs.
EXPORTED = ("contracts/*.sol", "contracts/testing/*.sol")
# Brownie needs a contract of our own to deploy OpenZeppelin's (see Authority.sol); readers know it by its true name.
RENAMED = {"Authority": "AccessManager"}


def source_hash() -> str:
    """Return a SHA-256 over all that the bytecode depends on: sources, settings and the lock of the compiler."""
    digest = hashlib.sha256()
    files = [*CHECKOUT.glob("contracts/**/*.sol")]
    files += [CHECKOUT / name for name in ("foundry.toml", "package-lock.json", "scripts/solc.mjs")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build() -> None:
    """Compile with forge, unless nothing has changed since the last time.

    Raises:
        SystemExit: the compiler found errors; it has printed them.
    """
    wanted = source_hash()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    done = subprocess.run([foundry("forge"), "build", "--quiet", "--skip", "test"], cwd=CHECKOUT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    STAMP.write_text(wanted)


def artifacts() -> dict[str, dict[str, Any]]:
    """Return forge's artifact of each exported contract, by contract name: those with code and their libraries."""
    found = {}
    for pattern in EXPORTED:
        for source in sorted(CHECKOUT.glob(pattern)):
            for path in sorted((ARTIFACTS / source.name).glob("*.json")):
                artifact = json.loads(path.read_text())
                here = artifact["metadata"]["settings"]["compilationTarget"]
                if list(here) == [str(source.relative_to(CHECKOUT))] and artifact["abi"]:
                    found[path.stem] = artifact
    return found


def exported(name: str, abi: list[dict[str, Any]]) -> str:
    """Return the text of an ABI file: sorted, so that moving a function in the source changes nothing."""
    entries = sorted(abi, key=lambda entry: (entry["type"], entry.get("name", ""), json.dumps(entry, sort_keys=True)))
    return json.dumps({"contractName": name, "abi": entries}, indent=1, sort_keys=True) + "\n"


def code_size(artifact: dict[str, Any]) -> int:
    """Return the bytes of runtime code; a library's placeholder is as long as its address."""
    return (len(artifact["deployedBytecode"]["object"]) - 2) // 2


def drift(texts: dict[str, str]) -> list[str]:
    """Return the names whose committed ABI is missing, different or of no contract any more."""
    committed = {path.stem: path.read_text() for path in ABI_FOLDER.glob("*.json")}
    return sorted(name for name in committed.keys() | texts.keys() if committed.get(name) != texts.get(name))


def main() -> None:
    """Build, export (or check) and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if contracts/abi differs from the sources")
    parser.add_argument("--no-export", action="store_true", help="only build, whatever the sizes")
    arguments = parser.parse_args()
    build()
    if arguments.no_export:
        return
    found = artifacts()
    texts = {RENAMED.get(name, name): exported(RENAMED.get(name, name), found[name]["abi"]) for name in found}
    if arguments.check:
        if names := drift(texts):
            sys.exit(f"contracts/abi is not what the sources say: {', '.join(names)}; run `make abi` and commit")
    else:
        ABI_FOLDER.mkdir(exist_ok=True)
        for name in drift(texts):
            path = ABI_FOLDER / f"{name}.json"
            path.write_text(texts[name]) if name in texts else path.unlink()
    sizes = {name: code_size(artifact) for name, artifact in found.items()}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{name:24} {size:7,} bytes  {size / CODE_LIMIT:6.1%} of EIP-170's limit")
    if large := [name for name, size in sizes.items() if size > CODE_LIMIT]:
        sys.exit(f"above {CODE_LIMIT:,} bytes: {', '.join(large)}")


if __name__ == "__main__":
    main()
