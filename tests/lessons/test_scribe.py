"""Repairs: what of a teacher's reply is used, and what of it is not believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.grading.verdicts import judge
from tutelage.lessons import feedback, offline_teacher, reflection, scribe
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.replies import RepairParts, read_repair, write_repair
from tutelage.lessons.steps import split_steps, step_ends
from tutelage.lessons.wording import ARROW
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Feedback, Question, Reply

QUESTION = Question(id="q1", text="Maya has 3 shells, finds 4 more and loses 2. How many has she?", answer="5")
MISTAKE = "She gets 3 + 4 = 7 shells. Then 7 - 2 = 4 are left. --> 4"


@pytest.fixture(scope="module")
def task() -> Task:
    return find_task("word_problems?size=400")


def reply(
    keep: object = 1, continuation: object = "After that 7 - 2 = 5 are left. The answer is 5.", **more: object
) -> str:
    return json.dumps({"keep": keep, "continuation": continuation, "diagnosis": "7 - 2 is 5.", **more})


def settled(task: Task, text: str, mistake: str = MISTAKE) -> tuple[str, int, str]:
    parts = read_repair(text)
    if parts is None:
        return "", 0, "unanswered"
    repair, reason = scribe.settle_repair(task, QUESTION, mistake, parts)
    return (repair.completion, repair.kept, "") if repair else ("", 0, reason)


def test_a_repair_is_the_student_s_own_beginning_and_the_teacher_s_end(task: Task) -> None:
    completion, kept, _ = settled(task, reply())
    assert completion == "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5"
    assert completion[:kept] == MISTAKE[:kept] == "She gets 3 + 4 = 7 shells."


@pytest.mark.parametrize(
    ("text", "completion"),
    [
        (reply(0, "She has 3 + 4 = 7. So 7 - 2 = 5. The answer is 5."), "She has 3 + 4 = 7. So 7 - 2 = 5. --> 5"),
        (reply("1"), "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5"),
        (reply(1.0), "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5"),
        # it says the kept step again
        (
            reply(1, "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. The answer is 5."),
            "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5",
        ),
        (
            "Here you are:\n```json\n" + reply() + "\n```\nI hope it helps.",
            "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5",
        ),
        ('{"reply": ' + reply() + "}", "She gets 3 + 4 = 7 shells. After that 7 - 2 = 5 are left. --> 5"),
        # a line break inside a string, which strict JSON forbids and teachers write
        (
            '{"keep": 1, "continuation": "After that\n7 - 2 = 5 are left.\nThe answer is 5."}',
            "She gets 3 + 4 = 7 shells. After that\n7 - 2 = 5 are left. --> 5",
        ),
    ],
)
def test_a_reply_in_another_dress_is_used(task: Task, text: str, completion: str) -> None:
    assert settled(task, text)[0] == completion


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply(7), "keep a wrong step"),  # of 2
        (reply(2, "So it is 5. The answer is 5."), "keep a wrong step"),  # 7 - 2 = 4 is among them
        (reply(1, "Then 7 - 2 = 4 are left. No, 5 are. The answer is 5."), "repeat the wrong step"),
        (reply(0, "She gets 3 + 4 = 7 shells. Then 7 - 2 = 5. The answer is 5."), "repeat the wrong step"),
        (reply(1, "After that 7 - 2 = 3 are left. The answer is 3."), "wrong"),
        (reply(1, "After that some are left."), "unread"),
        (reply(1, ""), "unread"),
        (reply(-1), "unanswered"),
        (reply(True), "unanswered"),
        (reply([1]), "unanswered"),
        (reply(1, ["a", "b"]), "unanswered"),
        (reply(10**400), "keep a wrong step"),
        ("The second step is wrong: 7 - 2 = 5. The answer is 5.", "unanswered"),
        (reply()[:-20], "unanswered"),  # broken off
        ("{'keep': 1}", "unanswered"),
        ('{"keep": ' * 5000, "unanswered"),
        ("", "unanswered"),
    ],
)
def test_a_reply_that_cannot_be_used_says_why(task: Task, text: str, reason: str) -> None:
    assert settled(task, text) == ("", 0, reason)


@pytest.mark.parametrize(
    ("mistake", "text", "completion", "kept"),
    [
        # all steps stand, the answer alone is wrong
        (
            "She gets 3 + 4 = 7. Then 7 - 2 = 5. --> 7",
            reply(2, "The answer is 5."),
            "She gets 3 + 4 = 7. Then 7 - 2 = 5. --> 5",
            35,
        ),
        # lines instead of sentences: what stood between two steps stands there again
        (
            "1. 3 + 4 = 7\n2. 7 - 2 = 4 --> 4",
            reply(1, "2. 7 - 2 = 5. The answer is 5."),
            "1. 3 + 4 = 7\n2. 7 - 2 = 5. --> 5",
            12,
        ),
        # nothing that could be kept: one endless line without steps, and no attempt at all
        ("so " * 800 + "--> 9", reply(0), "After that 7 - 2 = 5 are left. --> 5", 0),
        ("", reply(0), "After that 7 - 2 = 5 are left. --> 5", 0),
        (
            "三加四是七。七减二是四。 --> 4",
            reply(1, "七减二是五。 The answer is 5."),
            "三加四是七。七减二是五。 --> 5",
            6,
        ),
    ],
)
def test_whatever_a_student_writes(task: Task, mistake: str, text: str, completion: str, kept: int) -> None:
    assert settled(task, text, mistake) == (completion, kept, "")


def test_a_long_diagnosis_is_no_line_to_learn(task: Task) -> None:
    parts = read_repair(reply(diagnosis="wrong " * 2000))
    assert parts is not None
    assert parts.diagnosis == ""
    broken = read_repair(reply(diagnosis="It is\n  wrong."))
    assert broken is not None
    assert broken.diagnosis == "It is wrong."


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60).map(str.strip)


@given(
    st.builds(
        RepairParts,
        st.integers(0, 99),
        texts,
        texts.map(lambda text: " ".join(text.split())),
        st.lists(st.tuples(texts, texts)).map(tuple),
    )
)
def test_what_is_written_is_read(parts: RepairParts) -> None:
    assert read_repair(write_repair(parts)) == parts


@given(st.text(alphabet="ab1.!? \n\t。()", max_size=80))
def test_steps_are_a_text_cut_up(text: str) -> None:
    ends = step_ends(text)
    assert ends == sorted(set(ends))
    assert "".join("".join(split_steps(text)).split()) == "".join(text.split())
    assert all(step == step.strip() != "" for step in split_steps(text))


def attempt_of(question: Question, solution: str, wrong: int) -> Attempt:
    """A worked solution, of which the result of one sum is another, and what follows from it."""
    steps = split_steps(solution)
    steps[wrong] = steps[wrong].replace("= ", "= 9", 1)
    return Attempt(question=question.id, text=f"{' '.join(steps)}{ARROW}999", answer="999", verdict="wrong")


@pytest.mark.parametrize("name", ["word_problems?size=400&difficulty=3", "word_problems?size=400"])
def test_the_offline_teacher_goes_on_from_the_first_wrong_step(name: str) -> None:
    """Of worked solutions with one false sum: exactly what is before it is kept, and the whole is right."""
    task = find_task(name)
    assert task.worked is not None
    asked = {question.id: question for question in task.load("train")}
    teacher = offline_teacher.WorkedTeacher(task, asked)
    kept, words = [], [0, 0]
    for number, question in enumerate(asked.values()):
        solution = task.worked(question, number)
        place = number % len(split_steps(solution))
        attempt = attempt_of(question, solution, place)
        mistaken = reflection.as_completion(attempt)
        chat = scribe.ask_scribe(task, question, mistaken, FeedbackConfig(form="scribe"), [], 2)
        said = feedback.written(chat, Reply(text=teacher(chat, 0)), {})
        made = scribe.keep_repairs([said], task, asked, {question.id: attempt}, 2)
        (lesson,) = made.lessons
        assert lesson.completion[: lesson.kept] == mistaken[: lesson.kept]
        assert len(split_steps(lesson.completion[: lesson.kept])) == place
        assert judge(task, question, lesson.completion)[1] == "right"
        assert "= 9" not in lesson.completion[lesson.kept :] or "= 9" in solution
        kept.append(lesson.kept > 0)
        words[0] += len(lesson.completion[lesson.kept :].split())
        words[1] += len(f"{solution} --> 5".split())
    assert 0.3 < sum(kept) / len(kept) < 0.8
    assert words[0] / words[1] < 0.85


def test_what_became_of_every_reply_is_counted(task: Task) -> None:
    texts = [reply(), reply(7), "no", reply(1, "So 3. The answer is 3.")]
    questions = {str(place): Question(id=str(place), text=QUESTION.text, answer="5") for place in range(5)}
    shown = {key: Attempt(question=key, text=MISTAKE, answer="4", verdict="wrong") for key in questions}
    replies = [Feedback(question=str(place), text=text) for place, text in enumerate(texts)]
    replies.append(Feedback(question="4", error="gone"))
    kept = scribe.keep_repairs(replies, task, questions, shown, 2)
    assert kept.line() == "1 lessons from 5 repairs (dropped: 1 failed, 1 unanswered, 1 keep a wrong step, 1 wrong)"
    assert scribe.lacking_lines(kept.lessons) == ""
    long = scribe.keep_repairs([Feedback(question="0", text=reply(diagnosis="so " * 900))], task, questions, shown, 2)
    assert scribe.lacking_lines(long.lessons).startswith("1 repairs have no line on the mistake")
    (lesson,) = kept.lessons
    assert (lesson.kind, lesson.mistaken, lesson.feedback, lesson.round) == ("repair", MISTAKE, "7 - 2 is 5.", 2)
