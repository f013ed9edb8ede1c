"""A Ray cluster of two nodes on this machine, as a program of its own.

python two_nodes.py          prints its address; `remove` on stdin removes the second node, `add` adds one, the end
                             of stdin ends it
"""

from __future__ import annotations

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=1))
        print(len(nodes), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
