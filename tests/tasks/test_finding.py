"""Tasks by name, their options, the audit of golds and fixed subsets."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tutelage.errors import ConfigError, DataError
from tutelage.recipes.catalog import find_recipe
from tutelage.tasks import TASKS
from tutelage.tasks.auditing import audit
from tutelage.tasks.catalog import TWICE, find_task
from tutelage.tasks.datasets import published
from tutelage.tasks.task import subset
from tutelage.types import Question


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTELAGE_DATA", raising=False)


def test_table_is_complete() -> None:
    assert {*published.BENCHMARKS} <= {*TASKS}
    assert all(entry.summary for entry in TASKS.values())
    assert {name for name in TWICE if name in published.BENCHMARKS} == {*TWICE}


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("coin_flip", {"size": 2000, "flips": 4}),
        ("coin_flip?size=50&flips=3", {"size": 50, "flips": 3}),
        ({"name": "coin_flip", "size": 50}, {"size": 50}),
        ({"name": "coin_flip?flips=2", "size": 50}, {"size": 50, "flips": 2}),
        ("coin_flip?source=procedural", {"flips": 4}),
        ("reasoning_gym:leg_counting?size=50&max_animals=4", {"dataset": "leg_counting", "max_animals": 4}),
        ({"name": "reasoning_gym", "dataset": "leg_counting"}, {"dataset": "leg_counting"}),
    ],
)
def test_specs(spec: Any, options: dict[str, object]) -> None:
    assert options.items() <= dict(find_task(spec).options).items()


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("coin_flp", "unknown task 'coin_flp'; did you mean 'coin_flip'"),
        ("", "unknown task ''; known: "),
        ("coin_flip?flps=3", "no option 'flps'; did you mean 'flips'"),
        ("coin_flip?flips=x", "option 'flips': Expected `int`, got `str`"),
        ("coin_flip?flips=true", "option 'flips': Expected `int`"),
        ("coin_flip?flips", "'flips' is no option"),
        ("coin_flip?flips=1&flips=2", "'flips' is given twice"),
        ("coin_flip?flips=[1", "value of 'flips' cannot be read"),
        ("coin_flip?source=publishd", "source: did you mean 'published'"),
        ({"size": 3}, "needs the key 'name'"),
        ({"name": "coin_flip?size=3", "size": 4}, "'size' is given twice"),
        ("local?kind=number", "needs the option 'path'"),
        ({"name": "local", "path": 3, "kind": "number"}, "option 'path'"),
        ("reasoning_gym", "needs the option 'dataset'"),
        ({"name": "reasoning_gym:ab", "dataset": "bf"}, "names its data set twice"),
        ("no_such_module:task", "no package.module:NAME that can be imported"),
        ("json:nothing", "no package.module:NAME that can be imported"),
        ("json:__name__", "it must be a Task"),
        ("json:__name__?size=3", "takes no options"),
        ("gsm8k?template_split=true", "no template_split; these have one: multiarith, date_understanding"),
        ("gsm8k?name=svamp", "no option 'name'"),
    ],
)
def test_errors(spec: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find_task(spec)


@pytest.mark.parametrize("spec", ["addsub", "coin_flip?source=published", "multiarith?template_split=true"])
def test_what_is_not_on_the_hub_asks_for_a_folder(spec: str) -> None:
    with pytest.raises(DataError, match="not on the hub; name a folder"):
        find_task(spec)


def test_own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_tasks.py").write_text(
        "from tutelage import find_task as find\n"
        "made = find('coin_flip?size=10')\n"
        "def make(flips: int):\n    return find({'name': 'coin_flip', 'flips': flips})\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert find_task("my_own_tasks:made").options["size"] == 10
    assert find_task("my_own_tasks:make?flips=2").options["flips"] == 2
    assert find_task({"name": "my_own_tasks:make", "flips": 2}).options["flips"] == 2
    with pytest.raises(ConfigError, match="needs the option 'flips'"):
        find_task("my_own_tasks:make")
    with pytest.raises(ConfigError, match="is a int; it must be a Task"):
        find_task("my_own_tasks:wrong")


def test_published_data_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'{{"question": "Q{row}", "answer": "yes"}}\n' for row in range(10))
    (tmp_path / "coin_flip.jsonl").write_text(rows)
    task = find_task("coin_flip?source=published", data=str(tmp_path))
    assert (len(task.load("train")), len(task.load("test"))) == (7, 3)
    assert task.worked is None
    monkeypatch.setenv("TUTELAGE_DATA", str(tmp_path))
    assert find_task({"name": "coin_flip", "source": "published"}).load("test") == task.load("test")
    assert find_task("coin_flip").worked is not None
    with pytest.raises(DataError, match="there is no folder"):
        find_task("gsm8k", data=str(tmp_path / "nowhere"))


def test_written_solutions_are_taken_apart(tmp_path: Path) -> None:
    line = '{"question": "Q", "answer": "2 * 500 = <<2*500=1000>>1000.\\n#### 1,000"}\n'
    (tmp_path / "gsm8k.test.jsonl").write_text(line)
    task = find_task("gsm8k", data=str(tmp_path))
    [question] = task.load("test")
    assert (question.answer, question.rationale) == ("1000", "2 * 500 = 1000.")
    with pytest.raises(DataError, match=r"no local copy of gsm8k \(train\).*it has gsm8k\.test\.jsonl"):
        task.load("train")
    with pytest.raises(DataError, match="it has no file of this data set"):
        find_task("svamp", data=str(tmp_path)).load("train")


def test_template_split(tmp_path: Path) -> None:
    rows = [("train", "test"), ("test", "train"), ("train", "train")]
    line = '{{"question": "Q", "answer": "1", "split": "{}", "template_split": "{}"}}\n'
    (tmp_path / "multiarith.jsonl").write_text("".join(line.format(*row) for row in rows))
    plain, template = (find_task({"name": "multiarith", "template_split": on}, str(tmp_path)) for on in (False, True))
    assert [question.id for question in plain.load("train")] == ["0", "2"]
    assert [question.id for question in template.load("train")] == ["1", "2"]


def test_empty_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "svamp.jsonl").write_text('{"question": "Q", "answer": "1.0", "split": "train"}\n')
    task = find_task("svamp", data=str(tmp_path))
    assert task.load("train")[0].answer == "1"
    with pytest.raises(DataError, match="no row is in the split 'test'"):
        task.load("test")


def test_audit_names_the_golds() -> None:
    task = find_task("coin_flip?size=10")
    good = task.load("train")
    audit(task, good)
    bad = [Question(id=f"q{index}", text="x", answer="perhaps", source=f"f.jsonl:{index}") for index in range(7)]
    with pytest.raises(DataError, match=r"7 of 14 gold.*q0 \(f\.jsonl:0\): gold 'perhaps' is read as None.*and 2 more"):
        audit(task, [*good, *bad])


def test_subset() -> None:
    questions = find_task("coin_flip?size=100").load("train")
    assert subset(questions, None) == questions
    order = np.random.RandomState(0).permutation(len(questions))
    assert subset(questions, 8) == [questions[index] for index in order[:8]]
    assert subset(questions, 32)[:8] == subset(questions, 8)
    assert len(subset(questions, 10_000)) == len(questions)
    assert subset(questions, 8, seed=1) != subset(questions, 8)
    with pytest.raises(ConfigError, match="at least 1"):
        subset(questions, 0)


def test_a_task_of_ours_opens_no_folder_of_the_user_s_to_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies where one works is imported only if it is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    find_task("coin_flip?size=20")
    find_recipe("exam")
    assert str(tmp_path) not in sys.path
    (tmp_path / "named_here.py").write_text("from tutelage import find_task\nTASK = find_task('coin_flip?size=20')\n")
    assert find_task("named_here:TASK").name == "coin_flip"
