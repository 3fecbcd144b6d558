"""Ray clusters of several simulated machines, which are this one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def cluster_of(*cores: int) -> Iterator[Any]:
    """A cluster with a machine of so many cores each; the first is its head."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores[0], "include_dashboard": False})
    try:
        for more in cores[1:]:
            cluster.add_node(num_cpus=more)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
