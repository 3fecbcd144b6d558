"""The nouns that stages hand to each other: frozen records, one word for one thing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

Role = Literal["system", "user", "assistant"]
Verdict = Literal["right", "wrong", "unread"]
# "eos": the model ended the answer by itself; "stop": a stop text did, or the model does not tell which.
Finish = Literal["eos", "stop", "length", "error"]
# What a JSON or YAML file holds: names, and under each a text, a number, a list, or such an object again.
JsonObject = dict[str, Any]
Form = Literal["taught", "zero_shot", "one_call_cot", "zero_shot_cot", "few_shot_cot"]


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to be asked, with its gold answer."""

    id: str
    text: str  # the stem; `Task.ask` renders it together with the choices
    answer: str  # the gold answer, as the source gives it
    choices: tuple[str, ...] = ()
    split: str = ""
    template: str = ""  # questions made from one template share this name
    rationale: str = ""  # a worked solution, where the source brings one
    facts: JsonObject = {}  # what a procedural task needs to work the question out again
    source: str = ""  # file:line, for error messages


class Message(Struct, frozen=True):
    """One turn of a chat."""

    role: Role
    content: str


class Chat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model is asked. Only `messages` is sent; the other fields are local and no part of the request key."""

    messages: tuple[Message, ...]
    question: str = ""  # id of the question it is about
    text: str = ""  # of that question, where it is sat in an exam
    purpose: str = ""  # "rationale", "answer", "exam": what the asker wants
    sample: int = 0  # the sample it belongs to, when one rationale's answer is asked for
    mistakes: tuple[str, ...] = ()  # the wrong rationales it shows, when a teacher is asked for feedback
    solutions: int = 1  # how many it asks for then
    exercises: int = 0  # and how many new ones like it
    diagnosis: bool = True  # and whether it wants to be told what was wrong


class Sampling(Struct, frozen=True, kw_only=True):
    """How a reply is drawn. Temperature 0 is greedy; `top_k` 0 and `top_p` 1 are off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 256
    n: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()
    # Whether an answer may be shorter than `max_tokens` where a model on this machine holds fewer; if not, what does not
    # fit is an error. It asks nothing of a service, so it is no part of a request's key.
    flexible: bool | None = None
    # The number of the first of the samples that are wanted, of a model that `counts_samples`: the others are there already.
    # Not set, it is no part of what a step is made from, and of a request's key it never is: its number is there itself.
    first: int | UnsetType = UNSET


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one model of a solver did for a reply."""

    model: str
    calls: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: str | None = "0"  # None where the price is not known
    chosen: bool = False  # whether the reply is its text


ESCALATED = "escalated: "  # what the note of a reply begins with for which a second model was asked
ALONE = "alone: "  # what the note of a reply begins with that stands although another model should have been asked


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a model to one chat, or the recorded failure to get one."""

    text: str
    thinking: str = ""  # what a reasoning model wrote before its answer, kept apart from it
    finish: Finish = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0  # of tokens_in, those that a server read from its own cache of prompts
    key: str = ""  # digest of the exact request, where the model has one
    model: str = ""  # the name the model reported; "" for a student's folder, which may lie anywhere
    dollars: str | None = "0"  # what it took, where a service was paid; None where the price is not known
    parts: tuple[Part, ...] = ()  # who of a solver answered; tokens and dollars of the reply are theirs together
    confidence: float | None = None  # of a solver: the share of samples that are known to agree
    note: str = ""  # of a solver: what whoever reads the answer should know of how it came about
    error: str = ""


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One graded answer of one model to one question."""

    question: str
    sample: int = 0
    text: str = ""  # what the model wrote: the rationale, and in a one-call form the answer too
    answer_text: str = ""  # the reply to the second call of zero-shot-CoT
    thinking: str = ""  # what a reasoning model wrote before its answer, where that is wanted
    answer: str | None = None  # what was read from it
    verdict: Verdict = "unread"
    strict: Verdict = "unread"  # the verdict where only an answer that is clearly committed to counts as read
    remark: str = ""  # why it is unread, where the reader failed or the comparison was not decided
    truncated: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0  # of tokens_in, those that a server read from its own cache of prompts
    key: str = ""  # key of the request that produced `text`
    model: str = ""  # who said it, by the name it reported
    parts: tuple[Part, ...] = ()  # who of a solver answered
    confidence: float | None = None  # of a solver: the share of samples that are known to agree
    note: str = ""  # of a solver: what should be known of how the answer came about
    error: str = ""


class Lesson(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One training target with its provenance."""

    question: str
    prompt: str  # the question as asked
    completion: str
    kind: str  # "rationale", "answer", "feedback", "repair", "correction", "practice", "own", "path", "rollout"
    round: int = 0
    sample: int = 0
    key: str = ""  # key of the teacher's request it came from
    teacher: str = ""  # who said it, by the name it reported
    attempts: tuple[str, ...] = ()  # the wrong attempts it answers, each as "step/question#sample"
    feedback: str = ""  # what the teacher says of the first wrong step
    wrong: tuple[str, ...] = ()  # the student's wrong rationales it is set against, written as completions
    right: tuple[str, ...] = ()  # the student's own right ones, where they count as positives too
    kept: int = 0  # characters that it begins with and that are the student's own: what of its mistake is right
    mistaken: str = ""  # the mistake that it repairs, as a completion; it begins with the same `kept` characters


class Feedback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a teacher wrote about a student's mistakes on one question, as it came."""

    question: str
    attempts: tuple[str, ...] = ()  # the wrong attempts it was shown, each as "step/question#sample"
    prompt: str = ""  # what it was asked
    text: str = ""
    truncated: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0  # of tokens_in, those that a server read from its own cache of prompts
    key: str = ""  # key of the request
    model: str = ""  # who wrote it, by the name it reported
    error: str = ""


class Label(Struct, frozen=True, kw_only=True):
    """What a step of a run is, for whoever reads the run: whoever makes the step says it, and no reader asks its name.

    `kind`: exam, review (of what was just taught), rationales or votes (a teacher's exams, whose right answers are taught), feedback, lessons, training,
    forgetting (an exam about another task), or award (of a student to be the run's). `who`: student, teacher, or baseline, a student without the method or parts of it.
    Both are open, so that a run of a later version can be read.
    """

    kind: str = "exam"
    who: str = "student"
    round: int | None = (
        None  # rounds of teaching behind the student of an exam, 0 as it came; else the step's own round
    )
    split: str = ""  # of the questions
    title: str = ""  # the name a reader knows; else the step's


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A student on disk. Two checkpoints with the same digest are the same student, wherever they lie."""

    path: str
    digest: str
    spec: Mapping[str, Any] = {}  # how it is opened, beside its path: kind, dtype, batch, …; no part of what it is


class Model(Protocol):
    """Whoever answers chats: a teacher, a student, a file, a function, or a strategy made of models."""

    @property
    def name(self) -> str:
        """The spec or identity that distinguishes this model's answers from another's."""
        ...

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield `(index of the chat, its sampling.n replies)` in the order they are finished."""
        ...


class TokenScores(Struct, frozen=True, kw_only=True):
    """How likely a text is to a model, token by token."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]  # natural logarithm of each token's probability after everything before it
    # Where these were asked for, the likeliest tokens in each one's place, likeliest first, and their log-probabilities.
    top_tokens: tuple[tuple[int, ...], ...] = ()
    top_logprobs: tuple[tuple[float, ...], ...] = ()


class Scorer(Protocol):
    """A model that can say how likely a text is."""

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield `(index, scores of replies[index] as the answer to chats[index])`, with the token that ends it, in any order.

        With `top` also the so many likeliest tokens in the place of each.
        """
        ...


class Spent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a run's calls.jsonl: a request that is sent, or what became of one."""

    model: str
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: str | None = None
    outcome: str = ""
    step: str = ""  # of the run
