"""Training with self-reflection on tiny real models: what is computed, what is said, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tutelage.errors import Interrupted, LessonError
from tutelage.models.local import templates, weights
from tutelage.training.collation import collate_rows, lay_shared, shared_mask
from tutelage.training.examples import Branch, Encoder
from tutelage.training.job import Callbacks
from tutelage.training.layout import last_states
from tutelage.training.mixing import Mix
from tutelage.training.rows import Row, RowPart, totals_of
from tutelage.training.settings import TrainingConfig, objective_choices
from tutelage.training.trainer import fit
from tutelage.types import Lesson


def lesson(question: int, way: str, wrong: tuple[str, ...] = ("It was not flipped. --> no",)) -> Lesson:
    prompt = f"A coin is heads up. {'Maya flips it. ' * question}Is it?"
    return Lesson(
        question=str(question), prompt=prompt, completion=f"{way} it is. --> yes", kind="feedback", wrong=wrong
    )


LESSONS = [lesson(i, way) for i in range(4) for way in ("So", "Then", "Thus")]


def train(
    folder: Path, student: Path, lessons: list[Lesson], stopping: Callable[[], bool] = lambda: False, **more: Any
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    settings = {"epochs": 2, "batch": 4, "learning_rate": 1e-3, "precision": "float32", "reflection": {}, **more}
    spec = {"name": str(student), "cache": "", "device": "cpu"}
    return fit(spec, lessons, TrainingConfig(**settings), 3, folder, Callbacks(lambda tick: None, stopping))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model with learned absolute positions, unlike the tiny Llama."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64)).eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_shared_prompt_gives_the_states_of_separate_passes(
    kind: str, attention: str, gpt2: Any, base_student: Path
) -> None:
    model = gpt2 if kind == "gpt2" else weights.load(str(base_student), torch.float32, Path())[0].eval()
    model.set_attn_implementation(attention)
    prompts = [Branch([5, 6, 7]), Branch([20] * 9)]
    ends = [[[8, 9, 1], [10, 1], [11, 12, 13, 1]], [[21, 1], [22, 23, 1], [24, 1]]]
    rows = [
        Row(
            {"it": [RowPart(str(i), Branch(end, prompt), None if i else [1.0] * len(end)) for i, end in enumerate(own)]}
        )
        for prompt, own in zip(prompts, ends, strict=True)
    ]
    tensors, places = lay_shared(rows, pad=0)
    mask = shared_mask(tensors["segments"], tensors["position_ids"], tensors["kin"])
    if attention == "eager":
        mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    with torch.no_grad(), last_states(model) as states:
        out = model(input_ids=tensors["input_ids"], attention_mask=mask, position_ids=tensors["position_ids"])
        for index, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            for branch, place in list(zip(row.branches, places[index], strict=True))[1:]:
                with last_states(model) as alone:
                    plain = model(input_ids=torch.tensor([[*prompt.ids, *branch.ids]]))
                expected = alone[0][0, len(prompt.ids) :]
                found = states[0][index, place.column : place.column + len(branch.ids)]
                assert torch.allclose(found, expected, atol=1e-5)
                if branch is row.branches[1]:
                    count = len(branch.ids)
                    assert torch.allclose(out.logits[index, -count:], plain.logits[0, -count:], atol=1e-4)


@pytest.mark.parametrize("pooling", ["last_token", "mean"])
def test_the_first_loss_is_the_formula(chat_student: Path, tmp_path: Path, pooling: str) -> None:
    """One batch, by hand: every sequence in a pass of its own, every number from the definition."""
    lessons = [lesson(1, "So"), lesson(1, "Then"), lesson(3, "Thus")]
    facts = train(
        tmp_path / "s", chat_student, lessons, batch=3, epochs=1, prompt_weight=0.1, reflection={"pooling": pooling}
    )
    model, tokenizer = weights.load(str(chat_student), torch.float32, Path())
    templates.prepare(tokenizer)

    def run(prompt: str, completion: str) -> tuple[int, list[int], torch.Tensor, torch.Tensor]:
        turns = [{"role": "user", "content": prompt}]
        start = tokenizer(
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True), add_special_tokens=False
        ).input_ids
        ids = start + tokenizer(completion + "<end>", add_special_tokens=False).input_ids
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        states = out.hidden_states[-1][0, len(start) :].double()
        return (
            len(start),
            ids,
            out.logits[0].double().log_softmax(-1),
            states[-1] if pooling == "last_token" else states.mean(0),
        )

    total, weight = 0.0, 0.0
    for one in lessons:
        start, ids, logs, _ = run(one.prompt, one.completion)
        for place in range(1, len(ids)):
            counts = 1.0 if place >= start else 0.1
            total -= counts * float(logs[place - 1, ids[place]])
            weight += counts
    cosine = torch.nn.functional.cosine_similarity
    states = [run(one.prompt, one.completion)[3] for one in lessons[:2]]
    wrong = run(lessons[0].prompt, lessons[0].wrong[0])[3]
    terms = [
        max(0.0, 1.0 - float(cosine(a, p, dim=0)) + float(cosine(a, wrong, dim=0))) for a, p in (states, states[::-1])
    ]
    assert facts["numbers"]["reflection"][0] == pytest.approx(sum(terms) / 2, abs=1e-4)
    assert facts["first_loss"] == pytest.approx(total / weight, abs=2e-4)  # what the lessons cost, apart from the term
    rows = [run(one.prompt, one.completion)[1] for one in lessons]
    others = [rows[1], rows[0], run(lessons[0].prompt, lessons[0].wrong[0])[1]]
    beside = [len(ids) - run(lessons[0].prompt, "")[0] for ids in (*others, others[2])]
    assert facts["tokens"] == sum(map(len, rows)) + sum(beside)
    assert facts["active"]["reflection"] == pytest.approx(2 / 3, abs=1e-3)


def test_the_paper_s_triplet_is_the_authors(base_student: Path) -> None:
    """By hand: a mistake with the right answer, states before the end token, and a gradient that the prompt has no part in."""
    model, tokenizer = weights.load(str(base_student), torch.float32, Path())
    templates.prepare(tokenizer)
    templates.install_paper_template(tokenizer)
    model = model.double().train()
    encoder = Encoder(tokenizer, templates.stop_ids(tokenizer), 512)
    pair = [lesson(1, "So"), lesson(1, "Then")]
    mix = Mix(objective_choices({"name": "reflection", "variant": "paper"}))
    prepared = mix.prepare([encoder.example(one) for one in pair], encoder)
    rows = [mix.row(prepared, place, f"0/0/{place}") for place in range(2)]
    loss, _, _ = mix.loss(model, model, collate_rows(rows, totals_of(rows), tokenizer.pad_token_id))
    loss.backward()
    found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()

    def state(text: str) -> torch.Tensor:
        asked = torch.tensor([encoder.prompt(pair[0].prompt)])
        with torch.no_grad():
            cache = model(asked, use_cache=True).past_key_values
        ids = torch.tensor([encoder.completion(pair[0].prompt, text)[:-1]])
        with last_states(model) as states:
            model(ids, past_key_values=cache, use_cache=True)
        return states[0][0, -1]

    anchors = [state(one.completion) for one in pair]
    wrong = [state("It was not flipped. --> yes") for _ in pair]
    cosine = torch.nn.functional.cosine_similarity
    terms = [
        (1.0 - cosine(anchors[i], anchors[1 - i], dim=0) + cosine(anchors[i], wrong[i], dim=0)).clamp(min=0)
        for i in (0, 1)
    ]
    expected = sum(terms) / 2
    assert float(loss) == pytest.approx(float(expected), abs=1e-9)
    expected.backward()  # type: ignore[union-attr]
    for name, one in model.named_parameters():
        if one.grad is not None and name in found:
            assert torch.allclose(found[name], one.grad, atol=1e-9), name
    # The words of the prompt learn nothing, which they do where the prompt is no constant.
    embedded = found["model.embed_tokens.weight"]
    asked_alone = set(encoder.prompt(pair[0].prompt)) - {
        t for one in pair for t in encoder.completion(one.prompt, one.completion)
    }
    asked_alone -= set(encoder.completion(pair[0].prompt, "It was not flipped. --> yes"))
    assert asked_alone
    assert not embedded[sorted(asked_alone)].any()


def test_micro_batches_train_the_same_student(base_student: Path, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", base_student, LESSONS, prompt_weight=0.1)
    micro = train(tmp_path / "micro", base_student, LESSONS, prompt_weight=0.1, micro_batch=3)
    assert micro["losses"] == pytest.approx(whole["losses"], abs=2e-4)
    assert micro["numbers"]["reflection"] == pytest.approx(whole["numbers"]["reflection"], abs=2e-4)


def test_it_pulls_right_rationales_together_and_wrong_ones_away(base_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", base_student, LESSONS, epochs=30, learning_rate=3e-3)
    assert facts["numbers"]["reflection"][-1] < 0.5 * facts["numbers"]["reflection"][0]


def test_an_interrupted_training_ends_like_an_undisturbed_one(base_student: Path, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", base_student, LESSONS)
    asked: list[int] = []

    def fourth() -> bool:
        asked.append(1)
        return len(asked) >= 4

    with pytest.raises(Interrupted):
        train(tmp_path / "part", base_student, LESSONS, fourth)
    resumed = train(tmp_path / "part", base_student, LESSONS)
    assert (resumed["losses"], resumed["numbers"]) == (whole["losses"], whole["numbers"])
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    found = load_file(tmp_path / "part" / "model.safetensors")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.parametrize(
    ("lessons", "says"),
    [
        ([lesson(i, "So") for i in range(4)], "of 4 lessons 4 have no other right rationale .* and 0 have no mistake"),
        ([lesson(i // 2, f"So {i}", ()) for i in range(4)], "of 4 lessons 0 have no other .* and 4 have no mistake"),
    ],
)
def test_reflection_that_would_be_silently_off_is_an_error(
    base_student: Path, tmp_path: Path, lessons: list[Lesson], says: str
) -> None:
    with pytest.raises(LessonError, match=says):
        train(tmp_path / "s", base_student, lessons)


def test_an_adapter_is_trained_on_as_the_adapter_it_is(base_student: Path, tmp_path: Path) -> None:
    """Two rounds with LoRA: the second student holds what the first learned, on the same base."""
    lora = {"lora": {"r": 2}, "learning_rate": 0.01}
    train(tmp_path / "one", base_student, LESSONS, **lora)
    train(tmp_path / "two", tmp_path / "one", LESSONS, **{**lora, "learning_rate": 1e-9})
    first, _ = weights.load(str(tmp_path / "one"), torch.float32, Path())
    second, _ = weights.load(str(tmp_path / "two"), torch.float32, Path())
    base, _ = weights.load(str(base_student), torch.float32, Path())
    moved = 0.0
    for (_, a), (_, b), (_, c) in zip(
        first.named_parameters(), second.named_parameters(), base.named_parameters(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-5)
        moved = max(moved, float((a - c).abs().max()))
    assert moved > 1e-3
    with pytest.raises(LessonError, match="an adapter of rank 2, and training.lora.r is 4"):
        train(tmp_path / "three", tmp_path / "one", LESSONS, lora={"r": 4})
