"""The teacher client against a bare loop over the official SDK, and against its own limits, in one run.

    python benchmarks/teacher.py [--curator PYTHON]

The server is a process of its own on loopback that answers after 50 ms. Counts are the server's.
"""

import argparse
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

from tutelage import exam
from tutelage.models.opening import Context, open_model
from tutelage.models.remote.cached import key_of
from tutelage.runs.replies import ReplyCache
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Message, Reply, Sampling

ROOT = Path(__file__).parents[1]
SAMPLING = Sampling(max_tokens=20)
os.environ.setdefault("OPENAI_API_KEY", "none")


class Served:
    url = ""
    requests = answered = most = 0
    first = last = 0.0  # requests a second in the first and the last quarter

    @property
    def refused(self) -> int:
        return self.requests - self.answered


@contextmanager
def server(*words: str) -> Iterator[Served]:
    """The tests' server, 50 ms a reply, with the words of its command line."""
    command = [sys.executable, "-m", "tests.server", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        served = Served()
        served.url = process.stdout.readline().strip()
        yield served
        process.stdin.close()
        *counts, first, last = process.stdout.readline().split()
        served.requests, served.answered, served.most = map(int, counts)
        served.first, served.last = float(first), float(last)


def chats(count: int) -> list[Chat]:
    return [
        Chat(messages=(Message("user", f"What is {i} plus {i}? Think step by step."),), question=str(i))
        for i in range(count)
    ]


def ours(url: str, count: int, concurrency: int, store: ReplyCache | None = None) -> float:
    spec = {"kind": "openai", "name": "t", "base_url": url, "concurrency": concurrency}
    model = open_model(spec, context=Context(store) if store else None)
    begun = time.monotonic()
    replies = dict(model.answer(chats(count), SAMPLING))
    seconds = time.monotonic() - begun
    assert len(replies) == count
    assert all(row[0].finish == "eos" for row in replies.values())
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

    from tutelage.models.remote.cached import Cached

    begun = time.monotonic()
    assert sum(1 for _ in Cached(Nobody(), store).answer(many, SAMPLING)) == len(many)  # type: ignore[arg-type]
    print(
        f"100,000 stored replies: re-read in {time.monotonic() - begun:.1f} s; {len(keys) / lookup:,.0f} lookups a second"
    )


def rationales(url: str, count: int, folder: Path) -> float:
    """Two calls a row, as `tutelage lessons` asks for them."""
    task = find_task(f"coin_flip?size={4 * count}")
    questions = task.load("train")[:count]
    model = open_model(
        {"kind": "openai", "name": "t", "base_url": url}, context=Context(ReplyCache(folder / f"{time.time()}"))
    )
    begun = time.monotonic()
    sat = list(exam.sit(model, task, questions, exam.ExamConfig(max_tokens=64).setup("zero_shot_cot", 0)))
    assert len(sat) == len(questions) == count
    assert not any(attempt.error for attempt in sat)
    return time.monotonic() - begun


_CURATOR = """
import os, sys, tempfile, time
os.environ.update(TELEMETRY_ENABLED="false", OPENAI_API_KEY="none", CURATOR_CACHE_DIR=tempfile.mkdtemp(), CURATOR_VIEWER="0",
                  CURATOR_DISABLE_CACHE="1", LITELLM_LOCAL_MODEL_COST_MAP="True")
import tiktoken
from bespokelabs import curator
from bespokelabs.curator.request_processor.online.openai_online_request_processor import OpenAIOnlineRequestProcessor

class Words:  # the tokenizer's files come from the network: any count of tokens does
    def encode(self, text, **more): return text.split()

tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *name: Words()

class Teacher(curator.LLM):
    def prompt(self, row): return row["q"]
    def parse(self, row, response): return [{"a": response}]

rows = [{"q": f"What is {i} plus {i}? Think step by step."} for i in range(int(sys.argv[2]))]
limits = {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**9, "max_concurrent_requests": 300}
teacher = Teacher(model_name="t", backend="openai", backend_params={"base_url": sys.argv[1], **limits}, generation_params={"max_tokens": 20})
begun = time.monotonic()
teacher(rows)
print("SECONDS", time.monotonic() - begun)
"""


def curator(python: str, url: str, count: int) -> float:
    """bespokelabs-curator with its limits opened, by an interpreter that has it."""
    done = subprocess.run([python, "-c", _CURATOR, url, str(count)], capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if not said:
        raise SystemExit(f"curator did not run: {done.stderr[-2000:]}")
    return float(said[-1].split()[1])


def speed(size: int, concurrency: int, times: int) -> None:
    """Against the bare loop, each time in turn."""
    rates, most, first, last = [], 0, 0.0, 0.0
    for _ in range(times):
        with server() as a, server() as b:
            rates.append((bare(a.url, size, concurrency), ours(b.url, size, concurrency)))
        most, first, last = b.most, b.first, b.last
    theirs, mine = (statistics.median(side) for side in zip(*rates, strict=True))
    print(
        f"{size:,} requests, {concurrency} at once: bare SDK loop {size / theirs:.0f}/s, ours {size / mine:.0f}/s, "
        f"ratio {theirs / mine:.2f}; {most} in flight at most, first quarter {first:.0f}/s, last {last:.0f}/s"
    )


def refusals(folder: Path, python: str | None) -> None:
    """Servers that refuse, each in its way."""
    with server("--refuse", "0.2", "--after", "1") as busy:
        seconds = rationales(busy.url, 297, folder)
    print(f"20 % first-try 429 with Retry-After: 1, 297 rows in two calls: {seconds:.2f} s, {busy.refused} refused")
    if python is None:
        print("curator was not compared (--curator PYTHON)")
    for words in (
        ["--refuse", "0.2", "--after", "1"],
        ["--rate", "50", "--after", "1"],
        ["--down", "3", "--after", "1"],
        [],
    ):
        with server(*words) as a:
            mine = ours(a.url, 300, 300)
        line = f"300 requests, {' '.join(words) or 'nothing refused'}: {mine:.2f} s, {a.refused} refused"
        if python:
            with server(*words) as b:
                theirs = curator(python, b.url, 300)
            line += f"; curator {theirs:.2f} s, {b.refused} refused; ours / curator {mine / theirs:.2f}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--curator", metavar="PYTHON", help="an interpreter that has bespokelabs-curator")
    parser.add_argument("--most", type=int, default=20_000, help="requests in one call")
    words = parser.parse_args()
    with server() as one:
        first = ours(one.url, 300, 300)
    with server() as one:
        second = ours(one.url, 300, 300)
    print(f"300 requests, limits opened: {first:.2f} s with the SDK's import, {second:.2f} s after it")
    for size, concurrency, times in ((594, 300, 3), (2000, 64, 3), (words.most, 256, 1)):
        speed(size, concurrency, times)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ReplyCache(folder / "r.sqlite")
        with server() as again:
            for count in (300, 300, 301):
                ours(again.url, count, 64, store)
        print(f"again unchanged and with one more: {again.requests - 300} more requests")
        refusals(folder, words.curator)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with server() as queue:
            ours(queue.url, 10_000, 64)
        print(
            f"10,000 queued requests: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB more at the peak"
        )
        cache_speed(folder)


if __name__ == "__main__":
    main()
