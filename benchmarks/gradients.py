"""Which way each objective moves a student, beside the way that is wanted, before anything is trained.

    python benchmarks/gradients.py RUN            # a run of `tailored` with feedback.form=scribe, as far as its first repairs

What is wanted is that right steps become more likely than the student's own wrong ones: M = log p(right step) - log p(wrong step), each
from the token in which they part, a mean over held-out mistakes of the very student. For each objective the gradient of its
loss on other mistakes is compared with that of -M: the cosine says whether a small step along it would raise M on questions that it was
not computed on, the length beside that of the whole training loss how much of a step it is. A term with a cosine below 0.05 is not
worth an experiment. The same for M of all tokens to the end. Nothing is trained; a few minutes on two cores.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace

from tutelage.config import cache_folder
from tutelage.lessons import reflection
from tutelage.models.local import templates, weights
from tutelage.runs import records
from tutelage.runs.history import open_run
from tutelage.tasks.catalog import find_task
from tutelage.training import layout
from tutelage.training.collation import collate_rows
from tutelage.training.duals import dual_of
from tutelage.training.examples import Encoder, Example
from tutelage.training.losses import row_sums, token_logprobs
from tutelage.training.mixing import Mix
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import Row, totals_of
from tutelage.training.settings import objective_choices
from tutelage.types import Attempt, Lesson

WHOLE = "likelihood"
# Terms that stand beside a whole objective are measured alone, and their share is of the two together, with these weights.
ARMS: dict[str, tuple[Any, Any, float]] = {  # name: (objective, what it stands beside, its weight)
    "likelihood": (WHOLE, None, 1.0),
    "repair": ("repair", None, 1.0),
    "repair, from the token": ({"name": "repair", "begin": "token"}, None, 1.0),
    "prefer (simpo), its preference": ({"name": "prefer"}, "repair", 1.0),
    "prefer (orpo), its preference": ({"name": "prefer", "form": "orpo", "beta": 1.0}, "repair", 1.0),
    "prefer against others (placebo)": ({"name": "prefer", "against": "others"}, "repair", 1.0),
    "unlikelihood": ("unlikelihood", "repair", 0.5),
    "critique": ("critique", "repair", 0.2),
    "key_steps": ("key_steps", None, 1.0),
    "reflection, own": ("reflection", WHOLE, 0.5),
    "reflection, own, mean": ({"name": "reflection", "pooling": "mean"}, WHOLE, 0.5),
    "reflection, paper": ({"name": "reflection", "variant": "paper"}, WHOLE, 0.5),
}
MICRO = 8  # lessons in a forward pass


class Student:
    """A student, and the gradients of what is made of it."""

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = weights.load(str(folder), torch.float32, cache_folder())
        self.model.set_attn_implementation("eager")
        self.model.eval()  # no dropout
        templates.prepare(self.tokenizer)
        self.encoder = Encoder(self.tokenizer, templates.stop_ids(self.tokenizer), 1024)

    def gradient(self, losses: Iterator[torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
        """The sum of losses, and its gradient by parameter."""
        self.model.zero_grad()
        total = 0.0
        for loss in losses:
            loss.backward()
            total += float(loss.detach())
        found = [one.grad.clone() if one.grad is not None else torch.zeros_like(one) for one in self.model.parameters()]
        return total, found

    def of(self, objective: Any, examples: Sequence[Example]) -> Iterator[torch.Tensor]:
        """An objective's loss on lessons, in pieces that add up to it."""
        mix = Mix(objective_choices(objective))
        prepared = mix.prepare(examples, self.encoder)
        rows = [mix.row(prepared, place, f"0/0/{place}") for place in range(len(prepared.examples))]
        totals = totals_of(rows)
        mix.watch(lambda: rows)
        for start in range(0, len(rows), MICRO):
            inputs = collate_rows(rows[start : start + MICRO], totals, self.tokenizer.pad_token_id)
            yield mix.loss(self.model, self.model, inputs)[0]

    def margin(self, examples: Sequence[Example], span: str) -> Iterator[torch.Tensor]:
        """-M on mistakes, in pieces: the difference of log-probabilities from where right and wrong part."""
        duals = [dual for one in examples if (dual := dual_of(one, self.encoder))]
        rows = [Row({"it": [dual.better(span), dual.worse(span)]}) for dual in duals]
        for start in range(0, len(rows), MICRO):
            inputs = collate_rows(rows[start : start + MICRO], totals_of(rows), self.tokenizer.pad_token_id)
            logits = layout.forward(self.model, inputs, inputs["keep"]).logits
            seen = ForwardPass("it", inputs, (logits, None), lambda objective, part: None, lambda laid: laid["texts"])
            sums = [
                row_sums(token_logprobs(told.logits_NV, told.labels_N), told.rows_N).sum()
                for told in map(seen.targets, ("worse", "better"))
            ]
            yield (sums[0] - sums[1]) / len(rows)


def cosine(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return dot(one, other) / (dot(one, one) * dot(other, other)) ** 0.5


def dot(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return sum(float((a.double() * b.double()).sum()) for a, b in zip(one, other, strict=True))


def lessons_of(run: Path) -> tuple[Path, list[Lesson]]:
    """The student whose mistakes were repaired last, and the repairs, each with another right wording and its mistakes."""
    found = sorted(run.glob("*-repairs/records.jsonl"), key=lambda file: int(file.parent.name.partition("-")[0]))
    if not found:
        raise SystemExit(f"{run} holds no repairs: run `tailored` there with feedback.form=scribe")
    number = int(found[-1].parent.name.partition("-")[0])
    repairs = [one for one in records.read_records(found[-1], Lesson) if one.mistaken]
    wrong = [
        one for one in records.read_records(run / f"{number}-exam" / "records.jsonl", Attempt) if one.verdict == "wrong"
    ]
    task = find_task(open_run(run).config["task"])
    questions = {question.id: question for question in task.load("train")}
    made = []
    for place, one in enumerate(reflection.against(repairs, wrong)):
        worked = [task.worked(questions[one.question], variant) for variant in range(4)] if task.worked else []
        answer = one.completion.rpartition(" --> ")[2]
        right = [text for told in worked if (text := f"{told} --> {answer}") != one.completion]
        made.append(replace(one, right=tuple(right[place % 2 :][:1])))
    return run / f"{number - 1}-student", made


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--held-out", type=int, default=32, help="mistakes on which M is measured")
    options.add_argument("--lessons", type=int, default=48, help="others, on which the objectives are")
    chosen = options.parse_args()
    folder, lessons = lessons_of(chosen.run)
    random.Random(0).shuffle(lessons)
    student = Student(folder)
    examples = [student.encoder.example(one) for one in lessons[: chosen.held_out + chosen.lessons]]
    held, others = examples[: chosen.held_out], examples[chosen.held_out :]
    wanted = {span: student.gradient(student.margin(held, span))[1] for span in ("step", "tail")}
    print(f"{len(held)} held-out mistakes, {len(others)} lessons about others; {folder}\n")
    print(
        f"| {'objective':<34} | loss | length of its gradient | cosine, M of the step | of the tail | share of the step |"
    )
    print("|---|---|---|---|---|---|")
    beside = {name: student.gradient(student.of(name, others))[1] for name in ("likelihood", "repair")}
    for name, (objective, base, weight) in ARMS.items():
        loss, own = student.gradient(student.of(objective, others))
        if base == "repair" and name.startswith("prefer"):  # it holds the repair's likelihood, too
            own = [one - other for one, other in zip(own, beside["repair"], strict=True)]
        size, share = dot(own, own) ** 0.5, 1.0
        if base:
            whole = [weight * one + other for one, other in zip(own, beside[base], strict=True)]
            share = weight * size / dot(whole, whole) ** 0.5
        print(
            f"| {name:<34} | {loss:.3f} | {size:.3f} | {cosine(own, wanted['step']):+.3f} | {cosine(own, wanted['tail']):+.3f} | {share:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
