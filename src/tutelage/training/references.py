"""What a student as it begins, or another model, thinks of texts: read once before a training, and kept until it is over."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct
from safetensors.torch import load_file, save_file

from tutelage.errors import LessonError
from tutelage.models.local import batching, scoring
from tutelage.models.local.pretrained import LanguageModel
from tutelage.models.local.templates import Prompt
from tutelage.models.opening import open_model
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.group import ALONE, Group
from tutelage.types import Chat, Message, TokenScores


class Reference(Struct, frozen=True):
    """What is thought of one text's N tokens: the log-probability of each, and the K likeliest in its place with theirs."""

    logprobs_N: torch.Tensor
    top_ids_NK: torch.Tensor
    top_logprobs_NK: torch.Tensor

    def more(self, top: bool) -> dict[str, list[Any]]:
        """The same as a `RowPart` takes it."""
        if not top:
            return {"reference": self.logprobs_N.tolist()}
        return {"top_ids": self.top_ids_NK.tolist(), "top_logprobs": self.top_logprobs_NK.tolist()}


class References:
    """Reads texts, and keeps what was read in a folder, so that a training that goes on reads it back instead."""

    def __init__(self, model: LanguageModel, encoder: Encoder, folder: Path, group: Group = ALONE) -> None:
        self._model = model  # the student as it begins
        self._group = (
            group  # of processes that read together, where each holds a share of the student; the first writes
        )
        self._encoder = encoder
        self._folder = folder

    def own(self, name: str, branches: Sequence[Branch], top: int = 0) -> list[Reference]:
        """What the student as it begins thinks of each branch's tokens behind what the branch goes on from."""
        rows = [Prompt([*branch.before, *branch.ids], len(branch.ids)) for branch in branches]

        def read() -> Mapping[int, TokenScores]:
            training = self._model.training
            self._model.eval()
            longest = max(len(row.ids) for row in rows)
            try:
                at_once = self._group.least(batching.fitting(self._model, longest))
                return dict(scoring.score_rows(self._model, rows, at_once, top))
            finally:
                self._model.train(training)

        return self._kept(name, rows, top, read)

    def of(self, name: str, spec: Any, examples: Sequence[Example], texts: Sequence[str], top: int) -> list[Reference]:
        """What another model thinks of answers to the lessons' prompts; it must have the student's tokens."""
        wanted = [self._encoder.completion(one.lesson.prompt, text) for one, text in zip(examples, texts, strict=True)]
        rows = [Prompt([*one.prompt, *ids], len(ids)) for one, ids in zip(examples, wanted, strict=True)]

        def read() -> Mapping[int, TokenScores]:
            model = open_model(spec)
            if not hasattr(model, "score"):
                raise LessonError(
                    f"objective {name!r}: {model.name} cannot say how likely a text is; name a local model (hf:…)"
                )
            chats = [Chat(messages=(Message("user", one.lesson.prompt),)) for one in examples]
            found = dict(model.score(chats, texts, top))
            if any(list(found[place].tokens) != ids for place, ids in enumerate(wanted)):
                raise LessonError(
                    f"objective {name!r}: {model.name} cuts texts into other tokens than the student, or ends them with another one, so "
                    "its probabilities say nothing of the student's: name a model with the student's tokenizer and template"
                )
            return found

        return self._kept(name, rows, top, read, json.dumps(spec, sort_keys=True, default=str))

    def _kept(self, name: str, rows: Sequence[Prompt], top: int, read: Any, who: str = "") -> list[Reference]:
        said = json.dumps([who, top, [[row.ids, row.most] for row in rows]])
        digest = hashlib.sha256(said.encode()).hexdigest()
        file = self._folder / f"{name}-{digest[:16]}.safetensors"
        sizes = [row.most for row in rows]
        (there,) = self._group.agreed(file.exists())
        found = {} if there else read()
        if not there and self._group.is_first:
            ordered = [found[place] for place in range(len(rows))]
            kept = {
                "logprobs": torch.tensor([value for one in ordered for value in one.logprobs]),
                "top_ids": torch.tensor([ids for one in ordered for ids in one.top_tokens] or [0], dtype=torch.int32),
                "top_logprobs": torch.tensor([logs for one in ordered for logs in one.top_logprobs] or [0.0]),
            }
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(kept, file.with_suffix(".part"))
            file.with_suffix(".part").replace(file)
        self._group.wait()
        told = load_file(file)
        none = [torch.zeros(0)] * len(rows)
        ids, logs = (torch.split(told[key], sizes) if top else none for key in ("top_ids", "top_logprobs"))
        return [Reference(*one) for one in zip(torch.split(told["logprobs"], sizes), ids, logs, strict=True)]
