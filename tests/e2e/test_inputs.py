"""Readers of the fleet and the trace, and the story's own when there are none."""

import gzip
import random

import pytest

from scripts.story.duty import Hour, gappy, made_up_trace, read_trace, steady
from scripts.story.fleet import MODELS, Node, deal, made_up_nodes, read_nodes

HEADER = "value,timestamp_anon,container_ip\n"


def write(folder, name, text):
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_samples_stand_for_57_s_and_are_split_at_the_hour(tmp_path, name):
    # Pod a: 30 s before and 27 s after 7200; then a step of 114 s, of which the latter 57 s count.
    # Pod b only makes the trace span the hours 1 to 2.
    rows = ["50.0,7227.0,a", "100.0,7341.0,a", "0.0,3600.0,b", "0.0,10800.0,b"]
    a, b = read_trace(write(tmp_path, name, HEADER + "\n".join(rows) + "\n"))
    assert a.hours == (Hour(30, 15), Hour(27 + 57, 13 + 57))
    assert b.hours == (Hour(0, 0), Hour(57, 0))
    assert a.at(0) == a.at(2)


def test_trace_without_a_whole_hour_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no whole hour"):
        read_trace(write(tmp_path, "trace.csv", HEADER + "1.0,3700.0,a\n1.0,3757.0,a\n"))


def test_nodes(tmp_path):
    path = write(tmp_path, "nodes.csv", "gpu_model,gpu_capacity_num,cpu_num,node_name\nA10,1,64,0\nH800,8,192,1\n")
    assert read_nodes(path) == [Node("A10", 1), Node("H800", 8)]
    unknown = write(tmp_path, "unknown.csv", "gpu_model,gpu_capacity_num\nX1,1\n")
    with pytest.raises(ValueError, match=r"unknown models.*X1"):
        read_nodes(unknown)


def test_dealing_is_seeded_and_loses_no_gpu():
    nodes = made_up_nodes(random.Random(1))
    dealt = deal(nodes, random.Random(2), 3, 1_000)
    assert dealt == deal(nodes, random.Random(2), 3, 1_000)
    assert dealt != deal(nodes, random.Random(3), 3, 1_000)
    assert sum(sum(site.values()) for site in dealt) == sum(node.gpus for node in nodes)
    assert all(site.keys() <= MODELS.keys() for site in dealt)


def test_made_up_trace_has_both_kinds():
    pods = made_up_trace(random.Random(1))
    assert len(steady(pods)) >= 60
    assert len(gappy(pods)) >= 8
    assert all(0 <= hour.busy <= hour.available <= 3600 for pod in pods for hour in pod.hours)


def test_real_inputs(data):
    pods = read_trace(data / "gpu_duty_cycle.csv.gz")
    assert (len(pods), {len(pod.hours) for pod in pods}) == (143, {22})
    assert len(steady(pods)) >= 60
    assert len(gappy(pods)) >= 8
    nodes = read_nodes(data / "gpu_nodes.csv")
    assert len(nodes) == 4278
