"""What is minimised: transformers' Trainer with the language-model loss of lessons and the self-reflection term."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer

from tutelage.training import batches, layout
from tutelage.training.losses import completion_nll, pool, self_reflection, weighted_nll
from tutelage.training.settings import TrainingConfig

Item = tuple[list[batches.Row], batches.Totals]


class Batches(Dataset[Item]):
    """The planned batches in order; one item is the rows of one micro-batch, and the totals of its whole batch."""

    def __init__(
        self,
        examples: Sequence[batches.Example],
        plan: Sequence[list[int]],
        parts: int,
        config: TrainingConfig,
        seed: int,
    ) -> None:
        self.examples = examples
        self.plan = plan
        self.parts = parts
        self.config = config
        self.seed = seed
        self.apart = ""  # why every continuation has a row of its own; empty: it has not
        self.per_epoch = len(plan) // config.epochs

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Item:
        first = index - index % self.parts
        batch = [self.examples[i] for micro in self.plan[first : first + self.parts] for i in micro]
        return self._rows(index), batches.totals(batch, self.config.prompt_weight)

    def _rows(self, index: int) -> list[batches.Row]:
        if self.config.reflection is None:
            return [batches.Row(self.examples[i]) for i in self.plan[index]]
        epoch = index // self.per_epoch
        return [batches.draw(self.examples[i], f"{self.seed}/{epoch}/{i}") for i in self.plan[index]]

    def tokens(self) -> int:
        """How many tokens the whole training reads: lessons, and what they are drawn towards and away from."""
        prompts = 2 if self.apart else 0  # in rows of their own, positive and negative repeat the prompt
        return sum(
            row.example.length
            + len(row.positive)
            + len(row.negative)
            + (prompts * len(row.example.prompt) if row.negative else 0)
            for index in range(len(self))
            for row in self._rows(index)
        )

    def collate(self, items: Sequence[Item], pad: int) -> dict[str, torch.Tensor]:
        """One item as tensors."""
        ((rows, totals),) = items  # more than one would be lessons that nobody learns
        collate = batches.collate_apart if self.apart else batches.collate
        return collate(rows, totals, pad, self.config.prompt_weight)


class LessonTrainer(Trainer):
    """transformers' Trainer with our losses; logits are computed only where a target is predicted."""

    def __init__(self, *args: Any, lessons: TrainingConfig, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lessons = lessons
        # compute_loss divides by the totals of the whole batch; Trainer must not divide by the micro-batches again.
        self.model_accepts_loss_kwargs = True
        self._reflected = [0.0, 0.0, 0.0]  # since the last log: the term, rows that had it, rows

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The weighted mean over the target tokens of a batch, and the self-reflection of its rows."""
        labels_BT, weights_BT = inputs.pop("labels"), inputs.pop("weights", None)
        (weight, active), segments_BT = inputs.pop("totals"), inputs.pop("segments", None)
        trios_A3 = inputs.pop("trios", None)
        plain = self.accelerator.unwrap_model(model)
        if segments_BT is not None and trios_A3 is None:
            inputs["attention_mask"] = layout.tree_mask(plain, segments_BT, inputs["position_ids"])
        with layout.last_states(plain, segments_BT is not None) as states:
            # One column more than there are targets: the logits at column t predict the token at t + 1.
            out = layout.run(model, inputs, labels_BT.shape[1] + 1)
        logits_BTV = out.logits[:, -labels_BT.shape[1] - 1 : -1]
        if weights_BT is None:
            loss = completion_nll(logits_BTV, labels_BT, weight)
        else:
            loss = weighted_nll(logits_BTV, labels_BT, weights_BT, weight)
        if self.lessons.reflection is not None:
            self._reflected[2] += len(labels_BT) - (0 if trios_A3 is None else 2 * len(trios_A3))
        if segments_BT is not None:
            loss = loss + self._reflection(states[0], segments_BT, trios_A3, active)
        return (loss, out) if return_outputs else loss

    def _reflection(self, states_BTH: Any, segments_BT: Any, trios_A3: Any, active: torch.Tensor) -> torch.Tensor:
        wanted = self.lessons.reflection
        assert wanted is not None
        kinds = (batches.COMPLETION, batches.POSITIVE, batches.NEGATIVE)
        if trios_A3 is None:
            anchor_BH, *others = (pool(states_BTH, segments_BT == kind, wanted.pooling) for kind in kinds)
            active_B = (segments_BT == batches.NEGATIVE).any(-1)
        else:
            each_BH = pool(states_BTH, segments_BT == batches.COMPLETION, wanted.pooling)
            anchor_BH, *others = (each_BH[rows_A] for rows_A in trios_A3.T)
            active_B = torch.ones(len(trios_A3), dtype=torch.bool, device=trios_A3.device)
        positive_BH, negative_BH = others
        term = self_reflection(anchor_BH, positive_BH, negative_BH, active_B, wanted.margin, active)
        self._reflected[0] += float(term.detach())
        self._reflected[1] += float(active_B.sum())
        return wanted.weight * term

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the loss of the lessons and the self-reflection of the step apart."""
        term, active, rows = self._reflected
        if rows and self.lessons.reflection and "loss" in logs:
            lessons = round(logs["loss"] - self.lessons.reflection.weight * term, 4)
            logs = {**logs, "loss": lessons, "reflection": round(term, 4), "active": round(active / rows, 4)}
            self._reflected = [0.0, 0.0, 0.0]
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = train_dataset or self.train_dataset
        return torch.utils.data.SequentialSampler(dataset)  # the plan is shuffled already
