"""Run the suites one after the other, all of them even if one fails, and print the seconds that each took."""

import subprocess
import sys
import time

from scripts.processes import CHECKOUT


def main() -> None:
    """Run ``make <suite>`` for each argument; exit 1 if any failed."""
    rows = []
    for suite in sys.argv[1:]:
        print(f"== {suite}", flush=True)
        start = time.monotonic()
        code = subprocess.run(["make", "--no-print-directory", suite], cwd=CHECKOUT, check=False).returncode
        rows.append((suite, time.monotonic() - start, code))
    print()
    for suite, seconds, code in rows:
        print(f"{suite:18} {seconds:7.1f} s  {'passed' if code == 0 else 'FAILED'}")
    print(f"{'in all':18} {sum(seconds for _, seconds, _ in rows):7.1f} s")
    sys.exit(any(code for _, _, code in rows))


if __name__ == "__main__":
    main()
