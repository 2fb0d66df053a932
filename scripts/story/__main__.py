"""The story as a process of its own: it is given an API, a node and the deployment's key, and no database."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path

from eth_account import Account
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from drakewell import Deployment, Http
from scripts.chain import Node
from scripts.story import cast, duty, fleet
from scripts.story.clock import Clock, Office
from scripts.story.story import Fleet, Story
from scripts.story.summary import failures, summary
from scripts.story.tables import TABLES_WIDTH, show


def main() -> None:
    """Play the story, print the tables, write the data; exit 1 where the outcome is a failure."""
    options = _parse()
    console = Console()
    deployment = Deployment.read(options.deployment)
    node = Node(options.node, pid=0)
    office = Office(node, Account.from_key(os.environ["DRAKEWELL_DEPLOYER_KEY"]), deployment.chain_id)
    gpus = _fleet(options.nodes, options.trace, random.Random(options.seed))  # noqa: S311 - a story, not a secret
    story = Story(Http(options.api), deployment, Clock(node), office, gpus, options.seed)
    _play(story, console)
    inputs = {name: path.name if (path := getattr(options, name)) else "made up" for name in ("nodes", "trace")}
    outcome = {"inputs": inputs, **summary(story)}
    story.close()
    if options.json:
        options.json.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    # Figures are never cut short: on a narrower terminal lines wrap.
    show(outcome, Console(width=max(console.width, TABLES_WIDTH)))
    wrong = failures(outcome)
    for line in wrong:
        console.print(f"[bold red]failure[/] {line}")
    sys.exit(bool(wrong))


def _play(story: Story, console: Console) -> None:
    columns = (TextColumn("{task.description:<46.46}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=cast.HOURS)
        for hour, text in story.run():
            progress.update(task, completed=hour, description=f"day {hour // 24 + 1} {hour % 24:02d}:00  {text}")


def _fleet(nodes: Path | None, trace: Path | None, rng: random.Random) -> Fleet:
    pods = duty.read_trace(trace) if trace else duty.made_up_trace(rng)
    machines = fleet.read_nodes(nodes) if nodes else fleet.made_up_nodes(rng)
    steady, gappy = duty.steady(pods), duty.gappy(pods)
    if not steady or not gappy:
        sys.exit(f"the trace has {len(steady)} pods without gaps and {len(gappy)} with some: the story needs both")
    rng.shuffle(steady)
    return Fleet(fleet.deal(machines, rng, len(cast.SITES), cast.FEW_RACKS), steady, gappy)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts.story", description=__doc__)
    parser.add_argument("--api", required=True, help="URL of the API")
    parser.add_argument("--node", required=True, help="URL of the node, for its clock and its faucet")
    parser.add_argument("--deployment", required=True, type=Path, help="file of the addresses to pin")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--nodes", type=Path)
    parser.add_argument("--trace", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # whoever started us says what is to be said
