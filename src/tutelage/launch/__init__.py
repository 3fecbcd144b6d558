"""Where work runs: every launcher there is; `catalog` finds one by its name or by the user's own import path."""

HERE = "here"  # the launcher where nothing else is asked for
LAUNCHERS = {
    HERE: ("tutelage.launch.here:Here", "in this process, on this machine"),
    "processes": (
        "tutelage.launch.processes:Processes",
        "processes:N, on N processes of this machine: a GPU each, or a share of the cores",
    ),
    "ray": (
        "tutelage.launch.ray:Ray",
        "ray, ray:N, ray:N-M or ray://HOST:PORT, on the machines of a Ray cluster, or on one of our own on this machine",
    ),
}
