"""Lessons for exactly the mistakes a student made: what a teacher is asked, and what is kept of the reply.

The wording is ours; the procedure is that of Wang et al. (2023), arXiv 2310.13332, section on customised feedback.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from string import Template
from typing import Annotated, ClassVar, Literal, Self

from msgspec.structs import replace
from pydantic import Field, model_validator

from tutelage.config import Settings
from tutelage.grading.verdicts import judge
from tutelage.lessons.kept import Kept
from tutelage.lessons.rationales import gold
from tutelage.lessons.replies import read_feedback
from tutelage.lessons.wording import ARROW, reasoning, same_words
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Chat, Feedback, Lesson, Message, Question, Reply, Sampling


class FeedbackConfig(Settings):
    """Which mistakes go to the teacher in a round, and what it is asked for."""

    newer: ClassVar[frozenset[str]] = frozenset({"match", "form", "own", "diagnosis"})
    writes: Literal["feedback", "rationales", "own"] = Field(
        "feedback",
        description="'rationales': the ablation without feedback, as many plain rationales that know no mistake; 'own': no teacher "
        "is asked, and the student's own right answers in the exam are its lessons [rejection sampling: Yuan et al. 2023]",
    )
    form: Literal["solution", "scribe"] = Field(
        "solution",
        description="what the teacher is asked for: a whole solution, or (scribe) how many of the student's steps stand and how it "
        "goes on from there: what stands is the student's own text. What cannot be used is asked for as a whole solution",
    )
    of: Literal["missed", "unsolved", "all", "right"] = Field(
        "missed",
        description="'unsolved': of the missed ones those that no sample answered rightly; 'all': the ablation without tailoring, any "
        "training question may go up; 'right': only those whose answers in the exam were all right",
    )
    own: Annotated[int, Field(ge=0)] = Field(
        0,
        description="the student's own right answers in the exam that become lessons beside the teacher's, at most so many a question; "
        "with of=unsolved the teacher is asked only where there is none [rejection sampling: Yuan et al. 2023]",
    )
    match: Literal["template"] | None = Field(
        None,
        description="with of=all, the ablation that knows which kinds of question are missed and not which questions: "
        "as many of each template go up as of=missed would send",
    )
    questions: Annotated[int, Field(ge=1)] | None = Field(None, description="how many go up a round; default: all")
    choose: Literal["random", "hardest", "common", "spread"] = Field(
        "random",
        description="hardest: most samples wrong; common: most samples with the same wrong answer; spread: over "
        "templates, or over clusters of like questions",
    )
    rationales: Annotated[int, Field(ge=1)] = Field(
        1, description="different solutions a question; two of half as many questions taught no more (LOG.md)"
    )
    shown: Annotated[int, Field(ge=0)] = Field(
        2,
        description="wrong attempts a question that the teacher sees, a scribe the first of them; 0: the ablation with everything but "
        "the mistakes",
    )
    blind: bool = Field(False, description="the ablation in which the teacher is not told the right answer")
    diagnosis: bool = Field(
        True,
        description="the teacher also says in a line or two what was wrong; without, its replies are shorter, and critique, "
        "self_distil and `tutelage probe` have nothing to go by",
    )
    fresh: bool = Field(
        False, description="only questions without a lesson so far go up, where there are enough of them"
    )
    practice: Annotated[int, Field(ge=0)] = Field(0, description="new exercises a question, like the missed one")
    votes: Annotated[int, Field(ge=1)] = Field(3, description="times the teacher solves an exercise afresh")
    agree: Annotated[int, Field(ge=1)] = Field(2, description="votes an exercise's answer needs to be kept")
    temperature: Annotated[float, Field(ge=0)] = Field(0.7, description="of the feedback, and of votes")
    max_tokens: Annotated[int, Field(ge=1)] = Field(
        1024, description="longest reply with feedback; a longer one is cut off"
    )
    calls: Annotated[int, Field(ge=1)] | None = Field(None, description="most teacher calls a round, votes included")
    tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="no further mistakes go up in a round once its feedback has cost this many tokens"
    )

    @model_validator(mode="after")
    def _matches_all(self) -> Self:
        if self.match and self.of != "all":
            raise ValueError(f"match={self.match} chooses among all questions: it needs of=all")
        return self

    @model_validator(mode="after")
    def _a_scribe_writes_one(self) -> Self:
        if self.form == "scribe" and self.writes != "feedback":
            raise ValueError(f"form=scribe is a form of feedback; it needs writes=feedback, not {self.writes}")
        if self.form == "scribe" and self.rationales > 1:
            raise ValueError(
                f"form=scribe: an attempt goes on in one way; rationales={self.rationales} needs form=solution"
            )
        return self

    @model_validator(mode="after")
    def _votes_suffice(self) -> Self:
        if self.agree > self.votes:
            raise ValueError(f"agree={self.agree} of votes={self.votes} can never be reached")
        return self

    def sampling(self, seed: int) -> Sampling:
        """How the feedback is drawn."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=seed)

    def most(self, aloud: int) -> int | None:
        """How many questions may go up under the limits on questions and calls; `aloud` calls make a rationale."""
        asked = 2 if self.form == "scribe" else 1  # what cannot be used is asked for again
        each = self.rationales * aloud if self.writes == "rationales" else asked + aloud * self.practice * self.votes
        limits = [limit for limit in (self.questions, self.calls and self.calls // each) if limit is not None]
        return min(limits) if limits else None


def attempt_name(step: str, attempt: Attempt) -> str:
    """How a lesson refers to an attempt."""
    return f"{step}/{attempt.question}#{attempt.sample}"


def ask(
    task: Task, question: Question, wrong: Sequence[str], config: FeedbackConfig, examples: Sequence[str], number: int
) -> Chat:
    """The request for feedback on the wrong attempts at a question, in round `number`; `examples` are solutions in the student's format.

    Without attempts it is the same request for a question that was not missed, or whose mistakes are kept back.
    """
    numbered = [f"Attempt {place}:\n{quoted(text)}" for place, text in enumerate(wrong, start=1)]
    many, told = config.rationales, _SHOWN if wrong else _UNSHOWN
    second = 2 if config.diagnosis else 1
    text = filled(
        "feedback",
        diagnose=f"1. {told['diagnose']} Write this between <error> and </error>.\n" if config.diagnosis else "",
        solve=second,
        hard=told["hard"],
        attempts=filled("attempts", attempts="\n\n".join(numbered)) if wrong else "",
        solutions=f"{many} correct solutions that differ in their wording, each"
        if many > 1
        else "one correct solution",
        practice=filled("practice", place=second + 1, exercises=config.practice) if config.practice else "",
        **common(task, question, config, examples),
    )
    return Chat(
        messages=(Message("user", text.strip()),),
        question=question.id,
        purpose="feedback",
        sample=number,
        mistakes=tuple(wrong),
        solutions=many,
        exercises=config.practice,
        diagnosis=config.diagnosis,
    )


# What is asked where mistakes are shown, and where none are.
_SHOWN = {
    "diagnose": "Say in one or two sentences which step of the student's reasoning is the first wrong one, and why.",
    "hard": "went wrong",
}
_UNSHOWN = {
    "diagnose": "Say in one or two sentences which step of such a problem is the easiest to get wrong, and why.",
    "hard": "is easy to get wrong",
}


def common(task: Task, question: Question, config: FeedbackConfig, examples: Sequence[str]) -> dict[str, str]:
    """The parts that every form of request has: the problem, its answer, solutions in the student's format, what to be silent of."""
    return {
        "problem": task.ask(question).messages[-1].content,
        "known": "" if config.blind else f"The right answer is: {gold(task, question)}\n\n",
        "examples": filled("examples", solutions="\n".join(map(quoted, examples))) if examples else "",
        "silent": "no student" if config.blind else "neither the student nor that the answer was known",
    }


def filled(name: str, **parts: object) -> str:
    """A prompt of this package with its parts."""
    file = resources.files("tutelage.lessons").joinpath("prompts", f"{name}.txt")
    return Template(file.read_text(encoding="utf-8")).substitute(parts)


def quoted(text: str) -> str:
    """Every line behind "> ": whatever a student writes, it cannot end the quotation."""
    return "\n".join(f"> {line}" for line in text.strip().splitlines())


def written(chat: Chat, reply: Reply, names: Mapping[str, tuple[str, ...]]) -> Feedback:
    """What a teacher wrote in reply to a chat, as it is kept; `names` are the attempts each question's chat shows."""
    return Feedback(
        question=chat.question,
        attempts=names.get(chat.question, ()),
        prompt=chat.messages[-1].content,
        text=reply.text,
        truncated=reply.finish == "length",
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        key=reply.key,
        model=reply.model,
        error=reply.error,
    )


def keep_solutions(
    replies: Iterable[Feedback],
    task: Task,
    questions: Mapping[str, Question],
    config: FeedbackConfig,
    number: int,
    learned: Iterable[Lesson] = (),
) -> Kept:
    """Keep up to `config.rationales` different solutions a question, each with the right answer, as the lessons of a round.

    A solution that is among the lessons `learned` so far is a repetition.
    """
    known: dict[str, set[str]] = {}
    for lesson in learned:
        body = lesson.completion.rpartition(ARROW.strip())[0]
        known.setdefault(lesson.question, set()).add(same_words(body))
    counts = dict.fromkeys(("failed", "unanswered", "wrong", "unread", "repeated", "empty"), 0)
    lessons: list[Lesson] = []
    calls = 0
    for reply in replies:
        calls += 1
        parts = read_feedback(reply.text)
        if reply.error or not parts.solutions:
            counts["failed" if reply.error else "unanswered"] += 1
            continue
        question, seen, new = questions[reply.question], known.get(reply.question, set()), 0
        for solution in parts.solutions:
            body, answer, reason = settle(task, question, solution, seen)
            if reason:
                counts[reason] += 1
            elif new < config.rationales:
                made = _lesson(task, question, reply, f"{body}{ARROW}{answer}")
                lessons.append(replace(made, round=number, sample=new, feedback=parts.error))
                new += 1
    return Kept(lessons=tuple(lessons), source="calls", total=calls, dropped=counts)


def settle(task: Task, question: Question, solution: str, seen: set[str]) -> tuple[str, str, str]:
    """A solution as `(reasoning, answer, "")`, or with the reason to drop it; `seen` remembers wordings."""
    answer, verdict = judge(task, question, solution)
    body = reasoning(solution)
    if verdict != "right" or answer is None:
        return body, "", verdict
    if not body:
        return body, "", "empty"
    if same_words(body) in seen:
        return body, "", "repeated"
    seen.add(same_words(body))
    return body, answer, ""


def _lesson(task: Task, question: Question, reply: Feedback, completion: str) -> Lesson:
    return Lesson(
        question=question.id,
        prompt=task.ask(question).messages[-1].content,
        completion=completion,
        kind="feedback",
        key=reply.key,
        teacher=reply.model,
        attempts=reply.attempts,
    )
