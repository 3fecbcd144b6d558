"""The exam: a model answers questions and every answer gets a verdict."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Self

from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field, model_validator

from tutelage.config import Settings
from tutelage.grading.verdicts import Judged, judged, second_reply
from tutelage.models.local.streaming import Local
from tutelage.models.remote.cached import Cached
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Chat, Form, Message, Model, Question, Reply, Sampling

STEP_BY_STEP = "Let's think step by step."
ANOTHER_QUESTION = "\nQ:"  # what a base model goes on with: it asks itself the next one


LONGEST = 1024  # tokens of an answer where nothing else is asked for


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
    sheet: Annotated[int, Field(ge=1)] = Field(
        256,
        description="questions handed to a local model at once; an interrupted exam loses at most the sheet in hand",
    )

    answer_tokens: Annotated[int, Field(ge=1)] = Field(
        32, description="longest reply to the second call of zero-shot-CoT, which asks for the answer alone"
    )
    stop: tuple[str, ...] = Field(
        (ANOTHER_QUESTION,), description="texts that end an answer, but not one of a student that was taught here"
    )

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"{self.n} samples at temperature 0 would all be the same; set a temperature such as 0.7")
        return self

    def longest(self) -> int:
        """The most tokens of an answer, where there is room for them."""
        return LONGEST if self.max_tokens is None else self.max_tokens

    def paper(self, form: Form, seed: int, exemplars: Sequence[tuple[str, str]] = ()) -> "Paper":
        """The exam paper these settings make."""
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
        return Paper(
            form=form,
            sampling=sampling,
            exemplars=tuple(exemplars),
            sheet=self.sheet,
            answer_tokens=self.answer_tokens,
        )


class Paper(Struct, frozen=True, kw_only=True):
    """How questions are put and answers are drawn in one exam."""

    form: Form
    sampling: Sampling
    exemplars: tuple[tuple[str, str], ...] = ()  # (question, rationale with answer) shown first, for few_shot_cot
    sheet: int = 256
    answer_tokens: int = 32


def taught(chat: Chat) -> Chat:
    """The question alone, as a trained student is asked; its tokenizer knows the format."""
    return chat


def zero_shot(chat: Chat) -> Chat:
    """ "Q: ... A:" [Ho et al. 2022, baseline]."""
    return _with_text(chat, f"Q: {_text(chat)}\n\nA:")


def zero_shot_cot(chat: Chat) -> Chat:
    """The first call of zero-shot-CoT [Kojima et al. 2022; Ho et al. 2022, section 3]."""
    return _with_text(chat, f"Q: {_text(chat)}\nA: {STEP_BY_STEP}", purpose="rationale")


def one_call_cot(kind: str) -> Callable[[Chat], Chat]:
    """Reasoning and answer in one reply: half the calls of zero-shot-CoT, for models that follow instructions."""
    answer = _ANSWERS.get(kind, "the final answer alone")

    def ask(chat: Chat) -> Chat:
        wanted = f'Reason step by step, then end with the sentence "The answer is X." where X is {answer}.'
        return _with_text(chat, f"{_text(chat)}\n\n{wanted}")

    return ask


_ANSWERS = {"choice": "the letter of the right choice", "yes_no": "yes or no", "number": "the number alone"}


def few_shot_cot(exemplars: Sequence[tuple[str, str]]) -> Callable[[Chat], Chat]:
    """Worked examples as earlier turns, then the question [Wei et al. 2022]; `exemplars` are (question, rationale with answer).

    A question that is an example itself is not shown its own solution.
    """

    def ask(chat: Chat) -> Chat:
        turns = [
            message
            for question, rationale in exemplars
            if question != _text(chat)
            for message in (Message("user", f"Q: {question}\nA:"), Message("assistant", rationale))
        ]
        return replace(chat, messages=(*turns, Message("user", f"Q: {_text(chat)}\nA:")))

    return ask


def asker(paper: Paper, kind: str) -> Callable[[Chat], Chat]:
    """What a paper makes of a question of a task of this kind (number, choice, …)."""
    plain = {
        "taught": taught,
        "zero_shot": zero_shot,
        "zero_shot_cot": zero_shot_cot,
        "one_call_cot": one_call_cot(kind),
    }
    return plain[paper.form] if paper.form in plain else few_shot_cot(paper.exemplars)


def _text(chat: Chat) -> str:
    return chat.messages[-1].content


def _with_text(chat: Chat, text: str, purpose: str = "exam") -> Chat:
    return replace(chat, messages=(*chat.messages[:-1], Message("user", text)), purpose=purpose)


def sit(
    model: Model, task: Task, questions: Sequence[Question], paper: Paper, kept: Iterable[Attempt] = ()
) -> Iterator[Attempt]:
    """Let a model answer questions and grade it: yields `paper.sampling.n` attempts a question, a sheet at a time.

    `kept` holds the attempts an interrupted exam has on disk; a sheet that is whole there is not asked again. A sheet
    that is not whole is asked again whole, because rounding depends on which questions share a batch, and an
    interrupted exam must end like an undisturbed one. A model behind a network answers each request by itself and its
    replies are kept: it is given all that is missing at once, since it would stand idle at the end of each sheet.
    """
    have = {(attempt.question, attempt.sample) for attempt in kept}

    def is_owed(question: Question) -> bool:
        return any((question.id, sample) not in have for sample in range(paper.sampling.n))

    if isinstance(model, Cached):
        sheets = [[question for question in questions if is_owed(question)]]
    else:
        sheets = [list(questions[start : start + paper.sheet]) for start in range(0, len(questions), paper.sheet)]
    for sheet in sheets:
        if any(map(is_owed, sheet)):
            for attempt in _sit_sheet(model, task, sheet, paper):
                if (attempt.question, attempt.sample) not in have:
                    yield attempt


def put(task: Task, questions: Sequence[Question], paper: Paper) -> list[Chat]:
    """What a model is shown first of each question."""
    ask = asker(paper, task.kind)
    return [ask(task.ask(question)) for question in questions]


def _sit_sheet(model: Model, task: Task, sheet: Sequence[Question], paper: Paper) -> Iterator[Attempt]:
    chats = put(task, sheet, paper)
    replies = model.answer(chats, paper.sampling)
    if paper.form == "zero_shot_cot":
        yield from _second_call(model, task, sheet, chats, dict(replies), paper)
        return
    for index, samples in replies:
        for sample, reply in enumerate(samples):
            yield grade(task, sheet[index], reply, sample)


def _second_call(
    model: Model,
    task: Task,
    sheet: Sequence[Question],
    chats: Sequence[Chat],
    rationales: Mapping[int, list[Reply]],
    paper: Paper,
) -> Iterator[Attempt]:
    """Show each rationale to the model again and ask for the answer alone, greedily whatever the rationale's temperature."""
    asked = []
    for index in sorted(rationales):
        for sample, reply in enumerate(rationales[index]):
            if reply.finish == "error":
                yield grade(task, sheet[index], reply, sample)
            else:
                asked.append((index, sample))
    first = paper.sampling
    sampling = Sampling(max_tokens=min(first.max_tokens, paper.answer_tokens), seed=first.seed, stop=first.stop)
    shown = [(chats[i], rationales[i][s].text, s) for i, s in asked]
    follow_ups = [_fitting(model, _follow_up(*one, task.trigger), sampling.max_tokens) for one in shown]
    for place, (answer, *_) in model.answer(follow_ups, sampling):
        index, sample = asked[place]
        yield grade(task, sheet[index], rationales[index][sample], sample, answer)


def _fitting(model: Model, chat: Chat, most: int) -> Chat:
    """The second call, with as much of the rationale as a local model can hold: one that rambled to the end fills it."""
    *before, rationale, trigger = chat.messages
    while isinstance(model, Local) and rationale.content and model.room(chat) < most:
        rationale = Message(rationale.role, rationale.content[: len(rationale.content) * 7 // 8])
        chat = replace(chat, messages=(*before, rationale, trigger))
    return chat


def _follow_up(chat: Chat, rationale: str, sample: int, trigger: str) -> Chat:
    turns = (*chat.messages, Message("assistant", rationale), Message("user", trigger))
    return Chat(messages=turns, question=chat.question, purpose="answer", sample=sample)


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
        key=reply.key,
        error=failed,
    )


def mistakes(attempts: Iterable[Attempt], keep: int | None = None) -> list[Attempt]:
    """The wrong attempts, at most `keep` different ones a question; unread and truncated ones are no mistakes to learn from."""
    seen: dict[str, set[str]] = {}
    found = []
    for attempt in attempts:
        said = seen.setdefault(attempt.question, set())
        words = " ".join(attempt.text.lower().split())
        if attempt.verdict == "wrong" and not attempt.truncated and words not in said:
            said.add(words)
            if keep is None or len(said) <= keep:
                found.append(attempt)
    return found
