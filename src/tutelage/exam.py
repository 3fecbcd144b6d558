"""The exam: a model answers questions and every answer gets a verdict."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace
from pydantic import Field, model_validator

from tutelage.config import Settings
from tutelage.grading.verdicts import Judged, judged, second_reply, with_thinking_apart
from tutelage.models.answering import answers_of
from tutelage.models.local.streaming import Local, is_independent
from tutelage.tasks.asking import asker
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Chat, Form, Message, Model, Question, Reply, Sampling

ANOTHER_QUESTION = "\nQ:"  # what a base model goes on with: it asks itself the next one


LONGEST = 1024  # tokens of an answer where nothing else is asked for


def renamed(given: object) -> object:
    """The settings of an exam as a run of an earlier version wrote them, by today's names: a chunk was a sheet."""
    if isinstance(given, Mapping) and "sheet" in given and "chunk" not in given:
        return {("chunk" if key == "sheet" else key): value for key, value in given.items()}
    return given


class ExamConfig(Settings):
    """How an exam is sat."""

    n: Annotated[int, Field(ge=1)] = Field(1, description="samples a question; accuracy over n > 1 is avg@n")
    temperature: Annotated[float, Field(ge=0)] = Field(0.0, description="0 is greedy [Ho et al. 2022, section 4]")
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = Field(0, description="0 is off")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description=f"longest answer; what is cut there is flagged. null: {LONGEST}, or what the prompt leaves of the tokens "
        "that a local model holds [Ho et al. 2022: prompt and answer up to 1024 together]",
    )
    chunk: Annotated[int, Field(ge=1)] = Field(
        256,
        description="questions handed to a local model at once; an interrupted exam loses at most the chunk in hand",
    )

    answer_tokens: Annotated[int, Field(ge=1)] = Field(
        32, description="longest reply to the second call of zero-shot-CoT, which asks for the answer alone"
    )
    stop: tuple[str, ...] = Field(
        (ANOTHER_QUESTION,), description="texts that end an answer, but not one of a student that was taught here"
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: object) -> object:
        return renamed(given)

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"{self.n} samples at temperature 0 would all be the same; set a temperature such as 0.7")
        return self

    def longest(self) -> int:
        """The most tokens of an answer, where there is room for them."""
        return LONGEST if self.max_tokens is None else self.max_tokens

    def setup(self, form: Form, seed: int, exemplars: Sequence[tuple[str, str]] = ()) -> "ExamSetup":
        """What these settings make of an exam in one form."""
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.longest(),
            n=self.n,
            seed=seed,
            stop=() if form == "taught" else self.stop,
            flexible=True if self.max_tokens is None else None,  # only what nobody asked for is shortened
        )
        return ExamSetup(
            form=form,
            sampling=sampling,
            exemplars=tuple(exemplars),
            chunk=self.chunk,
            answer_tokens=self.answer_tokens,
        )


class ExamSetup(Struct, frozen=True, kw_only=True):
    """How questions are put and answers are drawn in one exam."""

    form: Form
    sampling: Sampling
    exemplars: tuple[tuple[str, str], ...] = ()  # (question, rationale with answer) shown first, for few_shot_cot
    chunk: int = field(default=256, name="sheet")  # as it stands in the steps of every run so far
    answer_tokens: int = 32
    # What a reasoning model thinks is kept, too. Not set, it is no part of what a step is made from, as in every run so far.
    thinking: Literal[True] | UnsetType = UNSET


def sit(
    model: Model, task: Task, questions: Sequence[Question], setup: ExamSetup, kept: Iterable[Attempt] = ()
) -> Iterator[Attempt]:
    """Let a model answer questions and grade it: yields `setup.sampling.n` attempts a question, a chunk at a time.

    `kept` holds the attempts an interrupted exam has on disk; a chunk that is whole there is not asked again. A chunk
    that is not whole is asked again whole, because rounding depends on which questions share a batch, and an
    interrupted exam must end like an undisturbed one. A model behind a network answers each request by itself and its
    replies are kept: it is given all that is missing at once, since it would stand idle at the end of each chunk.
    """
    have = {(attempt.question, attempt.sample) for attempt in kept}

    def is_owed(question: Question) -> bool:
        return any((question.id, sample) not in have for sample in range(setup.sampling.n))

    if is_independent(model):
        chunks = [[question for question in questions if is_owed(question)]]
    else:
        chunks = [list(questions[start : start + setup.chunk]) for start in range(0, len(questions), setup.chunk)]
    for chunk in chunks:
        if any(map(is_owed, chunk)):
            for attempt in _sit_chunk(model, task, chunk, setup):
                if (attempt.question, attempt.sample) not in have:
                    yield attempt


def put(task: Task, questions: Sequence[Question], setup: ExamSetup) -> list[Chat]:
    """What a model is shown first of each question."""
    ask = asker(setup.form, task.kind, setup.exemplars)
    return [replace(ask(task.ask(question)), text=question.text) for question in questions]


def _sit_chunk(model: Model, task: Task, chunk: Sequence[Question], setup: ExamSetup) -> Iterator[Attempt]:
    chats = put(task, chunk, setup)
    replies = answers_of(model, chats, setup.sampling)
    if setup.form == "zero_shot_cot":
        yield from _second_call(model, task, chunk, chats, dict(replies), setup)
        return
    for index, samples in replies:
        for sample, reply in enumerate(samples):
            yield _thought(grade(task, chunk[index], reply, sample), reply, setup)


def _thought(attempt: Attempt, reply: Reply, setup: ExamSetup) -> Attempt:
    """With what was thought before it apart from it, where that is wanted."""
    return with_thinking_apart(attempt, reply.thinking) if setup.thinking is True else attempt


def _second_call(
    model: Model,
    task: Task,
    chunk: Sequence[Question],
    chats: Sequence[Chat],
    rationales: Mapping[int, list[Reply]],
    setup: ExamSetup,
) -> Iterator[Attempt]:
    """Show each rationale to the model again and ask for the answer alone, greedily whatever the rationale's temperature."""
    asked = []
    for index in sorted(rationales):
        for sample, reply in enumerate(rationales[index]):
            if reply.finish == "error":
                yield grade(task, chunk[index], reply, sample)
            else:
                asked.append((index, sample))
    first = setup.sampling
    sampling = Sampling(max_tokens=min(first.max_tokens, setup.answer_tokens), seed=first.seed, stop=first.stop)
    shown = [(chats[i], rationales[i][s].text, s) for i, s in asked]
    follow_ups = [_fitting(model, _follow_up(*one, task.trigger), sampling.max_tokens) for one in shown]
    for place, (answer, *_) in answers_of(model, follow_ups, sampling):
        index, sample = asked[place]
        first_reply = rationales[index][sample]
        yield _thought(grade(task, chunk[index], first_reply, sample, answer), first_reply, setup)


def _fitting(model: Model, chat: Chat, most: int) -> Chat:
    """The second call, with as much of the rationale as a local model can hold: one that rambled to the end fills it."""
    *before, rationale, trigger = chat.messages
    while isinstance(model, Local) and rationale.content and model.context_left(chat) < most:
        rationale = Message(rationale.role, rationale.content[: len(rationale.content) * 7 // 8])
        chat = replace(chat, messages=(*before, rationale, trigger))
    return chat


def _follow_up(chat: Chat, rationale: str, sample: int, trigger: str) -> Chat:
    turns = (*chat.messages, Message("assistant", rationale), Message("user", trigger))
    return Chat(messages=turns, question=chat.question, text=chat.text, purpose="answer", sample=sample)


def grade(task: Task, question: Question, reply: Reply, sample: int = 0, second: Reply | None = None) -> Attempt:
    """Turn a reply into an attempt with its verdict; a failed call is an unread attempt that carries the error.

    A second reply, to "Therefore, the answer is", is read instead of the first.
    """
    failed = reply.error or (second.error if second else "")
    read = reply.text if second is None else second_reply(second.text)
    found = Judged(None, "unread", "unread") if failed else judged(task, question, read)
    return Attempt(
        question=question.id,
        sample=sample,
        text=reply.text,
        answer_text=second.text if second else "",
        answer=found.answer,
        verdict=found.verdict,
        strict=found.strict,
        remark=found.remark,
        truncated=reply.finish == "length",
        tokens_in=reply.tokens_in + (second.tokens_in if second else 0),
        tokens_out=reply.tokens_out + (second.tokens_out if second else 0),
        tokens_cached=reply.tokens_cached + (second.tokens_cached if second else 0),
        key=reply.key,
        model=reply.model,
        parts=reply.parts,
        confidence=reply.confidence,
        note=reply.note,
        error=failed,
    )
