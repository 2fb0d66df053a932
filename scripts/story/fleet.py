"""The GPUs of the story: nodes read from a file or made up, dealt to sites."""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ASSUMED_TDP_WATTS = 300


@dataclass(frozen=True)
class Model:
    """What a site asks for a GPU with none and with all of them leased, base units per GPU-hour, and its TDP in W."""

    floor_price: int
    ceiling_price: int
    tdp_watts: int


# TDP of the boards as their makers state it; the anonymous series' is assumed.
MODELS = {
    "A10": Model(420_000, 700_000, 150),
    "A100-SXM4-80GB": Model(1_250_000, 1_900_000, 400),
    "A800-SXM4-80GB": Model(1_150_000, 1_700_000, 400),
    "H800": Model(2_100_000, 3_400_000, 700),
    "GPU-series-1": Model(550_000, 900_000, ASSUMED_TDP_WATTS),
    "GPU-series-2": Model(800_000, 1_300_000, ASSUMED_TDP_WATTS),
}
_MADE_UP = {"A10": (1, 40), "A100-SXM4-80GB": (8, 30), "H800": (8, 20), "GPU-series-1": (1, 10)}
_MADE_UP_NODES = 400


@dataclass(frozen=True)
class Node:
    """A machine with GPUs of one model."""

    model: str
    gpus: int


def read_nodes(path: Path) -> list[Node]:
    """Read a CSV with the columns `gpu_model` and `gpu_capacity_num`.

    Raises:
        ValueError: a model that the story has no price for, or no node at all.
    """
    nodes = [Node(row["gpu_model"], int(row["gpu_capacity_num"])) for row in rows(path)]
    unknown = {node.model for node in nodes} - MODELS.keys()
    if unknown or not nodes:
        raise ValueError(f"{path}: {len(nodes)} nodes, unknown models {sorted(unknown)}; known: {sorted(MODELS)}")
    return nodes


def made_up_nodes(rng: random.Random) -> list[Node]:
    """Return nodes of a fleet that never was."""
    models = list(_MADE_UP)
    weights = [weight for _, weight in _MADE_UP.values()]
    return [Node(model, _MADE_UP[model][0]) for model in rng.choices(models, weights, k=_MADE_UP_NODES)]


def deal(nodes: list[Node], rng: random.Random, sites: int, racks: int) -> list[Counter[str]]:
    """Shuffle the nodes and deal them in turn until each of `sites` has `racks`; return GPUs by model for each."""
    shuffled = rng.sample(nodes, min(len(nodes), sites * racks))
    dealt: list[Counter[str]] = [Counter() for _ in range(sites)]
    for position, node in enumerate(shuffled):
        dealt[position % sites][node.model] += node.gpus
    return dealt


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, gzipped where its name ends in `.gz`."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        yield from csv.DictReader(file)
