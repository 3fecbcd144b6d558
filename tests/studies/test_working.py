"""A study through its seams: which runs are made, what they share, what is kept, and how it goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.recipes.noting import Noting
from tests.studies import pupils

from tutelage.errors import ConfigError, Interrupted, ModelError, RunError
from tutelage.report import writing
from tutelage.studies.cells import Cell
from tutelage.studies.findings import Findings, findings_of
from tutelage.studies.study_folder import OpenStudy, open_study, run_identity
from tutelage.studies.workers import work_through
from tutelage.studies.working import HowToWork, keeping_out, work

Events = list[dict[str, Any]]


def make(folder: Path, raw: dict[str, Any], launcher: Noting | None = None, **how: Any) -> tuple[OpenStudy, Events]:
    """Work through a study; returns it with what was said."""
    heard: Events = []
    keep = how.pop("keep", None)
    opened = open_study(raw, folder, keep)
    work(
        opened,
        HowToWork(**{"listener": heard.append, "launcher": pupils.launcher() if launcher is None else launcher, **how}),
    )
    return opened, heard


def findings(opened: OpenStudy) -> Findings:
    return findings_of(opened)


def test_what_the_arms_of_a_seed_share_is_made_once(tmp_path: Path) -> None:
    launcher = pupils.launcher()
    _, heard = make(tmp_path / "study", pupils.study(), launcher)
    assert [taught.step for taught in launcher] == 3 * ["1-student", "2-student", "2-student"]
    made = [event["step"] for event in heard if event["event"] == "finished"]
    assert made.count("rationales") == made.count("1-test") == 3
    assert made.count("2-test") == 6
    assert sorted(
        str(path.relative_to(tmp_path / "study")) for path in (tmp_path / "study").glob("*/*/run.json")
    ) == sorted(f"{arm}/{seed}/run.json" for arm in ("once", "twice") for seed in range(3))


def test_arms_are_compared_over_seeds(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(margin=0.01))
    found = findings(opened)
    once, twice = found.arms
    assert 0.5 < once.accuracy.mean < 0.7 < twice.accuracy.mean < 0.9
    assert once.worked_out is not None
    assert once.worked_out.mean == 1.0  # its sums are all that is wrong
    (pair,) = found.comparisons
    assert pair.difference.mean == pytest.approx(twice.accuracy.mean - once.accuracy.mean)
    assert pair.difference.low > 0
    assert (pair.seeds, pair.difference.questions) == ((0, 1, 2), 150)
    assert pair.pooled is not None
    assert pair.pooled.questions == 150 + 3 * 30
    assert once.bill.words
    assert once.bill.calls == 20 + 10
    assert [run["run"] for run in found.runs] == [f"{arm}/{seed}" for seed in range(3) for arm in ("once", "twice")]


def test_each_arm_takes_the_rate_that_is_best_on_dev(tmp_path: Path) -> None:
    raw = pupils.study(tune={"later.learning_rate": [1.0, 1e-4]}, tune_seeds=[9])
    opened, _ = make(tmp_path / "study", raw)
    found = findings(opened)
    assert [(one.arm, one.chosen) for one in found.tuned] == [("once", 1e-4), ("twice", 1e-4)]
    config = (tmp_path / "study" / "tuning" / "once" / "1.0" / "9" / "config.yaml").read_text()
    assert "test_limit: 1\n" in config  # what chooses reads no test question but one
    assert all(arm.accuracy.mean > 0.5 for arm in found.arms)


def test_a_recipe_without_dev_exams_is_tuned_on_the_dev_split(tmp_path: Path) -> None:
    base = {key: pupils.study()["base"][key] for key in ("task", "teacher", "student", "training", "exam")}
    base |= {"recipe": "finetune_cot", "questions": {"train_limit": 20}, "baselines": ["zero_shot"]}
    arms = {"once": {}, "twice": {"training.epochs": 2}}
    raw = pupils.study(base=base, arms=arms, tune={"training.learning_rate": [1.0, 1e-4]}, tune_seeds=[9], seeds=[0, 1])
    opened, _ = make(tmp_path / "study", raw, Noting(lambda taught: f"scripted:tests.studies.pupils:{'weak' if taught.training.learning_rate < 1 else 'untuned'}"))  # fmt: skip
    assert opened.chosen() == {"once": 1e-4, "twice": 1e-4}
    assert "test: dev" in (tmp_path / "study" / "tuning" / "once" / "1.0" / "9" / "config.yaml").read_text()


def test_an_axis_gives_every_arm_each_of_its_values(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(vary={"feedback.questions": [4, 8]}, seeds=[0, 1]))
    found = findings(opened)
    assert [arm.title for arm in found.arms] == ["once at 4", "once at 8", "twice at 4", "twice at 8"]
    assert [(one.before, one.after) for one in found.comparisons] == [
        ("once at 4", "twice at 4"),
        ("once at 8", "twice at 8"),
    ]
    assert (tmp_path / "study" / "twice" / "8" / "1" / "run.json").exists()


def test_what_is_kept_is_not_made_again_elsewhere(tmp_path: Path) -> None:
    keep = tmp_path / "results"
    first, _ = make(tmp_path / "here", pupils.study(), keep=keep, seeds=[0, 1])
    assert findings(first).missing == ["once/2", "twice/2"]
    launcher = pupils.launcher()
    second, _ = make(tmp_path / "there", pupils.study(), launcher, keep=keep)
    assert [taught.step for taught in launcher] == ["1-student", "2-student", "2-student"]
    whole, _ = make(tmp_path / "whole", pupils.study())
    assert [one.difference for one in findings(second).comparisons] == [
        one.difference for one in findings(whole).comparisons
    ]
    assert sum(file.stat().st_size for file in keep.rglob("*.gz")) < 40_000


def test_a_study_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole, _ = make(tmp_path / "whole", pupils.study())
    launcher = pupils.launcher()
    for _ in range(3):
        left = iter(range(100))
        with pytest.raises(Interrupted, match="the same command goes on"):
            make(tmp_path / "study", pupils.study(), launcher, stopping=lambda left=left: next(left, None) is None)
    opened, _ = make(tmp_path / "study", pupils.study(), launcher)
    assert findings(opened).comparisons == findings(whole).comparisons


def test_a_failed_arm_is_shown_and_stops_no_other(tmp_path: Path) -> None:
    def student(taught: Any) -> str:
        if taught.training.epochs == 2:
            raise ValueError("out of memory")
        return "scripted:tests.studies.pupils:good"

    opened, heard = make(tmp_path / "study", pupils.study(), Noting(student))
    found = findings(opened)
    assert set(found.failures) == {"twice/0", "twice/1", "twice/2"}
    assert "ValueError: out of memory" in found.failures["twice/0"]
    assert [arm.arm for arm in found.arms] == ["once"]
    assert any("twice/1 failed" in event.get("line", "") for event in heard)
    again, _ = make(tmp_path / "study", pupils.study())
    assert findings(again).failures == {}
    assert findings(again).missing == []


def test_what_no_run_could_find_is_said_before_one_is_made(tmp_path: Path) -> None:
    raw = pupils.study()
    raw["base"]["student"] = f"hf:{tmp_path}/nobody"
    with pytest.raises(ModelError, match="no model at"):
        open_study(raw, tmp_path / "study")
    base = {
        "recipe": "finetune_cot",
        "task": pupils.TASK,
        "teacher": "worked:",
        "student": "scripted:tests.studies.pupils:good",
    }
    tuned = pupils.study(
        base=base, arms={"a": {}}, compare=[], tune={"training.epochs": [1, 2]}, tune_seeds=[9], tune_on="def"
    )
    with pytest.raises(ConfigError, match="tune_on = 'def': the task has no such split; did you mean 'dev'"):
        open_study(tuned, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_arms_that_make_the_same_run_are_named(tmp_path: Path) -> None:
    """What they differ in is read where a baseline is asked for alone."""
    arms = {"once": {}, "shown": {"shots": 3}}
    opened, _ = make(tmp_path / "study", pupils.study(arms=arms, compare=[["once", "shown"]], seeds=[0, 1]))
    assert [line for line in findings(opened).cautions if "same run" in line] == [
        f"once/{seed} and shown/{seed} are the same run: nothing read what they differ in" for seed in (0, 1)
    ]
    other, _ = make(tmp_path / "other", pupils.study(seeds=[0, 1]))
    assert not any("same run" in line for line in findings(other).cautions)


def test_a_run_whose_answers_cannot_be_read_is_named(tmp_path: Path) -> None:
    def student(taught: Any) -> str:
        return f"scripted:tests.studies.pupils:{'mute' if taught.training.epochs == 2 else 'good'}"

    arms = {"once": {}, "long": {"training.epochs": 2}}
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0, 1], arms=arms, compare=[]), Noting(student))
    told = [line for line in findings(opened).cautions if "could not be read" in line]
    assert told == [f"long/{seed}: 100% of the answers could not be read, and 0% were cut off" for seed in (0, 1)]
    page = writing.write_study(opened).with_suffix(".md").read_text()
    assert "0.0% of 50 (100% unread)" in page


def test_two_commands_do_not_work_at_one_seed(tmp_path: Path) -> None:
    opened = open_study(pupils.study(), tmp_path / "study")
    with keeping_out(opened, [0, 1]):
        with pytest.raises(RunError, match="another command is working at seed 0 of this study"):
            work_through(opened, HowToWork(launcher=pupils.launcher()))
        work_through(opened, HowToWork(launcher=pupils.launcher(), seeds=[2]))
    assert findings(opened).failures == {}
    assert {row["seed"] for row in findings(opened).runs} == {2}
    work_through(opened, HowToWork(launcher=pupils.launcher()))
    assert findings(opened).missing == []
    assert not list((tmp_path / "study" / ".making").glob("seed-*"))


def test_seeds_may_be_added_and_that_is_said(tmp_path: Path) -> None:
    make(tmp_path / "study", pupils.study(seeds=[0, 1]))
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0, 1, 2]))
    assert findings(opened).added == [
        "The seed 2 was added when 4 runs were finished: this size was chosen after looking."
    ]
    assert findings(opened).missing == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seeds": [0, 1]}, "is another study: seed 2 is gone"),
        ({"compare": []}, "is another study: compare"),
        ({"arms": {"once": {}, "twice": {"later.epochs": 3}}}, "arms.twice.later.epochs: 2 -> 3"),
    ],
)
def test_another_study_has_another_folder(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    open_study(pupils.study(), tmp_path / "study")
    with pytest.raises(RunError) as caught:
        open_study(pupils.study(**more), tmp_path / "study")
    assert said in str(caught.value)


def test_values_with_one_folder_are_refused(tmp_path: Path) -> None:
    raw = pupils.study(vary={"task": ["word_problems?size=300", "word_problems?size=300 "]}, seed_of=["run"])
    with pytest.raises(ConfigError, match="two values would have the same folder"):
        open_study(raw, tmp_path / "study")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is no study"):
        open_study(pupils.study(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_another_config_made_is_not_taken(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0]), keep=tmp_path / "kept")
    other = pupils.study(seeds=[0], base={**pupils.study()["base"], "first": 21})
    with pytest.raises(RunError, match=r"once/0\.json\.gz was made from another config"):
        make(tmp_path / "other", other, keep=tmp_path / "kept")
    assert opened.is_kept(Cell(arm="once", seed=0))


def test_an_outcome_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0]))
    (tmp_path / "study" / "kept" / "once" / "0.json.gz").write_bytes(b"torn")
    opened.reload()
    with pytest.raises(RunError, match="is nothing that a study keeps"):
        opened.missing()


def test_arms_of_a_seed_are_not_split_over_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = tmp_path / "kept"
    make(tmp_path / "here", pupils.study(), keep=keep, seeds=[0])
    shutil.rmtree(keep / "twice")
    monkeypatch.setattr("tutelage.studies.working.machine", lambda: {"processor": "another"})
    launcher = pupils.launcher()
    _, heard = make(tmp_path / "there", pupils.study(), launcher, keep=keep, seeds=[0])
    assert [taught.step for taught in launcher] == ["1-student", "2-student", "2-student"]
    assert any("seed 0 was begun on another kind of machine" in event.get("line", "") for event in heard)


def test_weights_go_once_a_seed_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    opened = open_study(pupils.study(seeds=[0]), folder)
    launcher = pupils.launcher()
    work(opened, HowToWork(launcher=launcher))
    for arm in ("once", "twice"):
        (folder / arm / "0" / "2-student" / "model.safetensors").write_bytes(b"weights")
    work(opened, HowToWork(launcher=launcher, drop_weights=True))
    assert not list(folder.rglob("*.safetensors"))
    assert json.loads((folder / "once" / "0" / "2-student" / "step.json").read_text())["step"] == "2-student"


def test_what_is_varied_may_be_mappings(tmp_path: Path) -> None:
    tasks = [{"name": "word_problems", "size": 300, "difficulty": 1}, {"name": "word_problems", "size": 300, "seed": 1}]
    opened, _ = make(tmp_path / "study", pupils.study(vary={"task": tasks}, seed_of=["run"], seeds=[0, 1]))
    found = findings(opened)
    assert len(found.arms) == 4
    assert len(found.comparisons) == 2
    assert found.missing == []


def test_null_may_be_a_value(tmp_path: Path) -> None:
    base = {**pupils.study()["base"], "patience": 1, "rounds": 3}
    opened, _ = make(
        tmp_path / "study", pupils.study(base=base, vary={"patience": [None, 2]}, seeds=[0, 1], seed_of=["run"])
    )
    assert [arm.title for arm in findings(opened).arms] == ["once at None", "once at 2", "twice at None", "twice at 2"]
    config = (tmp_path / "study" / "once" / "null" / "0" / "config.yaml").read_text()
    assert "patience: null" in config


def test_what_another_study_kept_is_in_no_finding(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    make(tmp_path / "one", pupils.study(seeds=[0, 1]), keep=keep, seeds=[0])
    other = pupils.study(seeds=[0, 1], base={**pupils.study()["base"], "first": 12})
    opened, _ = make(tmp_path / "two", other, keep=keep, seeds=[1])
    found = findings(opened)
    assert [arm.seeds for arm in found.arms] == [(1,), (1,)]
    assert found.missing == ["once/0", "twice/0"]
    assert "left out, since another config made it: once/0, twice/0" in found.cautions


def test_a_seed_begun_on_another_machine_is_made_anew_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0]))
    opened.kept.drop(Path("twice") / "0")
    monkeypatch.setattr("tutelage.studies.working.machine", lambda: {"processor": "another"})
    launcher = pupils.launcher()
    make(tmp_path / "study", pupils.study(seeds=[0]), launcher)
    assert [taught.step for taught in launcher] == ["1-student", "2-student", "2-student"]
    assert (tmp_path / "study" / "once" / "0.1.before" / "run.json").exists()


def test_a_seed_whose_arms_have_not_chosen_is_refused(tmp_path: Path) -> None:
    raw = pupils.study(tune={"later.learning_rate": [1e-5, 1e-4]}, tune_seeds=[9])
    with pytest.raises(RunError, match=r"nothing is chosen yet for once, twice; .* --seeds 9"):
        make(tmp_path / "study", raw, seeds=[1])


def test_a_local_task_is_its_questions_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'{{"question": "What is {i} plus {i}?", "answer": "{2 * i}"}}' for i in range(60)]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "q.jsonl").write_text("\n".join(rows))
    task = {"name": "local", "path": "q.jsonl", "kind": "number", "split_rule": 0.7}
    base = {
        "recipe": "finetune_cot",
        "task": task,
        "teacher": "scripted:m:f",
        "student": "hf:x",
        "baselines": ["zero_shot"],
    }
    raw = pupils.study(base=base, arms={"once": {}, "twice": {"training.epochs": 5}}, seed_of=["run"])
    cell = Cell(arm="once", seed=0)

    def digest(folder: str) -> str:
        monkeypatch.chdir(tmp_path / folder)
        return run_identity(open_study(raw, tmp_path / f"study-{folder}").study, cell)

    assert digest("a") == digest("b")
    (tmp_path / "b" / "q.jsonl").write_text("\n".join(rows[:-1]))
    assert digest("b") != digest("a")


def test_lost_questions_are_asked_again(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0]))
    shutil.rmtree(tmp_path / "study" / "kept" / "questions")
    opened.reload()
    assert [cell.title for cell in opened.missing()] == ["once/0", "twice/0"]
    again, _ = make(tmp_path / "study", pupils.study(seeds=[0]))
    assert findings(again).missing == []


def test_seeds_that_are_added_in_another_folder_are_said_too(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    first, _ = make(tmp_path / "one", pupils.study(seeds=[0]), keep=keep)
    writing.write_study(first)
    second = open_study(pupils.study(seeds=[0, 1]), tmp_path / "two", keep)
    assert second.added() == ["The seed 1 was added when 2 runs were finished: this size was chosen after looking."]


def test_one_seed_is_no_finding(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(), seeds=[0])
    writing.write_study(opened)
    text = (tmp_path / "study" / "study.md").read_text()
    assert "Nothing is found yet: no two arms have two seeds in common" in text
    assert "Found:" not in text


def test_a_set_of_questions_is_kept_once_however_its_attempts_are_ordered(tmp_path: Path) -> None:
    make(tmp_path / "study", pupils.study(seeds=[0, 1]))
    for arm, step in (("once", "2-test"), ("twice", "2-dev")):
        file = tmp_path / "study" / arm / "0" / step / "records.jsonl"
        file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    shutil.rmtree(tmp_path / "study" / "kept")
    make(tmp_path / "study", pupils.study(seeds=[0, 1]))
    assert len(list((tmp_path / "study" / "kept" / "questions").iterdir())) == 2 * 2  # dev and test of each seed


def test_exams_on_other_questions_are_not_compared(tmp_path: Path) -> None:
    opened, _ = make(tmp_path / "study", pupils.study(seeds=[0]))
    found = opened.kept.get(Path("once") / "0")
    assert found is not None
    (exam,) = [one for one in found.exams if one.step == found.student]
    fewer = opened.kept.asked(exam.asked)
    fewer = structs.replace(fewer, ids=fewer.ids[:-1], keys=fewer.keys[:-1], kinds=fewer.kinds[:-1])
    short = structs.replace(
        exam, asked=fewer.digest, verdicts=exam.verdicts[:-1], strict=exam.strict[:-1], worked_out=""
    )
    others = tuple(short if one is exam else one for one in found.exams)
    opened.kept.put(Path("once") / "0", structs.replace(found, exams=others), [fewer])
    with pytest.raises(RunError, match="once and twice cannot be compared: pair 1 is not on the same questions"):
        findings(opened)
