"""`make verify`: play the demo's story, then compare its mirror with its raw logs, with the node and with storage."""

from __future__ import annotations

import sys

from scripts.demo import main

if __name__ == "__main__":
    main(["--verify", *sys.argv[1:]])
