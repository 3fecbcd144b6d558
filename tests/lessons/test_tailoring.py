"""Choosing mistakes, setting lessons against them, exercises, and the offline teacher's corrections."""

import random
from collections import Counter
from typing import Any

import pytest

from tutelage.grading.verdicts import judge
from tutelage.lessons import feedback, offline_teacher, practice, reflection
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.mistakes import mistakes
from tutelage.lessons.replies import read_feedback
from tutelage.lessons.selection import choose_alike, choose_questions
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Chat, Feedback, Lesson, Message, Question


def wrong(question: str, answer: str | None = "3", sample: int = 0, **more: Any) -> Attempt:
    return Attempt(
        **{
            "question": question,
            "sample": sample,
            "text": f"Text {sample}.",
            "answer": answer,
            "verdict": "wrong",
            **more,
        }
    )


def test_mistakes_are_different_and_whole() -> None:
    attempts = [
        wrong("a"), wrong("a", sample=1, text="TEXT  0."), wrong("a", sample=2), wrong("a", sample=3, truncated=True),
        wrong("a", sample=4, verdict="unread"), wrong("a", sample=5, verdict="right"), wrong("b"),
    ]  # fmt: skip
    assert [(m.question, m.sample) for m in mistakes(attempts)] == [("a", 0), ("a", 2), ("b", 0)]
    assert [(m.question, m.sample) for m in mistakes(attempts, keep=1)] == [("a", 0), ("b", 0)]


@pytest.mark.parametrize(
    ("text", "completion"),
    [
        ("3 - 4 is 1. --> 1", "3 - 4 is 1. --> 1"),
        ("3 -> 4.\n\nThen 5.  So the answer is 12, no 1.", "3 -> 4.\n\nThen 5. --> 1"),
        (
            "Five  times 6 = 30.  Therefore, the answer is 36 - 30 = 1.",
            "Five times 6 = 30. Therefore, the answer is 36 - 30 = 1. --> 1",
        ),
        ("The answer is 9. No. The answer is 1.", "The answer is 9. No. --> 1"),
        ("one it is", "one it is --> 1"),
        ("The answer is 1.", ""),
        ("--> 1", ""),
    ],
)
def test_a_mistake_ends_in_its_own_wrong_answer(text: str, completion: str) -> None:
    assert reflection.as_completion(wrong("a", "1", text=text)) == completion


def test_lessons_are_set_against_the_mistakes_of_their_question() -> None:
    lessons = [Lesson(question=q, prompt=q, completion="x --> 7", kind="feedback", wrong=("old --> 9",)) for q in "ab"]
    a, b = reflection.against(lessons, [wrong("a", "1", text="So one. --> 1"), wrong("a", "2", text="So two. --> 2")])
    assert a.wrong == ("So one. --> 1", "So two. --> 2")
    assert b.wrong == ()


def test_merging_drops_what_is_said_already() -> None:
    def lesson(prompt: str, completion: str) -> Lesson:
        return Lesson(question="a", prompt=prompt, completion=completion, kind="rationale")

    old, new = (
        [lesson("p", "One. --> 1")],
        [lesson("p", "one.  --> 1"), lesson("p", "Uno. --> 1"), lesson("q", "One. --> 1")],
    )
    assert [(m.prompt, m.completion) for m in reflection.merge(old, new)] == [
        ("p", "One. --> 1"), ("p", "Uno. --> 1"), ("q", "One. --> 1")
    ]  # fmt: skip


QUESTIONS = [Question(id=str(i), text=f"question {i}", answer="1", template=f"t{i % 3}") for i in range(12)]


def sat(missed: dict[str, list[str]]) -> list[Attempt]:
    """Four samples a question; `missed` maps a question to its wrong answers."""
    attempts = []
    for question in QUESTIONS:
        answers = missed.get(question.id, [])
        attempts += [wrong(question.id, answer, sample) for sample, answer in enumerate(answers)]
        attempts += [wrong(question.id, "1", sample, verdict="right") for sample in range(len(answers), 4)]
    return attempts


def test_the_hardest_and_the_commonest_go_first() -> None:
    attempts = sat({"3": ["4", "5", "6", "7"], "5": ["9", "9", "9"], "7": ["2"]})
    assert [q.id for q in choose_questions("hardest", 1, QUESTIONS, attempts, random.Random(0))] == ["3"]
    assert [q.id for q in choose_questions("common", 1, QUESTIONS, attempts, random.Random(0))] == ["5"]
    assert [q.id for q in choose_questions("hardest", 3, QUESTIONS, attempts, random.Random(0))] == ["3", "5", "7"]


def test_a_question_that_was_not_in_the_exam_is_the_easiest() -> None:
    """`feedback.of=all` chooses among all training questions, and `mistakes.questions` examines only some."""
    questions = [Question(id=name, text=name, answer="1") for name in ("a", "b", "c")]
    attempts = sat({"b": ["2", "2"]})
    for how in ("hardest", "common"):
        assert [q.id for q in choose_questions(how, 1, questions, attempts, random.Random(0))] == ["b"]


def test_spread_takes_turns_and_random_depends_on_the_seed() -> None:
    lopsided = [q for q in QUESTIONS if q.template != "t2"] + [QUESTIONS[2]]
    assert {q.template for q in choose_questions("spread", 3, lopsided, sat({}), random.Random(0))} == {
        "t0",
        "t1",
        "t2",
    }
    draws = {
        tuple(q.id for q in choose_questions("random", 4, QUESTIONS, sat({}), random.Random(seed))) for seed in range(9)
    }
    assert len(draws) > 5
    assert choose_questions("random", None, QUESTIONS, sat({}), random.Random(0)) == QUESTIONS


def test_without_templates_spread_is_over_clusters_of_words() -> None:
    coins = [
        Question(id=f"c{i}", text=f"A coin is heads up. Person {i} flips the coin. Heads?", answer="1")
        for i in range(9)
    ]
    trains = [
        Question(id=f"t{i}", text=f"The train leaves at {i} and travels for hours. Distance?", answer="1")
        for i in range(3)
    ]
    attempts = [wrong(q.id) for q in coins + trains]
    chosen = choose_questions("spread", 2, coins + trains, attempts, random.Random(0))
    assert {q.id[0] for q in chosen} == {"c", "t"}


def exercise(problem: str, solution: str = "3 + 4 = 7. The answer is 7.") -> str:
    return f"<practice><problem>{problem}</problem><solution>{solution}</solution></practice>"


def test_exercises_that_copy_the_test_or_have_no_answer_are_dropped() -> None:
    task = find_task("word_problems?size=40")
    test = task.load("test")
    copied = test[0].text.upper().replace(" ", "  ")
    nearly = test[1].text + " Say it."
    fresh = "A gardener plants 3 roses and 4 tulips. How many flowers are planted?"
    text = exercise(copied) + exercise(nearly) + exercise(fresh) + exercise(fresh) + exercise("What?", "No idea.")
    reply = Feedback(question="train-1", text=text, attempts=("2-exam/train-1#0",))
    broken = '{"keep": 0, "continuation": "So. 7", "exercises": ["What?", {"problem": 3}]}'
    both = [reply, Feedback(question="train-2", text=broken)]
    made = practice.exercises(both, task, practice.HeldOut(test), FeedbackConfig(practice=9), 2)
    assert [q.text for q in made.questions] == [fresh]
    assert (made.copied, made.repeated, made.unread) == (2, 1, 3)
    cut = practice.exercises(
        [Feedback(question="3", text="<practice><problem>P?</problem></practice>")],
        task,
        practice.HeldOut([]),
        FeedbackConfig(practice=9),
        2,
    )
    assert (cut.questions, cut.unread) == ((), 1)
    (lesson,) = made.lessons
    assert (lesson.kind, lesson.completion, lesson.question) == ("practice", "3 + 4 = 7. --> 7", "train-1~2.2")
    votes = [wrong("train-1~2.2", "7", sample, verdict="right" if sample else "wrong") for sample in range(3)]
    assert practice.agreed(made, votes, 2).lessons == made.lessons
    assert practice.agreed(made, votes, 3).lessons == ()


def test_fresh_questions_of_a_task_are_no_copies_of_its_test() -> None:
    for name in ("word_problems?size=400", "coin_flip?size=400", "tracking_shuffled_objects?size=400"):
        task = find_task(name)
        held_out, train = practice.HeldOut(task.load("test")), task.load("train")
        assert task.similar is not None
        like = [task.similar(question, random.Random(question.id)) for question in train[:60]]
        assert sum(held_out.copies(question.text) for question in like) <= 3, name


@pytest.mark.parametrize(
    "name",
    ["word_problems", "coin_flip", "last_letter_concatenation", "tracking_shuffled_objects", "date_understanding"],
)
def test_the_offline_teacher_gives_feedback_that_is_kept(name: str) -> None:
    task = find_task(f"{name}?size=60")
    questions = {question.id: question for question in task.load("train")}
    teacher = offline_teacher.WorkedTeacher(task, questions)
    config = FeedbackConfig(practice=2)
    replies = []
    for question in questions.values():
        chat = feedback.ask(task, question, ["Something else. --> 5"], config, [], 2)
        replies.append(Feedback(question=question.id, text=teacher(chat, 0)))
        assert read_feedback(replies[-1].text).error
    kept = feedback.keep_solutions(replies, task, questions, config, 2)
    assert kept.dropped["wrong"] == kept.dropped["unread"] == kept.dropped["unanswered"] == 0
    assert len({lesson.question for lesson in kept.lessons}) == len(questions)
    made = practice.exercises(replies, task, practice.HeldOut([]), config, 2)
    assert len(made.questions) > len(questions)
    for question in made.questions[:20]:
        chats = [
            Chat(messages=(Message("user", question.text),), question=question.id, purpose=p)
            for p in ("rationale", "answer")
        ]
        rationale, answer = (teacher(chat, 1) for chat in chats)
        assert judge(task, question, f"{rationale} The answer is {answer}")[1] == "right"


def test_a_repair_takes_the_place_of_a_lesson_that_says_the_same() -> None:
    plain = Lesson(question="1", prompt="Q", completion="Count them. --> yes", kind="rationale")
    other = Lesson(question="1", prompt="Q", completion="Count again. --> yes", kind="rationale")
    repair = Lesson(
        question="1",
        prompt="Q",
        completion="Count them. --> yes",
        kind="repair",
        round=2,
        kept=11,
        mistaken="Count them. --> no",
    )
    assert reflection.merge([plain, other], [repair]) == [repair, other]
    assert reflection.merge([repair], [plain]) == [repair]


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        ("First 10 + 4 = 15. Then 15 - 6 = 9. --> 9", '"10 + 4 = 15" is worked out wrongly: 10 + 4 = 14'),
        ("First 10 - 4 = 6. --> 6", '"10 - 4 = 6" does not follow from the problem; what is needed is 10 + 4 = 14'),
        ("First 4 + 10 = 14. --> 14", "A step is missing: 14 - 6 = 8"),
        ("First 10 + 4 = 14. Then 14 - 6 = 8. --> 9", "The sums are right, and what follows from them is 8"),
        ("First 10 / 0 = 3. --> 3", "10 / 0 = not possible"),
        ("", "A step is missing: 10 + 4 = 14"),
    ],
)
def test_the_first_wrong_sum_is_found(attempt: str, says: str) -> None:
    assert says in offline_teacher.repaired(attempt, ["She gets 10 + 4 = 14. Then 14 - 6 = 8 are left."], "8").diagnosis


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        ("The coin starts heads up. Ann flips it: heads. --> yes", 'The first wrong step is "Ann flips it: heads." It should say "Ann flips it: tails."'),
        ("Start: heads. After Ann flips: heads. --> yes", 'It should say "After Ann flips: tails."'),
        ("The coin starts heads up. --> yes", 'next comes "Ann flips it: tails."'),
        ("The coin starts heads up. Ann flips it: tails. It ends tails up. --> yes", "what follows from them is no"),
    ],
)  # fmt: skip
def test_the_first_wrong_sentence_is_found_in_the_student_s_own_wording(attempt: str, says: str) -> None:
    solutions = [
        "The coin starts heads up. Ann flips it: tails. It ends tails up.",
        "Start: heads. After Ann flips: tails. End: tails.",
    ]
    assert says in offline_teacher.repaired(attempt, solutions, "no").diagnosis


def test_an_arm_that_knows_only_the_kinds_that_are_missed_asks_as_many_of_each() -> None:
    train = [Question(id=str(i), text="", answer="", template="abc"[i % 3]) for i in range(30)]
    missed = [train[i] for i in (0, 3, 6, 1)]
    drawn = choose_alike(missed, train, random.Random(1))
    assert Counter(question.template for question in drawn) == {"a": 3, "b": 1}
    assert drawn == sorted(drawn, key=lambda question: int(question.id))
    assert {question.id for question in drawn} != {question.id for question in missed}
    few = [question for question in train if question.template != "a"] + train[:1]
    assert len(choose_alike(missed, few, random.Random(1))) == 4  # one of "a" is there: others take the places
    assert choose_alike(missed, [], random.Random(1)) == []


def test_a_match_is_no_part_of_what_earlier_steps_were_made_from() -> None:
    assert "match" not in FeedbackConfig().model_dump()
    assert FeedbackConfig(of="all", match="template").model_dump()["match"] == "template"
    with pytest.raises(ValueError, match="it needs of=all"):
        FeedbackConfig(match="template")
