"""The teacher client against a bare loop over the official SDK, and against its own limits, in one run.

    python benchmarks/teacher.py

The server is a process of its own on loopback that answers after 50 ms. Counts are the server's.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tutelage.models import Purse, open_model
from tutelage.models.cached import key_of
from tutelage.store.cache import ReplyCache
from tutelage.types import Chat, Message, Reply, Sampling

ROOT = Path(__file__).parents[1]
SAMPLING = Sampling(max_tokens=20)
os.environ.setdefault("OPENAI_API_KEY", "none")


class Served:
    url = ""
    requests = answered = 0


@contextmanager
def server(refused: float = 0.0) -> Iterator[Served]:
    """The tests' server, 50 ms a reply."""
    words = [sys.executable, "-m", "tests.server", "0.05", str(refused)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        served = Served()
        served.url = process.stdout.readline().strip()
        yield served
        process.stdin.close()
        served.requests, served.answered = map(int, process.stdout.readline().split())


def chats(count: int) -> list[Chat]:
    return [
        Chat(messages=(Message("user", f"What is {i} plus {i}? Think step by step."),), question=str(i))
        for i in range(count)
    ]


def ours(url: str, count: int, concurrency: int, store: ReplyCache | None = None) -> float:
    spec = {"kind": "openai", "name": "t", "base_url": url, "concurrency": concurrency}
    model = open_model(spec, purse=Purse(store) if store else None)
    begun = time.monotonic()
    replies = dict(model.answer(chats(count), SAMPLING))
    seconds = time.monotonic() - begun
    assert len(replies) == count
    assert all(row[0].finish == "stop" for row in replies.values())
    return seconds


def bare(url: str, count: int, concurrency: int) -> float:
    """What anyone writes first: the SDK, a semaphore, gather."""
    import openai

    async def run() -> None:
        client = openai.AsyncOpenAI(base_url=url, max_retries=0)
        gate = asyncio.Semaphore(concurrency)

        async def one(chat: Chat) -> None:
            async with gate:
                await client.chat.completions.create(
                    model="t",
                    messages=[{"role": "user", "content": chat.messages[0].content}],
                    max_tokens=20,
                    temperature=0,
                    top_p=1,
                    seed=0,
                )

        await asyncio.gather(*(one(chat) for chat in chats(count)))
        await client.close()

    begun = time.monotonic()
    asyncio.run(run())
    return time.monotonic() - begun


def cache_speed(folder: Path) -> None:
    """100,000 stored replies: one whole re-read, and lookups in batches."""
    store = ReplyCache(folder / "many.sqlite")
    many, reply = chats(100_000), Reply(text="Because. " * 40, tokens_in=30, tokens_out=80)
    keys = [key_of("m", chat, SAMPLING, 0) for chat in many]
    with store._connection:
        rows = ((key, b'{"model":"m"}', __import__("msgspec").json.encode(reply), 0.0, b"") for key in keys)
        store._connection.executemany("INSERT INTO replies VALUES (?, ?, ?, ?, ?)", rows)
    begun = time.monotonic()
    found = store.get_many(keys)
    lookup = time.monotonic() - begun
    assert len(found) == len(keys)

    class Nobody:
        name = "m"
        adapted: dict[str, str] = {}  # noqa: RUF012

        def left_out(self, request: object) -> tuple[str, ...]:
            return ()

        def ask(self, requests: object) -> Iterator[object]:
            raise AssertionError("everything is stored")

        def stop(self) -> None: ...

    from tutelage.models.cached import Cached

    begun = time.monotonic()
    assert sum(1 for _ in Cached(Nobody(), store).answer(many, SAMPLING)) == len(many)  # type: ignore[arg-type]
    print(
        f"100,000 stored replies: re-read in {time.monotonic() - begun:.1f} s; {len(keys) / lookup:,.0f} lookups a second"
    )


def main() -> None:
    with server() as one:
        first = ours(one.url, 300, 300)
    with server() as one:
        second = ours(one.url, 300, 300)
    print(f"300 requests, limits opened: {first:.2f} s with the SDK's import, {second:.2f} s after it")
    rates = []
    for _ in range(3):
        with server() as a, server() as b:
            rates.append((bare(a.url, 2000, 64), ours(b.url, 2000, 64)))
    theirs, mine = (statistics.median(side) for side in zip(*rates, strict=True))
    print(f"2,000 requests, 64 at once: bare SDK loop {2000 / theirs:.0f}/s, ours {2000 / mine:.0f}/s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ReplyCache(folder / "r.sqlite")
        with server() as again:
            for count in (300, 300, 301):
                ours(again.url, count, 64, store)
        print(f"again unchanged and with one more: {again.requests - 300} more requests")
        with server(0.2) as busy:
            seconds = ours(busy.url, 300, 64)
        print(f"20 % first-try 429, 300 rows: {seconds:.2f} s, {busy.requests} requests, {busy.answered} answered")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with server() as queue:
            ours(queue.url, 10_000, 64)
        print(
            f"10,000 queued requests: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB more at the peak"
        )
        cache_speed(folder)
    print(f"ours / bare SDK loop, requests a second: {theirs / mine:.2f}")


if __name__ == "__main__":
    main()
