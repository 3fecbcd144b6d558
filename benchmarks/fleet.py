"""What a fleet costs and gains, with engines that sleep instead of computing: `python benchmarks/fleet.py`.

Prints, each as a ratio in one run: replies a second of eight engines against one; the fleet's own work a reply, with engines that answer at once; the memory that the asking
process grows by for many questions of four samples; and the time that is lost where three of eight are killed, beyond the share of those that were gone.
`--quick` asks a tenth of the questions; `--on ray` starts the engines through Ray.
"""

import argparse
import os
import resource
import secrets
import signal
import time
from collections.abc import Iterator, Sequence

import psutil

from tutelage.launch.catalog import find_launcher
from tutelage.types import Chat, Message, Reply, Sampling

TEXT = "Maya has 12 marbles and gives 5 of them to Ben, who had 7. How many marbles does each of them have now? " * 3


class Asleep:
    """Answers each question after so many seconds a sample."""

    has_weights = True
    name = "asleep"
    at_once = 64

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """One after the other."""
        for place in range(len(chats)):
            if self.seconds:
                time.sleep(self.seconds * sampling.n)
            yield place, [Reply(text=f"{TEXT} {sample}", tokens_in=80, tokens_out=80) for sample in range(sampling.n)]


def chats(count: int) -> list[Chat]:
    """So many questions of about 300 characters."""
    return [Chat(messages=(Message("user", f"{place}. {TEXT}"),), question=str(place)) for place in range(count)]


def started() -> list[psutil.Process]:
    """The engines."""
    return [one for one in psutil.Process().children(recursive=True) if "tutelage.launch.answerer" in one.cmdline()]


def timed(where: str, engines: int, seconds: float, asked: Sequence[Chat], n: int = 1, kill: int = 0) -> float:
    """Seconds from when all engines are ready until the last answer; so many engines are killed a third of the way."""
    fleet = find_launcher(f"{where}:{engines}").open({"kind": "benchmarks.fleet:Asleep", "seconds": seconds})
    warm = Sampling()
    while len(fleet.engines.live) < engines or not all(one.ready for one in fleet.engines.live.values()):  # type: ignore[attr-defined]
        list(fleet.answer(asked[:engines], warm))
    begun, done = time.monotonic(), 0
    for _, replies in fleet.answer(asked, Sampling(n=n, seed=1)):
        done += len(replies)
        if kill and done == len(asked) // 3:
            for child in started()[:kill]:
                os.kill(child.pid, signal.SIGKILL)
    took = time.monotonic() - begun
    assert done == len(asked) * n
    fleet.release()  # type: ignore[attr-defined]
    return took


def main() -> None:
    """Print the four numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--on", default="processes", choices=["processes", "ray"], help="which launcher starts them")
    given = parser.parse_args()
    scale, where = 10 if given.quick else 1, given.on
    if where == "ray":  # engines that sleep take no core, and a cluster gives one to each
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        ray.init(
            address="local", num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1"
        )
    asked = chats(8000 // scale)
    one, eight = timed(where, 1, 0.02, asked[: len(asked) // 8]) * 8, timed(where, 8, 0.02, asked)
    print(f"eight engines against one, 20 ms a reply: {one / eight:.2f} times")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    timed(where, 2, 0.0, asked)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    print(f"the fleet's own work: {1000 * own / len(asked):.3f} ms a reply")
    killed = timed(where, 8, 0.02, asked, kill=3)
    # From a third on five of eight work until the others are back.
    print(f"three of eight killed after a third: {killed / eight:.2f} times as long")
    many, began = chats(100_000 // scale), psutil.Process().memory_info().rss
    timed(where, 2, 0.0, many, n=4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{len(many):,} questions of four samples: the process that asks holds {peak / 1e9:.2f} GB at the most, {began / 1e9:.2f} before"
    )


if __name__ == "__main__":
    main()
