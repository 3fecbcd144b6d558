"""Every architecture answers, learns and is handed on as plain passes of the model itself say it should."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.contracts import architectures

from tutelage.errors import ModelError
from tutelage.exporting import gguf
from tutelage.exporting.student import save
from tutelage.models.local import templates, weights
from tutelage.models.local.hf import Hf
from tutelage.training import heads, layout
from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig
from tutelage.training.trainer import fit
from tutelage.types import Chat, Lesson, Message, Reply, Sampling

ROOT = Path(__file__).parents[2]
SHOTS = "Maya flips the coin. Is the coin still heads up? It was flipped once, so the answer is no. " * 3
TEXTS = ["A coin is heads up.", "Maya flips the coin. " * 6, "Is it heads up?", "yes", SHOTS[:170]]
WHOLE = ("xlstm",)  # whose logits cannot be made in pieces
NEW = 8  # tokens of an answer
OWN_STATE_IS_WRONG = ("rwkv", "xlstm")  # going on from it, transformers says something else than in one pass
ENDS = ("e", "a")  # where a text stops, so that rows leave the batch at different times


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models as small as these wait for their threads longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=architectures.ALL)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base_student: Path) -> Path:
    """A tiny student of each architecture in turn."""
    name: str = request.param
    return architectures.make(name, base_student, tmp_path_factory.mktemp("student") / name)


def student(folder: Path, **options: Any) -> Hf:
    return Hf(str(folder), dtype="float32", device="cpu", **options)


def asked(*texts: str) -> list[Chat]:
    return [Chat(messages=(Message("user", text),), question=str(i)) for i, text in enumerate(texts)]


def replies(one: Hf, sampling: Sampling, *texts: str) -> list[list[Reply]]:
    return [row for _, row in sorted(one.answer(asked(*texts), sampling))]


def generated(folder: Path, *texts: str) -> list[str]:
    """What transformers' own loop makes of each text, with nothing else in the batch."""
    plain, tokenizer = weights.load(str(folder), torch.float32, Path())
    written = []
    for text in texts:
        ids = tokenizer(text.strip(), return_tensors="pt").input_ids
        given = {"attention_mask": torch.ones_like(ids), "use_cache": folder.name not in OWN_STATE_IS_WRONG}
        out = plain.generate(ids, **given, max_new_tokens=NEW, do_sample=False)
        written.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return written


def cut(text: str) -> str:
    return text[: min((place for place in map(text.find, ENDS) if place >= 0), default=len(text))].strip()


def test_answers_are_those_of_one_question_alone(folder: Path) -> None:
    one = student(folder)
    for texts in (TEXTS, [SHOTS + text for text in TEXTS[:3]]):
        expected = generated(folder, *texts)
        assert [row[0].text for row in replies(one, Sampling(max_tokens=NEW), *texts)] == [t.strip() for t in expected]
        stopped = replies(one, Sampling(max_tokens=NEW, stop=ENDS), *texts)
        assert [row[0].text for row in stopped] == [cut(text) for text in expected]
    sampling = Sampling(temperature=1.0, top_k=50, max_tokens=NEW, n=4, seed=3, stop=ENDS)
    together = replies(one, sampling, *TEXTS)
    alone = [replies(one, sampling, text)[0] for text in TEXTS[:2]]
    assert [[reply.text for reply in row] for row in together[:2]] == [[r.text for r in row] for row in alone]


def lesson(question: int, way: str) -> Lesson:
    return Lesson(
        question=str(question),
        prompt=f"A coin is heads up. {'Maya flips it. ' * question * 4}Is it?",
        completion=f"{way} it is. --> yes",
        kind="feedback",
        wrong=("It was not flipped at all, not even once. --> no",),
    )


LESSONS = [lesson(1, "So"), lesson(1, "Then"), lesson(3, "Thus")]


def by_hand(folder: Path) -> tuple[float, float]:
    """The language-model loss and the self-reflection of the lessons, every sequence in a pass of its own."""
    plain, tokenizer = weights.load(str(folder), torch.float32, Path())
    templates.prepare(tokenizer)
    templates.install_paper_template(tokenizer)

    def run(prompt: str, completion: str) -> tuple[int, list[int], torch.Tensor, torch.Tensor]:
        start = templates.prompt_ids(tokenizer, [Message("user", prompt)])
        ids = start + templates.completion_ids(tokenizer, [Message("user", prompt)], completion, {1})
        with torch.no_grad(), layout.last_states(plain) as states:
            logits = plain(input_ids=torch.tensor([ids])).logits
        return len(start), ids, logits[0].double().log_softmax(-1), states[0][0, -1].double()

    total, weight = 0.0, 0.0
    for one in LESSONS:
        start, ids, logs, _ = run(one.prompt, one.completion)
        for place in range(1, len(ids)):
            counts = 1.0 if place >= start else 0.1
            total -= counts * float(logs[place - 1, ids[place]])
            weight += counts
    pair = [run(one.prompt, one.completion)[3] for one in LESSONS[:2]]
    wrong = run(LESSONS[0].prompt, LESSONS[0].wrong[0])[3]
    cosine = torch.nn.functional.cosine_similarity
    terms = [max(0.0, 1 - float(cosine(a, b, dim=0)) + float(cosine(a, wrong, dim=0))) for a, b in (pair, pair[::-1])]
    return total / weight, sum(terms) / 2


def train(folder: Path, into: Path, **settings: Any) -> dict[str, Any]:
    into.mkdir()
    config = TrainingConfig(epochs=1, batch=3, precision="float32", prompt_weight=0.1, learning_rate=1e-3, **settings)
    spec = {"name": str(folder), "cache": "", "device": "cpu"}
    return fit(spec, LESSONS, config, 3, into, Callbacks(lambda tick: None, lambda: False))


@pytest.mark.parametrize(
    "name", ["gemma3", "qwen3_vl", "qwen3_5", "lfm2", "mamba", "falcon_h1", "nemotron_h", "zamba2"]
)
def test_adapters_are_learned_and_merged(name: str, base_student: Path, tmp_path: Path) -> None:
    folder = architectures.make(name, base_student, tmp_path / name)
    train(folder, tmp_path / "taught", lora={"r": 2}, reflection={})
    before, _ = weights.load(str(folder), torch.float32, Path())
    after, _ = weights.load(str(tmp_path / "taught"), torch.float32, Path())
    moved = [
        where for where, weights in after.named_parameters() if not torch.equal(weights, before.get_parameter(where))
    ]
    assert moved
    assert not any(where.endswith("mixer.out_proj.weight") or "embed" in where for where in moved)


def test_the_loss_is_that_of_separate_passes_and_the_student_is_handed_on(folder: Path, tmp_path: Path) -> None:
    plain, reflected = by_hand(folder)
    facts = train(folder, tmp_path / "reflected", reflection={})
    assert facts["numbers"]["reflection"] == [pytest.approx(reflected, abs=2e-4)]
    assert facts["first_loss"] == pytest.approx(plain, abs=3e-4)
    taught = student(tmp_path / "reflected")
    told = replies(taught, Sampling(max_tokens=6), "coin", "Is it?")
    setup = SimpleNamespace(sampling=Sampling(max_tokens=6))
    source: Any = SimpleNamespace(student=tmp_path / "reflected", options=lambda: {"dtype": "float32"}, setup=setup)
    save(source, tmp_path / "exported", "exam")
    handed = replies(student(tmp_path / "exported"), Sampling(max_tokens=6), "coin", "Is it?")
    assert [row[0].text for row in handed] == [row[0].text for row in told]
    if folder.name not in ("llama", "qwen2", "qwen3"):
        with pytest.raises(ModelError, match=r"--gguf does not know .*convert_hf_to_gguf"):
            gguf.check_student(tmp_path / "reflected")
    row = architectures.row(folder.name, taught.way, facts["apart"])
    assert row in (ROOT / "docs" / "students.md").read_text(), f"python -m tests.contracts.architectures: {row}"


def test_logits_in_pieces_are_the_model_s_own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands behind its decoder: caps, scales, biases."""
    facts = train(folder, tmp_path / "whole")
    monkeypatch.setattr(heads, "WHOLE", 0)
    monkeypatch.setattr(heads, "PAYS", 0)
    monkeypatch.setattr(heads, "PIECE", 5 * 4 * architectures.VOCABULARY)
    pieces = train(folder, tmp_path / "pieces")
    assert pieces["losses"] == pytest.approx(facts["losses"], abs=1e-5)
    assert bool(pieces.get("whole")) == (folder.name in WHOLE)
