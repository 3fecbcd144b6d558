"""What transformers' Trainer is given: the planned batches, and a loss that is the sum of the training's objectives."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer import SCHEDULER_NAME

from tutelage.models.local.pretrained import LanguageModel
from tutelage.training import layout, sharding
from tutelage.training.collation import collate_rows, packed
from tutelage.training.group import Group
from tutelage.training.mixing import Mix, Prepared
from tutelage.training.previous_batch import AGAIN, NEW
from tutelage.training.rows import Inputs, Row, Totals, totals_of

Item = tuple[list[Row], Totals]
NUMBER = "objective/"  # before the name of what an objective tells, in a log of a step


def numbers_in(logs: Mapping[str, Any]) -> dict[str, float]:
    """What objectives told in the log of a step, by name."""
    return {name.removeprefix(NUMBER): value for name, value in logs.items() if name.startswith(NUMBER)}


class PlannedBatches(Dataset[Item]):
    """The planned batches in order; one item is the rows of one micro-batch, and the totals of its whole batch."""

    def __init__(
        self,
        mix: Mix,
        prepared: Prepared,
        plan: Sequence[list[int]],
        parts: int,
        place: tuple[int, int],
        packing: bool = False,
    ) -> None:
        self.mix = mix
        self.prepared = prepared
        self.plan = plan
        self.parts = parts
        self.seed, self.epochs = place
        self.packing = packing  # short rows share a line
        self.apart = ""  # why every branch has a line of its own; empty: it has not
        self.unpacked = ""  # why rows share none although they should
        mix.watch(self.rows)
        self._batch: tuple[int, list[list[Row]]] = (-1, [])  # the last whole batch: its micro-batches come one by one

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Item:
        first = index - index % self.parts
        if self._batch[0] != first:
            self._batch = (first, [self._rows(place) for place in range(first, first + self.parts)])
        whole = self._batch[1]
        return whole[index - first], totals_of([row for micro in whole for row in micro])

    def _rows(self, index: int) -> list[Row]:
        # What is drawn for a lesson depends on where it stands in the plan alone, so that a resumed training repeats it.
        epoch = index // (len(self.plan) // self.epochs)
        return [
            self.mix.row(self.prepared, i, f"{self.seed}/{epoch}/{i}", role)
            for i, role in zip(self.plan[index], self._roles(index), strict=True)
        ]

    def _roles(self, index: int) -> list[str]:
        """What the lessons of a micro-batch are to self-distillation from the previous batch; empty: nothing."""
        if self.mix.previous is None:
            return [""] * len(self.plan[index])
        batch, in_epoch = index // self.parts, len(self.plan) // self.epochs // self.parts
        begin = self.mix.previous.begins(len(self.plan) // self.parts)
        before = self.plan[(batch - 1) * self.parts : batch * self.parts] if batch % in_epoch else []
        met = {lesson for one in before for lesson in one}
        again, new = (AGAIN if batch >= begin else "", NEW if batch + 1 >= begin else "")
        return [again if lesson in met else new for lesson in self.plan[index]]

    def rows(self) -> Iterator[Row]:
        """Every row of the training, in order."""
        return (row for index in range(len(self)) for row in self._rows(index))

    def tokens(self) -> tuple[int, int, float]:
        """How many tokens the whole training reads, how many of the answers' it predicts, and the share of columns that hold none."""
        read, beside, predicted, columns = 0, 0, 0, 0
        for index in range(len(self)):
            rows = self._rows(index)
            widths = [row.reach if self.apart else row.shared_length for row in rows]
            lines = sum(len(row.paths) for row in rows) if self.apart else len(packed(widths) if self.packing else rows)
            columns += lines * max(widths, default=0)
            for row in rows:
                read += row.apart_length if self.apart else row.shared_length
                beside += row.beside_length
                answers = {place for place in row.scored if row.parents[place] >= 0}
                predicted += sum(len(row.branches[place].ids) for place in answers)
        return read + beside, predicted, 1 - read / max(columns, 1)

    def collate(self, items: Sequence[Item], pad: int) -> Inputs:
        """One item as tensors."""
        ((rows, whole),) = items  # more than one would be lessons that nobody learns
        return collate_rows(rows, whole, pad, bool(self.apart), self.packing)

    def look(self, model: LanguageModel, pad: int) -> None:
        """Find out how a student reads these rows rightly, on the device where it trains."""
        self.apart = layout.why_apart(model, self.rows(), pad)
        if self.packing:
            self.unpacked = self.apart or layout.why_unpacked(model, self.rows(), pad)
            self.packing = not self.unpacked


@contextlib.contextmanager
def _tracking(folder: Path) -> Iterator[None]:
    """Where tensorboard's files go unless the user says: beside the steps, since a student's folder is handed on as it is."""
    name = "TENSORBOARD_LOGGING_DIR"
    own = name not in os.environ
    if own:
        os.environ[name] = str(folder.parent / "tracking" / folder.name.removesuffix(".draft"))
    try:
        yield
    finally:
        if own:
            os.environ.pop(name, None)


class LessonTrainer(Trainer):
    """transformers' Trainer with our objectives; logits are computed only where a target is predicted."""

    def __init__(self, *, args: TrainingArguments, mix: Mix, group: Group, **kwargs: Any) -> None:
        with _tracking(Path(str(args.output_dir)).parent):  # trackers look where they write when they are made
            super().__init__(args=args, **kwargs)
        self.mix = mix
        self.group = group
        assert self.model is not None
        self.cut = layout.is_shared(self.model)
        # Every loss is divided by the totals of its whole batch; Trainer must not divide by the micro-batches again.
        self.model_accepts_loss_kwargs = True
        self._told: dict[str, torch.Tensor] = {}  # the objectives' numbers since the last log

    def compute_loss(
        self, model: LanguageModel, inputs: Inputs, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The weighted sum of the objectives' losses; what each tells is added up until the step is logged."""
        loss, numbers, out = self.mix.loss(model, self.accelerator.unwrap_model(model), inputs)
        for name, number in numbers.items():
            self._told[name] = self._told[name] + number if name in self._told else number
        loss = (
            loss * self.group.size
        )  # what is summed over processes is divided by their number, here and in what is logged
        return (loss, out) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the loss of the lessons and the numbers of the objectives apart."""
        if "loss" in logs:
            summed = self.group.sums({name: float(number) for name, number in self._told.items()})
            numbers = {name: round(number, 4) for name, number in summed.items()}
            self._told = {}
            lessons = numbers.pop("loss", None)
            if lessons is not None and not self.mix.is_single:
                logs = {**logs, "loss": lessons}
            logs = {
                **logs,
                **{f"{NUMBER}{name}": number for name, number in numbers.items()},
            }  # trackers draw no mappings
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Of a student that is cut, write nothing here: weights and what the optimiser keeps of them go into one file a process."""
        if not self.cut:
            super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.mix.previous is not None:
            self.mix.previous.save(Path(output_dir), self.group.rank)
        if not self.cut:
            return super()._save_optimizer_and_scheduler(output_dir)
        assert self.model is not None
        assert self.lr_scheduler is not None
        sharding.save_share(self.model, self._plain_optimizer, Path(output_dir), self.group)
        if self.group.is_first:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not sharding.is_cut(Path(resume_from_checkpoint)):
            return super()._load_from_checkpoint(resume_from_checkpoint, model)
        assert self.model is not None
        sharding.load_shares(self.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and self.mix.previous is not None:
            self.mix.previous.load(Path(checkpoint), self.args.device)
        if checkpoint is None or not sharding.is_cut(Path(checkpoint)):
            return super()._load_optimizer_and_scheduler(checkpoint)
        assert self.model is not None
        assert self.lr_scheduler is not None
        sharding.load_optimizer(self.model, self._plain_optimizer, Path(checkpoint))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    @contextlib.contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Add up gradients over the processes at every micro-batch: between them each would hold a whole one."""
        yield

    @property
    def _plain_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser without what accelerate puts around it."""
        return getattr(self.optimizer, "optimizer", self.optimizer)  # type: ignore[return-value]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = train_dataset or self.train_dataset
        return torch.utils.data.SequentialSampler(dataset)  # the plan is shuffled already
