"""The report's limits: time, memory and size for a run with 10,000 attempts in 3 rounds, and how fast the page searches.

    python benchmarks/report.py           # about ten seconds; the search is timed in Chromium where there is one

The run is made up: answers of 60 to 120 words, drawn from a vocabulary of 3,000, so that they pack no better than real ones.
"""

import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.report.runs import Made, attempt

from tutelage.report import writing
from tutelage.types import Lesson, Question

ROUNDS, TRAIN, TEST = 3, 1_500, 1_200


def made_up(folder: Path) -> Path:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(3_000)]

    def text() -> str:
        return " ".join(rng.choices(words, k=rng.randint(60, 120)))

    questions = [
        Question(id=f"{split}-{i}", text=text(), answer="no", split=split, template=f"kind {i % 30}")
        for split, count in (("train", TRAIN), ("test", TEST))
        for i in range(count)
    ]
    made = Made(folder, questions, rounds=ROUNDS)
    made.exam("zero_shot", [attempt(f"test-{i}", "wrong", text()) for i in range(TEST)])
    made.lessons("lessons", [Lesson(question=f"train-{i}", prompt=f"{i}", completion=text(), kind="rationale") for i in range(TRAIN)])  # fmt: skip
    for number in range(1, ROUNDS + 1):
        made.training(f"{number}-student", [rng.random() for _ in range(2_000)])
        made.exam(f"{number}-exam", [attempt(f"train-{i}", rng.choice(("right", "wrong")), text()) for i in range(TRAIN)])  # fmt: skip
        made.exam(f"{number}-test", [attempt(f"test-{i}", rng.choice(("right", "wrong")), text()) for i in range(TEST)])
    return made.end()


def search(page_file: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"])
        page = browser.new_page()
        begun = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_selector("#questions > li")
        print(f"opened, first questions shown   {time.perf_counter() - begun:6.2f} s")
        for place in range(3):
            begun = time.perf_counter()
            page.fill("#words", ("qu", "st ra", "test-77")[place])
            before = page.inner_text("#count")
            while page.inner_text("#count") == before:
                pass
            print(
                f"search {place + 1}                        {1000 * (time.perf_counter() - begun):6.0f} ms  {page.inner_text('#count')}"
            )
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = made_up(Path(folder) / "run")
        begun = time.perf_counter()
        file = writing.write_report([run])
        count = TEST * (ROUNDS + 1) + TRAIN * ROUNDS
        print(f"{count:,} attempts in {ROUNDS} rounds    {time.perf_counter() - begun:6.2f} s")
        print(f"peak memory of the process      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MB")
        print(f"report.html                     {file.stat().st_size / 1e6:6.2f} MB")
        if shutil.which("chromium"):
            search(file)


if __name__ == "__main__":
    main()
