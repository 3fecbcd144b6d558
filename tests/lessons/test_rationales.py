"""Which of a teacher's rationales become lessons."""

from tutelage.grading.answers import READERS
from tutelage.grading.verdicts import judged
from tutelage.lessons import rationales
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Question, Verdict

READ, SAME = READERS["number"]
QUESTIONS = [Question(id=str(i), text=f"What is {i} + {i}?", answer=str(2 * i)) for i in range(1, 4)]
TASK = Task(name="sums", kind="number", splits=("train",), load=lambda split: QUESTIONS, read=READ, same=SAME)


def attempt(question: int, text: str, verdict: Verdict = "right", **more: object) -> Attempt:
    answer = None if verdict == "unread" else str(2 * question)
    strict: Verdict = more.pop("strict", verdict)  # type: ignore[assignment]
    return Attempt(question=str(question), text=text, answer=answer, verdict=verdict, strict=strict, **more)  # type: ignore[arg-type]


def test_every_dropped_rationale_has_its_reason() -> None:
    kept = rationales.keep(
        [
            attempt(1, "One and one\nmake 2.", sample=0, key="k1"),
            attempt(1, "one  and one make 2.", sample=1),  # the same but for spaces and case
            attempt(1, "Two ones are 2.", sample=2),
            attempt(2, "It is 5.", "wrong"),
            attempt(2, "Who knows?", "unread", sample=1),
            attempt(2, "Two and two and", truncated=True, sample=2),
            attempt(3, "", error="HTTP 500", verdict="unread"),
            attempt(3, "  ", sample=1),
        ],
        TASK,
        QUESTIONS,
    )
    assert [lesson.completion for lesson in kept.lessons] == ["One and one\nmake 2. --> 2", "Two ones are 2. --> 2"]
    assert kept.lessons[0].prompt == "What is 1 + 1?"
    assert (kept.lessons[0].key, kept.lessons[0].question, kept.lessons[1].sample) == ("k1", "1", 2)
    assert (kept.total, *kept.dropped.values()) == (
        8, 1, 1, 1, 1, 1, 1,
    )  # fmt: skip
    assert kept.line() == (
        "2 lessons from 8 rationales (dropped: 1 wrong, 1 unread, 1 truncated, 1 failed, 1 repeated, 1 empty)"
    )


def test_a_teacher_that_was_a_student_here_writes_its_arrow_once() -> None:
    kept = rationales.keep([attempt(1, "One and one make 2. --> 2"), attempt(2, "--> 4")], TASK, QUESTIONS)
    assert [lesson.completion for lesson in kept.lessons] == ["One and one make 2. --> 2"]
    assert kept.dropped["empty"] == 1


def test_a_students_own_answers_keep_what_it_thought() -> None:
    own = [attempt(1, "<think>\nA pair.\n</think>\n\nSo two. --> 2")]
    (lesson,) = rationales.own_right(own, TASK, QUESTIONS, 2, 4).lessons
    assert lesson.completion == "<think>\nA pair.\n</think>\n\nSo two. --> 2"


def test_an_answer_asked_for_in_the_same_call_must_be_committed_to() -> None:
    loose = {"strict": "unread"}
    rows = [
        attempt(1, "2 or so", **loose),
        attempt(2, "Four.", answer_text="4.", **loose),
        attempt(3, "Six: 6. The answer is 6."),
    ]
    kept = rationales.keep(rows, TASK, QUESTIONS)
    assert [lesson.completion for lesson in kept.lessons] == ["Four. --> 4", "Six: 6. --> 6"]
    assert kept.dropped["unread"] == 1


def test_a_repetition_is_judged_within_its_question() -> None:
    kept = rationales.keep([attempt(1, "So it is."), attempt(2, "So it is.")], TASK, QUESTIONS)
    assert [lesson.question for lesson in kept.lessons] == ["1", "2"]


def test_sets_of_samples_nest() -> None:
    many = [attempt(q, f"Way {s} to {q}.", sample=s) for s in range(8) for q in (3, 1, 2)]
    few = [a for a in many if a.sample < 3]
    smaller = {lesson.completion for lesson in rationales.keep(few, TASK, QUESTIONS).lessons}
    larger = {lesson.completion for lesson in rationales.keep(many, TASK, QUESTIONS).lessons}
    assert smaller < larger
    assert (len(smaller), len(larger)) == (9, 24)


def test_answers_only_is_the_gold_answer_as_it_is_read() -> None:
    question = Question(id="1", text="How much?", answer="1,000.0")
    (lesson,) = rationales.answers_only(TASK, [question])
    assert (lesson.completion, lesson.kind) == ("1000", "answer")


def test_what_was_thought_is_part_of_a_lesson_where_it_is_kept_apart() -> None:
    """Left in the text, as a local model leaves it, it is no part of one: whoever wants it has it taken apart in the exam."""
    rows = [
        attempt(1, "So two. The answer is 2.", thinking="One.\n\nAnd one more."),
        attempt(1, "So two. The answer is 2.", thinking="A pair.", sample=1),  # another thought is another lesson
        attempt(1, "So two. The answer is 2.", thinking="a  pair.", sample=2),
        attempt(2, "The answer is 4.", thinking="Two and two."),  # all of the reasoning is thought
        attempt(3, "<think>Three twice.</think>\nThree and three. The answer is 6."),
    ]
    kept = rationales.keep(rows, TASK, QUESTIONS)
    assert [lesson.completion for lesson in kept.lessons] == [
        "<think>\nOne.\n\nAnd one more.\n</think>\n\nSo two. --> 2",
        "<think>\nA pair.\n</think>\n\nSo two. --> 2",
        "<think>\nTwo and two.\n</think> --> 4",
        "Three and three. --> 6",
    ]
    assert kept.dropped["repeated"] == 1
    assert [judged(TASK, QUESTIONS[int(one.question) - 1], one.completion).strict for one in kept.lessons] == [
        "right"
    ] * 4
