"""What a study costs beside its runs, and how long its report takes with a thousand of them.

    python benchmarks/study.py

The student is scripted and nobody is trained, so that a run takes seconds: what the study adds is told in seconds a run and against
the shortest real run there is (the demo's second round, LOG.md).
"""

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.studies import pupils

from tutelage import runner
from tutelage.report import writing
from tutelage.studies import working
from tutelage.studies.bill import Cost
from tutelage.studies.cells import cells_of
from tutelage.studies.outcomes import FORMAT, Asked, KeptExam, Outcome
from tutelage.studies.study_folder import open_study, run_identity
from tutelage.studies.working import HowToWork, work

REAL = 200.0  # seconds of a short real run


def overhead(folder: Path) -> None:
    """Seconds that a study takes a run beside the run itself."""
    spent, plain = 0.0, runner.run

    def timed(*args: Any, **more: Any) -> Any:
        nonlocal spent
        begun = time.perf_counter()
        try:
            return plain(*args, **more)
        finally:
            spent += time.perf_counter() - begun

    working.runner.run = timed  # type: ignore[attr-defined]
    base = {
        **pupils.study()["base"],
        "questions": {"dev": "dev", "test_limit": 60},
        "mistakes": {"n": 1, "questions": 200},
    }
    opened = open_study(pupils.study(base=base, seeds=[0, 1, 2, 3, 4]), folder)
    begun = time.perf_counter()
    work(opened, HowToWork(launcher=pupils.launcher()))
    whole = time.perf_counter() - begun
    each = (whole - spent) / 10
    print(
        f"10 runs of {spent / 10:.2f} s: the study adds {1000 * each:.0f} ms a run, {each / REAL:.2%} of a run of {REAL:.0f} s"
    )


def thousand(folder: Path) -> None:
    """1,000 kept runs of 1,000 test and 300 dev questions, read and reported."""
    arms = {"once": {}, **{f"arm{i}": {"later.epochs": i + 1} for i in range(1, 10)}}
    compare = [["once", f"arm{i}"] for i in range(1, 10)]
    study = pupils.study(arms=arms, seeds=list(range(100)), compare=compare)
    opened = open_study(study, folder)
    rng = random.Random(0)
    for cell in cells_of(opened.study, {}):
        sets = [
            Asked(
                ids=tuple(f"{s}-{i}" for i in range(n)),
                keys=tuple(f"{cell.seed:03}{s[0]}{i:06}" for i in range(n)),
                kinds=("story",) * n,
            )
            for s, n in (("test", 1000), ("dev", 300))
        ]
        exams = []
        for step, one in zip(("2-test", "2-dev"), sets, strict=True):
            letters = "".join(rng.choices("rw", k=len(one.ids)))
            exams.append(
                KeptExam(step=step, title=step, who="student", round=2, split=step[2:], promised=step == "2-test", asked=one.digest,
                         samples=1, verdicts=letters, strict=letters, worked_out=letters)
            )  # fmt: skip
        bill = (
            Cost(step="rationales", kind="rationales", who="teacher", round=1, calls=20, tokens_in=900, tokens_out=900),
        )
        outcome = Outcome(
            format=FORMAT,
            identity=run_identity(opened.study, cell),
            student="2-test",
            last="2-test",
            dev="2-dev",
            exams=tuple(exams),
            bill=bill,
        )
        opened.kept.put(cell.folder, outcome, sets)
    opened.reload()
    begun = time.perf_counter()
    page = writing.write_study(opened)
    size = sum(file.stat().st_size for file in opened.kept.folder.rglob("*.gz"))
    print(
        f"1,000 runs: report in {time.perf_counter() - begun:.1f} s, {page.stat().st_size / 1e6:.1f} MB; kept in {size / 1e6:.1f} MB"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        overhead(Path(folder) / "a")
        thousand(Path(folder) / "b")


if __name__ == "__main__":
    main()
