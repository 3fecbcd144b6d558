"""Tailored learning through its seams: what is asked of whom in which round, with scripted models and no torch."""

from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting

from tutelage import runner
from tutelage.errors import ConfigError, LessonError, RunError
from tutelage.recipes import rounds as rounds_of
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Chat, Feedback, Lesson

ASKED: list[Chat] = []


def good(chat: Chat, sample: int) -> str:
    """A teacher that reasons in two wordings, answers rightly, and corrects."""
    ASKED.append(chat)
    answer = ANSWERS.get(chat.question.partition("~")[0], "yes")
    if chat.purpose == "answer":
        return f"{answer}."
    if chat.purpose == "feedback":
        solutions = [f"<solution>Way {i} of round {chat.sample}. The answer is {answer}.</solution>" for i in range(3)]
        return "<error>The second flip was missed.</error>" + "".join(solutions)
    return f"Plain reasoning {sample % 2}."


def nonsense(chat: Chat, sample: int) -> str:
    return "I'm sorry, I can't help with that." if chat.purpose == "feedback" else good(chat, sample)


def repeats(chat: Chat, sample: int) -> str:
    """Whatever the student said is its solution, too."""
    if chat.purpose != "feedback":
        return good(chat, sample)
    return "".join(f"<solution>{text}</solution>" for text in chat.mistakes)


def again(chat: Chat, sample: int) -> str:
    """Feedback that says what the first lessons said."""
    if chat.purpose != "feedback":
        return good(chat, sample)
    return f"<solution>Plain reasoning 0. The answer is {ANSWERS[chat.question]}.</solution>"


def empty(chat: Chat, sample: int) -> str:
    return "" if chat.purpose == "feedback" else good(chat, sample)


def half(chat: Chat, sample: int) -> str:
    """Good on every other question."""
    ok = chat.purpose != "feedback" or int(chat.question.partition("-")[2]) % 2
    return good(chat, sample) if ok else "<solution>No idea. The answer is maybe.</solution>"


def exercising(chat: Chat, sample: int) -> str:
    """Sets two exercises: one that the votes find again, one that they do not."""
    if "~" in chat.question:
        sound = chat.question.endswith(".0")
        return ("yes." if sound else ["no.", "yes.", "no."][chat.sample % 3]) if chat.purpose == "answer" else "Think."
    if chat.purpose != "feedback":
        return good(chat, sample)
    exercises = "".join(
        f"<practice><problem>A new coin {i} for {chat.question}. Heads?</problem>"
        f"<solution>It is turned {i} times. The answer is yes.</solution></practice>"
        for i in range(2)
    )
    return good(chat, sample) + exercises


ANSWERS: dict[str, str] = {}


def learner(step: int) -> Any:
    """A student that is right on a share of the questions that grows by the round."""

    def student(chat: Chat, sample: int) -> str:
        number = int(chat.question.rpartition("-")[2])
        right = number % 10 < 3 * step
        answer = ANSWERS[chat.question]
        shown = answer if right else {"yes": "no", "no": "yes"}[answer]
        return f"Thought {sample} of student {step}. --> {shown}"

    return student


untuned, first, second, third = learner(0), learner(1), learner(2), learner(3)
STUDENTS = {1: "first", 2: "second", 3: "third"}


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "tailored",
        "preset": "paper",
        "rationales": {"samples": 2, "calls": 2},
        "task": "coin_flip?size=200",
        "teacher": f"scripted:{__name__}:good",
        "student": f"scripted:{__name__}:untuned",
        "questions": {"dev": "dev"},
        "baselines": ["zero_shot"],
        **more,
    }


def know(task: str = "coin_flip?size=200") -> None:
    """Nothing was asked yet, and the scripts know the task's answers."""
    ASKED.clear()
    for split in ("train", "dev", "test"):
        ANSWERS.update({q.id: q.answer for q in find_task(task).load(split)})


@pytest.fixture
def fitted() -> Noting:
    """Training is replaced by noting what would be taught; each round's student is a better script."""
    know()
    return Noting(lambda job: f"scripted:{__name__}:{STUDENTS[int(job.step[0])]}")


def test_three_rounds(tmp_path: Path, fitted: Noting) -> None:
    scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["zero-shot", "tailored, round 1", "tailored, round 2", "tailored, round 3"]
    assert [round(score.accuracy, 1) for score in scores.values()] == [0.0, 0.3, 0.6, 0.9]
    assert [step for step, *_ in fitted] == ["1-student", "2-student", "3-student"]
    # Warm start: each round goes on with the student of the round before.
    assert [who.rpartition(":")[2] for _, who, *_ in fitted] == ["untuned", "first", "second"]
    _, _, lessons, training = fitted[0]
    assert {lesson.kind for lesson in lessons} == {"rationale"}
    assert training.reflection is not None
    assert training.reflection.weight == 0.5
    # Negatives are this round's own mistakes, each ending in its own wrong answer.
    gold = {lesson.completion.rpartition(" --> ")[2] for lesson in lessons if lesson.question == "train-3"}
    assert all(
        w.rpartition(" --> ")[2] not in gold for lesson in lessons if lesson.question == "train-3" for w in lesson.wrong
    )
    assert all("student 0" in wrong for lesson in lessons for wrong in lesson.wrong)
    _, _, union, _ = fitted[1]
    fresh = [lesson for lesson in union if lesson.kind == "feedback"]
    assert [lesson.completion for lesson in union[: len(lessons)]] == [lesson.completion for lesson in lessons]
    assert {lesson.round for lesson in fresh} == {2}
    assert all(int(lesson.question.rpartition("-")[2]) % 10 >= 3 for lesson in fresh)  # only what was missed
    assert all(lesson.feedback == "The second flip was missed." for lesson in fresh)
    assert all(name.startswith("2-exam/train-") for lesson in fresh for name in lesson.attempts)
    assert len({lesson.completion for lesson in fresh if lesson.question == fresh[0].question}) == 2


def test_the_teacher_sees_the_mistake_as_data(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(rounds=2), tmp_path / "run", launcher=fitted)
    chats = [chat for chat in ASKED if chat.purpose == "feedback"]
    assert len({chat.question for chat in chats}) == len(chats) == 98
    text = chats[0].messages[0].content
    assert "> Thought 0 of student 1. -->" in text
    assert f"The right answer is: {ANSWERS[chats[0].question]}" in text
    replies = records.read_records(tmp_path / "run" / "2-feedback" / "records.jsonl", Feedback)
    assert len(replies) == 98


def test_ablations_are_config(tmp_path: Path, fitted: Noting) -> None:
    plain = {"feedback": {"writes": "rationales", "of": "all", "questions": 20}, "rounds": 2}
    runner.run(
        config(**plain, training={"reflection": None}, merge="latest", start="scratch"),
        tmp_path / "run",
        launcher=fitted,
    )
    assert not (tmp_path / "run" / "1-exam").exists()  # nothing would use it
    (_, who, lessons, training) = fitted[1]
    assert who.endswith("untuned")
    assert training.reflection is None
    assert {lesson.kind for lesson in lessons} == {"rationale"}
    assert len({lesson.question for lesson in lessons}) == 20
    assert not [chat for chat in ASKED if chat.purpose == "feedback"]


def test_the_mistakes_can_be_kept_from_the_teacher_and_so_can_the_answer(tmp_path: Path, fitted: Noting) -> None:
    """Ablations that differ from feedback in one thing: the same questions, the same request, the same calls."""
    asked = {}
    for name, change in {"full": {}, "unshown": {"shown": 0}, "blind": {"blind": True}}.items():
        ASKED.clear()
        runner.run(config(rounds=2, feedback={"questions": 20, **change}), tmp_path / name, launcher=fitted)
        asked[name] = {chat.question: chat.messages[0].content for chat in ASKED if chat.purpose == "feedback"}
    assert set(asked["full"]) == set(asked["unshown"]) == set(asked["blind"])
    question = next(iter(asked["full"]))
    full, unshown, blind = (asked[name][question] for name in ("full", "unshown", "blind"))
    assert "> Thought" in full
    assert "> Thought" not in unshown
    assert "attempt" not in unshown.lower()
    assert f"The right answer is: {ANSWERS[question]}" in unshown
    assert "> Thought" in blind
    assert "The right answer is" not in blind
    assert "the answer was known" not in blind
    assert records.read_records(tmp_path / "unshown" / "2-lessons" / "records.jsonl", Lesson)[0].attempts == ()


def test_a_question_that_was_not_missed_is_not_said_to_be(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(rounds=2, feedback={"of": "all"}), tmp_path / "run", launcher=fitted)
    shown = {chat.question: chat.messages[0].content for chat in ASKED if chat.purpose == "feedback"}
    assert len(shown) == 140
    for name, text in shown.items():
        missed = int(name.rpartition("-")[2]) % 10 >= 3
        assert ("end in a wrong answer" in text) == missed
        assert ("easiest to get wrong" in text) == (not missed)


def test_every_arm_chooses_from_the_same_questions(tmp_path: Path, fitted: Noting) -> None:
    def chosen(name: str, **more: Any) -> set[str]:
        runner.run(
            config(rounds=2, first=40, feedback={"of": "all", "questions": 20, **more}),
            tmp_path / name,
            launcher=fitted,
        )
        (step,) = [f"2-{step}" for step in ("feedback", "rationales") if (tmp_path / name / f"2-{step}").exists()]
        return {row.question for row in records.read_records(tmp_path / name / step / "records.jsonl", Feedback)}

    plain, told = chosen("plain", writes="rationales"), chosen("told")
    assert plain == told
    taught = {lesson.question for lesson in fitted[-1][2] if lesson.round == 0}
    assert plain & taught
    fresh = chosen("fresh-plain", fresh=True, writes="rationales")
    assert fresh == chosen("fresh", fresh=True)
    assert not fresh & taught


def test_without_feedback_as_many_questions_go_up_as_with_it(tmp_path: Path, fitted: Noting) -> None:
    """All missed questions have a first lesson already; plain rationales of them go up all the same."""
    runner.run(config(rounds=2, feedback={"writes": "rationales"}), tmp_path / "run", launcher=fitted)
    asked = records.read_records(tmp_path / "run" / "2-rationales" / "records.jsonl", Attempt)
    assert len({attempt.question for attempt in asked}) == 98  # as many as missed, as in the test of feedback above


def test_lessons_may_begin_with_some_and_the_student_s_own_right_answers_count(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(rounds=2, first=40, mistakes={"own": True}), tmp_path / "run", launcher=fitted)
    (_, _, begun, _), (_, _, union, _) = fitted
    assert len({lesson.question for lesson in begun}) == 40
    assert len({lesson.question for lesson in union if lesson.kind == "feedback"}) == 98  # missed, taught before or not
    assert not any(lesson.right for lesson in begun)  # the untuned student was never right
    easy = [lesson for lesson in union if lesson.right]
    assert easy
    assert all("student 1" in text for lesson in easy for text in lesson.right)
    assert not any(lesson.wrong for lesson in easy)


def test_setting_one_thing_leaves_the_method_s_other_defaults(tmp_path: Path, fitted: Noting) -> None:
    runner.run(
        config(rounds=1, training={"epochs": 3}, rationales={"max_tokens": 64, "calls": 2}),
        tmp_path / "run",
        launcher=fitted,
    )
    (_, _, lessons, training) = fitted[0]
    assert (training.epochs, training.learning_rate, training.prompt_weight) == (3, 7e-6, 0.1)
    assert training.reflection is not None
    assert len(lessons) == 2 * len({lesson.question for lesson in lessons})  # still two rationales a question


def test_later_rounds_may_train_otherwise(tmp_path: Path, fitted: Noting) -> None:
    later = {"learning_rate": 1e-6, "reflection": {"weight": 0.1}}
    runner.run(config(rounds=2, later=later), tmp_path / "run", launcher=fitted)
    assert [training.learning_rate for *_, training in fitted] == [7e-6, 1e-6]
    assert [training.reflection.weight for *_, training in fitted] == [0.5, 0.1]
    assert fitted[1][3].reflection.margin == 1.0


def test_it_stops_when_dev_no_longer_rises(tmp_path: Path, fitted: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STUDENTS, 3, "second")
    scores = runner.run(config(rounds=8, patience=1), tmp_path / "run", launcher=fitted)
    assert list(scores)[-1] == "tailored, round 3"
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert "round 3, the latest that holds on dev" in events


def dev(right: int, of: int) -> list[Attempt]:
    return [Attempt(question=str(i), verdict="right" if i < right else "wrong") for i in range(of)]


@pytest.mark.parametrize(
    ("rounds", "best"),
    [
        ([dev(31, 50), dev(29, 50)], 0),  # two of the same questions fewer: a fall of more than its standard error
        ([dev(31, 50), dev(31, 50)], 1),
        ([dev(20, 50), dev(30, 50), dev(10, 50)], 1),
        ([dev(30, 50), dev(10, 50), dev(40, 50)], 2),
        ([dev(5, 50)], 0),
    ],
)
def test_a_later_round_is_taken_unless_dev_fell(rounds: list[list[Attempt]], best: int) -> None:
    assert rounds_of.latest_that_holds(rounds) == best


def test_a_fall_within_its_standard_error_is_no_fall() -> None:
    """The demo's dev, 62 and then 58 % of 50 questions: 7 fixed and 9 broken say nothing."""
    before, after = dev(31, 50), dev(31, 50)
    for place in (*range(9), *range(31, 38)):
        after[place] = Attempt(question=str(place), verdict="wrong" if place < 9 else "right")
    assert rounds_of.latest_that_holds([before, after]) == 1


def test_a_student_without_mistakes_is_done(tmp_path: Path, fitted: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.first", learner(4))
    runner.run(config(), tmp_path / "run", launcher=fitted)
    assert "no mistakes are left to learn from" in (tmp_path / "run" / "events.jsonl").read_text()
    assert len(fitted) == 1


def test_exercises_are_kept_by_vote(tmp_path: Path, fitted: Noting) -> None:
    runner.run(
        config(rounds=2, teacher=f"scripted:{__name__}:exercising", feedback={"practice": 2}),
        tmp_path / "run",
        launcher=fitted,
    )
    practised = [lesson for lesson in fitted[1][2] if lesson.kind == "practice"]
    assert len(practised) == 98
    assert all(lesson.question.endswith("~2.0") for lesson in practised)
    assert "98 lessons from 196 exercises (dropped: 98 outvoted)" in (tmp_path / "run" / "events.jsonl").read_text()


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ("nonsense", "0 lessons from 98 calls (dropped: 98 unanswered)"),
        ("empty", "0 lessons from 98 calls (dropped: 98 unanswered)"),
        ("repeats", "(dropped: 196 wrong)"),
    ],
)
def test_a_useless_teacher_ends_the_run_clearly(tmp_path: Path, fitted: Noting, teacher: str, says: str) -> None:
    with pytest.raises(LessonError) as error:
        runner.run(config(teacher=f"scripted:{__name__}:{teacher}"), tmp_path / "run", launcher=fitted)
    assert "nothing is left to learn from" in str(error.value)
    assert says in str(error.value)
    # What was paid for is kept.
    assert len(records.read_records(tmp_path / "run" / "2-feedback" / "records.jsonl", Feedback)) == 98


def test_a_half_good_teacher_goes_on_with_what_is_good(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(rounds=2, teacher=f"scripted:{__name__}:half"), tmp_path / "run", launcher=fitted)
    fresh = [lesson for lesson in fitted[1][2] if lesson.kind == "feedback"]
    assert all(int(lesson.question.partition("-")[2]) % 2 for lesson in fresh)
    assert "unread)" in (tmp_path / "run" / "events.jsonl").read_text()


def test_a_teacher_with_nothing_new_to_say_ends_the_rounds(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(teacher=f"scripted:{__name__}:again"), tmp_path / "run", launcher=fitted)
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert "0 lessons from 98 calls (dropped: 98 repeated)" in events
    assert "says nothing that was not learned already" in events
    assert [step for step, *_ in fitted] == ["1-student"]
    assert "round 1, the latest that holds on dev" in events


def test_budgets_bind(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(rounds=2, feedback={"calls": 7}), tmp_path / "calls", launcher=fitted)
    assert len(records.read_records(tmp_path / "calls" / "2-feedback" / "records.jsonl", Feedback)) == 7
    runner.run(config(rounds=2, feedback={"tokens": 100}), tmp_path / "tokens", launcher=fitted)
    spent = records.read_records(tmp_path / "tokens" / "2-feedback" / "records.jsonl", Feedback)
    assert sum(reply.tokens_out for reply in spent[:-8]) < 100 <= sum(reply.tokens_out for reply in spent)
    assert "left out at feedback.tokens=100" in (tmp_path / "tokens" / "events.jsonl").read_text()


def test_dev_is_held_out_of_train(tmp_path: Path, fitted: Noting) -> None:
    runner.run(
        config(questions={"dev": None, "train_limit": 50, "dev_limit": 20}, rounds=1), tmp_path / "run", launcher=fitted
    )
    dev = {a.question for a in records.read_records(tmp_path / "run" / "1-dev" / "records.jsonl", Attempt)}
    assert len(dev) == 14  # a fifth of the 70 there are
    taught = {lesson.question for lesson in fitted[0][2]}
    assert not dev & taught
    assert len(taught) == 56


def test_run_again_makes_nothing_twice(tmp_path: Path, fitted: Noting) -> None:
    first_scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    ASKED.clear()
    assert runner.run(config(), tmp_path / "run", launcher=fitted) == first_scores
    assert not ASKED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feedback": {"votes": 2, "agree": 3}}, "agree=3 of votes=2"),
        ({"feedback": {"chose": "hardest"}}, r"feedback\.chose.*did you mean 'feedback\.choose'"),
        ({"later": {"learning_rat": 1}}, "learning_rat.*did you mean 'learning_rate'"),
        ({"later": {"epochs": 0}}, "epochs = 0"),
        ({"rounds": 0}, "rounds = 0"),
        ({"questions": {"dev": "dve"}}, "no split 'dve'; did you mean 'dev'"),
        (
            {"task": "reasoning_gym:chain_sum?size=40", "feedback": {"practice": 1}},
            "can only grade questions that it made",
        ),
    ],
)
def test_bad_configs_name_the_key(tmp_path: Path, fitted: Noting, change: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigError, RunError), match=says):
        runner.run(config(**change), tmp_path / "run", launcher=fitted)
