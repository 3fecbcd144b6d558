"""The objectives at the first wrong step against their definitions: float64, every text in a pass of its own."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from tutelage.errors import LessonError, ModelError
from tutelage.lessons.steps import step_ends
from tutelage.lessons.wording import SHOWN_AGAIN
from tutelage.models.local import scoring, templates, weights
from tutelage.training import losses
from tutelage.training.collation import collate_rows
from tutelage.training.duals import dual_of, since_of
from tutelage.training.examples import Encoder, Example
from tutelage.training.mixing import Mix
from tutelage.training.objectives.critique import ASKED
from tutelage.training.references import References
from tutelage.training.rows import totals_of
from tutelage.training.settings import objective_choices
from tutelage.types import Lesson

BEGIN = "He has 3 + 4 = 7 coins."


def lesson(number: int, right: str, wrong: str, kept: str = BEGIN) -> Lesson:
    return Lesson(
        question=str(number),
        prompt=f"Tom has 3 coins and gets 4, and then {number} more. How many?",
        completion=f"{kept}{right}",
        kind="repair",
        kept=len(kept),
        mistaken=f"{kept}{wrong}" if wrong else "",
        feedback=f"7 + {number} is no 9." if wrong else "",
    )


LESSONS = [
    lesson(1, " So 7 + 1 = 8 now. It is all. --> 8", " So 7 + 1 = 9 now. It is so. --> 9"),
    lesson(2, " Then 7 + 2 = 9. --> 9", " They are 72. --> 72"),
    lesson(3, " --> 7", " --> 10"),  # all of its steps stand
    lesson(4, "He has 7 + 4 = 11. --> 11", "No. --> no", kept=""),
    lesson(5, "He has 7 + 5 = 12. --> 12", "", kept=""),  # no mistake
]


class Slow:
    """A tiny student in float64, and what of its log-probabilities the definitions ask for."""

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = weights.load(str(folder), torch.float32, Path())
        self.model = self.model.double().eval()
        templates.prepare(self.tokenizer)
        if not self.tokenizer.chat_template:
            templates.install_paper_template(self.tokenizer)
        self.encoder = Encoder(self.tokenizer, templates.stop_ids(self.tokenizer), 512)
        self.examples = [self.encoder.example(one) for one in LESSONS]

    def logs(self, prompt: str, text: str) -> list[float]:
        """The log-probability of each token of an answer."""
        asked, ids = self.encoder.prompt(prompt), self.encoder.completion(prompt, text)
        with torch.no_grad():
            logs = self.model(torch.tensor([[*asked, *ids]])).logits[0].log_softmax(-1)
        return [float(logs[len(asked) + place - 1, token]) for place, token in enumerate(ids)]

    def parting(self, one: Lesson, against: str = "") -> tuple[int, int, int, int]:
        """The first token after the kept ones, the first that differs, and the ends of both steps, found by decoding."""
        wrong = against or one.mistaken
        right_ids, wrong_ids = (self.encoder.completion(one.prompt, text) for text in (one.completion, wrong))
        apart = next(place for place, (a, b) in enumerate(zip(right_ids, wrong_ids, strict=False)) if a != b)
        return (
            self.behind(right_ids, one.kept),
            apart,
            self.step(one, one.completion, right_ids),
            self.step(one, wrong, wrong_ids),
        )

    def behind(self, ids: list[int], characters: int) -> int:
        """How many tokens hold the first characters alone."""
        told = [self.tokenizer.decode(ids[:count]).lstrip() for count in range(len(ids) + 1)]
        return max(count for count, text in enumerate(told) if len(text) <= characters) if characters else 0

    def step(self, one: Lesson, text: str, ids: list[int]) -> int:
        ends = step_ends(text.rpartition(" --> ")[0][one.kept :])
        if not ends:
            return len(ids)
        told = [self.tokenizer.decode(ids[:count]).lstrip() for count in range(len(ids) + 1)]
        return next(count for count, said in enumerate(told) if len(said) >= one.kept + ends[0])

    def of_mix(self, objective: Any) -> tuple[float, dict[str, float]]:
        """What training computes, in one row a lesson."""
        mix = Mix(objective_choices(objective))
        prepared = mix.prepare(self.examples, self.encoder)
        rows = [mix.row(prepared, place, f"0/0/{place}") for place in range(len(prepared.examples))]
        inputs = collate_rows(rows, totals_of(rows), self.tokenizer.pad_token_id)
        loss, numbers, _ = mix.loss(self.model, self.model, inputs)
        return float(loss.detach()), {name: float(number) for name, number in numbers.items()}


@pytest.fixture(scope="module", params=["base_student", "chat_student"])
def slow(request: pytest.FixtureRequest) -> Slow:
    return Slow(request.getfixturevalue(request.param))


def tails(slow: Slow, since: Callable[[Lesson], int]) -> float:
    """The mean over what stands behind a place of every lesson."""
    told = [-value for one in LESSONS for value in slow.logs(one.prompt, one.completion)[since(one) :]]
    return sum(told) / len(told)


def kept_tokens(slow: Slow) -> Callable[[Lesson], int]:
    return lambda one: slow.behind(slow.encoder.completion(one.prompt, one.completion), one.kept)


def test_repair(slow: Slow) -> None:
    loss, numbers = slow.of_mix("repair")
    assert loss == pytest.approx(tails(slow, kept_tokens(slow)), abs=1e-6)
    assert numbers == {"loss": pytest.approx(loss)}
    late, _ = slow.of_mix({"name": "repair", "begin": "token"})
    expected = tails(slow, lambda one: max(slow.parting(one)[:2]) if one.mistaken else kept_tokens(slow)(one))
    assert late == pytest.approx(expected, abs=1e-6)
    assert abs(late - loss) > 1e-3


def score(values: list[float], form: str) -> float:
    mean = sum(values) / len(values)
    return mean if form == "simpo" else mean - math.log(1 - math.exp(mean))


@pytest.mark.parametrize("form", ["simpo", "orpo"])
@pytest.mark.parametrize("span", ["step", "tail"])
@pytest.mark.parametrize("against", ["own", "others"])
def test_prefer(slow: Slow, form: str, span: str, against: str) -> None:
    options = {"form": form, "span": span, "against": against, "beta": 1.5, "margin": 0.4, "strength": 0.7}
    loss, numbers = slow.of_mix({"name": "prefer", **options})
    terms = []
    with_mistakes = [one for one in LESSONS if one.mistaken]
    for place, one in enumerate(with_mistakes):
        other = with_mistakes[(place + 1) % len(with_mistakes)]
        ending = other.mistaken[other.kept :].strip()
        wrong = one.mistaken if against == "own" else f"{one.completion[: one.kept]} {ending}".strip()
        _, apart, right_end, wrong_end = slow.parting(one, wrong)
        better = slow.logs(one.prompt, one.completion)[apart : right_end if span == "step" else None]
        worse = slow.logs(one.prompt, wrong)[apart : wrong_end if span == "step" else None]
        lead = 1.5 * (score(better, form) - score(worse, form)) - (0.4 if form == "simpo" else 0.0)
        terms.append(math.log1p(math.exp(-lead)))
    plain = tails(slow, kept_tokens(slow))
    assert numbers["prefer"] == pytest.approx(sum(terms) / len(terms), abs=1e-6)
    assert numbers["loss"] == pytest.approx(plain, abs=1e-6)
    assert loss == pytest.approx(plain + 0.7 * sum(terms) / len(terms), abs=1e-6)
    assert 0 <= numbers["preferred"] <= 1


def referring(slow: Slow, folder: Path, objective: Any, moved: float) -> tuple[float, dict[str, float]]:
    """The same after the student has moved since its references were read."""
    mix = Mix(objective_choices(objective))
    prepared = mix.prepare(slow.examples, slow.encoder)
    prepared = mix.refer(prepared, References(slow.model, slow.encoder, folder))
    rows = [mix.row(prepared, place, f"0/0/{place}") for place in range(len(prepared.examples))]
    inputs = collate_rows(rows, totals_of(rows), slow.tokenizer.pad_token_id)
    with torch.no_grad():
        for one in slow.model.parameters():
            one.mul_(moved)
    try:
        loss, numbers, _ = mix.loss(slow.model, slow.model, inputs)
    finally:
        with torch.no_grad():
            for one in slow.model.parameters():
                one.div_(moved)
    return float(loss.detach()), {name: float(number) for name, number in numbers.items()}


def likeliest(slow: Slow, prompt: str, text: str, top: int) -> list[tuple[list[int], list[float], list[float]]]:
    """For each token of an answer the likeliest ones with their log-probabilities, and those of all."""
    asked, ids = slow.encoder.prompt(prompt), slow.encoder.completion(prompt, text)
    with torch.no_grad():
        logs = slow.model(torch.tensor([[*asked, *ids]])).logits[0].log_softmax(-1)
    found = []
    for place in range(len(ids)):
        row = logs[len(asked) + place - 1]
        best = row.topk(top)
        found.append((best.indices.tolist(), best.values.tolist(), row.tolist()))
    return found


def divergence(teacher: tuple[list[int], list[float], list[float]], own: list[float]) -> float:
    ids, logs, _ = teacher
    total = sum(math.exp(p) * (p - own[v]) for v, p in zip(ids, logs, strict=True))
    rest, left = 1 - sum(map(math.exp, logs)), 1 - sum(math.exp(own[v]) for v in ids)
    return total + rest * (math.log(rest) - math.log(left))


def test_dpo_is_measured_from_where_the_round_began(slow: Slow, tmp_path: Path) -> None:
    options = {"name": "prefer", "form": "dpo", "beta": 0.3, "span": "tail"}
    at_first, numbers = referring(slow, tmp_path / "a", options, 1.0)
    assert numbers["prefer"] == pytest.approx(math.log(2), abs=1e-6)  # nothing has moved
    _, numbers = referring(slow, tmp_path / "a", options, 1.05)
    before = {one.question: pair(slow, one) for one in LESSONS if one.mistaken}
    with torch.no_grad():
        for one in slow.model.parameters():
            one.mul_(1.05)
    after = {one.question: pair(slow, one) for one in LESSONS if one.mistaken}
    with torch.no_grad():
        for one in slow.model.parameters():
            one.div_(1.05)
    leads = [0.3 * ((after[q][0] - before[q][0]) - (after[q][1] - before[q][1])) for q in before]
    assert numbers["prefer"] == pytest.approx(sum(math.log1p(math.exp(-x)) for x in leads) / len(leads), abs=1e-5)
    assert at_first > 0


def pair(slow: Slow, one: Lesson) -> tuple[float, float]:
    _, apart, _, _ = slow.parting(one)
    return sum(slow.logs(one.prompt, one.completion)[apart:]), sum(slow.logs(one.prompt, one.mistaken)[apart:])


def test_imitate(slow: Slow, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A teacher that is the student as it began: nothing to learn from it, until the student moves."""
    if slow.tokenizer.chat_template == templates.PAPER_TEMPLATE:
        pytest.skip("a base model is asked otherwise than a student, so its probabilities differ")
    folder = str(request.getfixturevalue("chat_student"))
    options = {
        "name": "imitate",
        "scorer": {"kind": "hf", "name": folder, "dtype": "float32", "device": "cpu"},
        "top": 5,
    }
    _, numbers = referring(slow, tmp_path / "b", options, 1.0)
    assert numbers["imitate"] == pytest.approx(0, abs=1e-6)
    loss, numbers = referring(slow, tmp_path / "b", options, 1.1)
    texts = [(one.prompt, text) for one in LESSONS for text in (one.completion, one.mistaken) if text]
    before = [likeliest(slow, *one, 5) for one in texts]
    with torch.no_grad():
        for one in slow.model.parameters():
            one.mul_(1.1)
    after = [likeliest(slow, *one, 5) for one in texts]
    plain = [-value for one in LESSONS for value in slow.logs(one.prompt, one.completion)]
    with torch.no_grad():
        for one in slow.model.parameters():
            one.div_(1.1)
    told = [divergence(t, own[2]) for a, b in zip(before, after, strict=True) for t, own in zip(a, b, strict=True)]
    expected = sum(told) / len(told)
    assert numbers["imitate"] == pytest.approx(expected, abs=1e-5)  # the teacher's are kept in float32
    assert loss == pytest.approx(0.5 * sum(plain) / len(plain) + 0.5 * expected, abs=1e-5)


def test_self_distil(slow: Slow, tmp_path: Path) -> None:
    _, numbers = referring(slow, tmp_path / "c", {"name": "self_distil", "top": 6, "most": 0.01}, 1.0)
    told = []
    for one in LESSONS:
        if one.feedback:
            shown = SHOWN_AGAIN.format(question=one.prompt, mistake=one.mistaken, feedback=one.feedback)
            teacher, own = likeliest(slow, shown, one.mistaken, 6), likeliest(slow, one.prompt, one.mistaken, 6)
            told += [min(0.01, divergence(a, b[2])) for a, b in zip(teacher, own, strict=True)]
    assert numbers["self_distil"] == pytest.approx(sum(told) / len(told), abs=1e-5)
    assert sum(told) > 0


def test_a_scorer_with_other_tokens_is_refused(slow: Slow, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    other = (
        "chat_student" if not slow.tokenizer.chat_template or "###" in slow.tokenizer.chat_template else "base_student"
    )
    spec = {"kind": "hf", "name": str(request.getfixturevalue(other)), "dtype": "float32", "device": "cpu"}
    with pytest.raises(LessonError, match="other tokens than the student"):
        referring(slow, tmp_path / "d", {"name": "imitate", "scorer": spec}, 1.0)
    with pytest.raises(LessonError, match="cannot say how likely a text is"):
        referring(slow, tmp_path / "e", {"name": "imitate", "scorer": "scripted:math:sqrt"}, 1.0)


def test_more_tokens_than_there_are_is_one_sentence(slow: Slow, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the 900000 likeliest tokens are asked for, and the model knows"):
        referring(slow, tmp_path / "f", {"name": "self_distil", "top": 900000}, 1.0)


def test_what_was_read_is_read_once(slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    referring(slow, tmp_path / "g", {"name": "self_distil"}, 1.0)
    monkeypatch.setattr(scoring, "score_rows", lambda *_: pytest.fail("read again"))
    referring(slow, tmp_path / "g", {"name": "self_distil"}, 1.0)
    with pytest.raises(pytest.fail.Exception, match="read again"):
        referring(slow, tmp_path / "g", {"name": "self_distil", "top": 3}, 1.0)


def test_unlikelihood(slow: Slow) -> None:
    loss, _ = slow.of_mix({"name": "unlikelihood", "above": 0.0, "tokens": 2})
    told = []
    for one in LESSONS:
        if one.mistaken:
            _, apart, _, end = slow.parting(one)
            told += slow.logs(one.prompt, one.mistaken)[apart : min(end, apart + 2)]
    assert loss == pytest.approx(sum(-math.log(1 - math.exp(value)) for value in told) / len(told), abs=1e-6)
    bound = math.exp(sorted(told)[len(told) // 2]) - 1e-9
    above, _ = slow.of_mix({"name": "unlikelihood", "above": bound, "tokens": 2})
    expected = sum(-math.log(1 - math.exp(value)) for value in told if math.exp(value) > bound)
    assert above == pytest.approx(expected / len(told), abs=1e-6)


def test_critique(slow: Slow) -> None:
    loss, numbers = slow.of_mix("critique")
    with_lines = [one for one in LESSONS if one.feedback]
    told = [
        value
        for one in with_lines
        for value in slow.logs(ASKED.format(prompt=one.prompt, mistake=one.mistaken), one.feedback)
    ]
    assert loss == pytest.approx(-sum(told) / len(told), abs=1e-6)
    assert numbers == {"critique": pytest.approx(loss)}
    shuffled, _ = slow.of_mix({"name": "critique", "lines": "shuffled"})
    assert abs(shuffled - loss) > 1e-6


def kept_by_edits(right: Sequence[int], wrong: Sequence[int]) -> tuple[set[int], set[int]]:
    """The places of two sequences that a shortest edit of one into the other leaves as they are, by Levenshtein's table."""
    table = [[max(a, b) if not min(a, b) else 0 for b in range(len(wrong) + 1)] for a in range(len(right) + 1)]
    for a, b in product(range(1, len(right) + 1), range(1, len(wrong) + 1)):
        put = table[a - 1][b - 1] + (right[a - 1] != wrong[b - 1])
        table[a][b] = min(table[a - 1][b] + 1, table[a][b - 1] + 1, put)
    kept: tuple[set[int], set[int]] = set(), set()
    a, b = len(right), len(wrong)
    while a and b:
        if right[a - 1] == wrong[b - 1] and table[a][b] == table[a - 1][b - 1]:
            kept[0].add(a - 1)
            kept[1].add(b - 1)
            a, b = a - 1, b - 1
        elif table[a][b] == table[a - 1][b] + 1:
            a -= 1
        elif table[a][b] == table[a][b - 1] + 1:
            b -= 1
        else:
            a, b = a - 1, b - 1
    return kept


def test_key_steps(slow: Slow) -> None:
    """Key tokens by the edit distance's own table, walked back below; weights by the published formula."""
    loss, _ = slow.of_mix({"name": "key_steps", "plain": 0.5, "key": 2.0, "wrong": 0.1})
    total = 0.0
    for one in LESSONS:
        right = slow.encoder.completion(one.prompt, one.completion)
        rights = [-value for value in slow.logs(one.prompt, one.completion)]
        if not one.mistaken:
            total += sum(0.5 * value for value in rights) / len(right)
            continue
        wrong = slow.encoder.completion(one.prompt, one.mistaken)
        wrongs = [-value for value in slow.logs(one.prompt, one.mistaken)]
        both = kept_by_edits(right, wrong)
        total += sum((0.5 if i in both[0] else 2.5) * value for i, value in enumerate(rights)) / len(right)
        total -= sum(0.1 * value for i, value in enumerate(wrongs) if i not in both[1] and value < 20) / len(wrong)
    assert loss == pytest.approx(total / len(LESSONS), abs=1e-6)


def test_the_boundary_follows_the_characters_and_not_the_tokens(slow: Slow) -> None:
    for example in slow.examples[:4]:
        dual = dual_of(example, slow.encoder)
        assert dual is not None
        since, apart, right_end, wrong_end = slow.parting(example.lesson)
        assert (dual.apart, dual.right_step, dual.wrong_step) == (apart, right_end, wrong_end)
        assert since_of(example, slow.encoder) == since
        decoded = slow.tokenizer.decode(example.completion[:since]).strip()
        assert example.lesson.completion[: example.lesson.kept].startswith(decoded)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    labels, rows = torch.tensor([1, 0, 4, 2, 2, 3]), torch.tensor([0, 0, 1, 4, 4, 4])
    weights_N = torch.tensor([1.0, 2.0, -0.1, 0.0, 1.0, -1.0], dtype=torch.float64)

    def preferred(values: torch.Tensor, odds: bool) -> torch.Tensor:
        means = losses.row_means(losses.token_logprobs(values, labels), rows)
        means = losses.log_odds(means) if odds else means
        return losses.preference(means, means.flip(0), 2.0, 0.5, 3)

    for made in (
        lambda x: preferred(x, False),
        lambda x: preferred(x, True),
        lambda x: losses.unlikely(x, labels, 0.05, 6),
        lambda x: losses.bounded_nll(x, labels, weights_N, 20.0),
    ):
        assert torch.autograd.gradcheck(made, (logits,))


def test_a_right_answer_is_never_shown_as_a_wrong_one(slow: Slow) -> None:
    right = replace(LESSONS[4], right=("He has 7 + 5 = 12 in all. --> 12",), feedback="It is so.")
    with pytest.raises(LessonError, match="none of 1 lessons has both a mistake"):
        Mix(objective_choices("self_distil")).prepare([slow.encoder.example(right)], slow.encoder)


def test_what_has_nothing_to_work_on_says_so(slow: Slow) -> None:
    plain = [slow.encoder.example(Lesson(question="1", prompt="Q", completion="So. --> 1", kind="rationale"))]
    for name, says in {
        "repair": "none of 1 lessons repairs a mistake",
        "prefer": "later.objective=prefer",
        "unlikelihood": "feedback.form=scribe",
        "critique": "0 have a mistake and 0 a teacher's line",
        "key_steps": "none of 1 lessons has a mistake beside it",
    }.items():
        with pytest.raises(LessonError, match=says):
            Mix(objective_choices(name)).prepare(plain, slow.encoder)


def test_the_share_of_lessons_that_an_objective_works_on_is_its_own(slow: Slow) -> None:
    mix = Mix(objective_choices({"prefer": 1.0, "unlikelihood": 0.5, "critique": 0.2}))
    prepared = mix.prepare(slow.examples, slow.encoder)
    assert prepared.shares() == {"prefer": 0.8, "unlikelihood": 0.8, "critique": 0.8}
    assert len(prepared.examples) == 5  # the one without a mistake is learned whole


def test_a_mistake_that_no_row_holds_is_left_out(slow: Slow) -> None:
    long = Example(slow.examples[0].prompt, slow.examples[0].completion, slow.examples[0].lesson)
    narrow = Encoder(slow.tokenizer, slow.encoder.stops, 20)
    assert dual_of(long, narrow) is None
