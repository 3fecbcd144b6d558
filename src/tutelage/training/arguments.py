"""What transformers' Trainer is told: our settings, and beside them whatever of its own the user asks for."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.training_args import OptimizerNames
from transformers.utils.import_utils import is_flash_attn_2_available

from tutelage.errors import ConfigError, LessonError, nearest
from tutelage.models.local import precision
from tutelage.training.group import ALONE, Group
from tutelage.training.settings import TrainingConfig

# Whose values a setting of ours gives, and where each is set instead; what follows from how lessons are planned is nobody's to set.
OURS = {
    "learning_rate": "training.learning_rate",
    "lr_scheduler_type": "training.schedule",
    "warmup_steps": "training.warmup",
    "weight_decay": "training.weight_decay",
    "max_grad_norm": "training.max_grad_norm",
    "optim": "training.optimizer",
    "bf16": "training.precision",
    "gradient_checkpointing": "training.gradient_checkpointing",
    "activation_checkpointing": "training.gradient_checkpointing",
    "report_to": "training.report_to",
    "num_train_epochs": "training.epochs",
    "per_device_train_batch_size": "training.batch and training.micro_batch",
    "gradient_accumulation_steps": "training.batch and training.micro_batch",
    "seed": "seed",
    "use_cpu": "the student's device",
    "fp16": "training.precision",
}
# What of the rest is taken: what changes how steps are computed or told, and nothing of how lessons are planned, kept and handed out.
TAKEN = [
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "optim_args",
    "optim_target_modules",
    "lr_scheduler_kwargs",
    "neftune_noise_alpha",
    "tf32",
    "torch_empty_cache_steps",
    "full_determinism",
    "log_level",
    "skip_memory_metrics",
    "run_name",
    "project",
    "trackio_space_id",
]
_WRONG = (ValueError, TypeError, ImportError, RuntimeError, AssertionError)  # how transformers and torch refuse a value


def check(config: TrainingConfig) -> None:
    """Refuse an optimiser, a tracker, an attention or a field of transformers' that is none, that is not there, or that is set elsewhere."""
    _check_names(config.trainer)
    optimizers = [one.value for one in OptimizerNames]
    if config.optimizer not in optimizers:
        raise ConfigError(
            f"training.optimizer: unknown optimiser {config.optimizer!r}; {nearest(config.optimizer, optimizers)}"
        )
    if config.attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ConfigError(
            "training.attention=flash_attention_2 needs a GPU and the package flash-attn, which is not there"
        )
    there = get_available_reporting_integrations()
    for name in config.report_to:
        if name not in there:
            known = f"; installed are {', '.join(there)}" if there else ""
            raise ConfigError(
                f"training.report_to: the tracker {name!r} is not installed, or transformers does not know it (pip install {name}){known}"
            )
    _check_values(config)


def _check_names(given: Mapping[str, object]) -> None:
    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in given:
        if name in OURS:
            raise ConfigError(f"training.trainer sets {name!r}, which is set by {OURS[name]}")
        if name not in fields:
            raise ConfigError(
                f"training.trainer: transformers' TrainingArguments has no field {name!r}; {nearest(name, fields)}"
            )
        if name not in TAKEN:
            raise ConfigError(
                f"training.trainer: {name!r} is not taken: it follows from how lessons are planned and kept, or does nothing here; "
                f"taken are {', '.join(TAKEN)}"
            )


def _check_values(config: TrainingConfig) -> None:
    """Build the optimiser of one number, as the training will that of a student."""
    try:
        told = TrainingArguments(
            output_dir="unused", use_cpu=True, report_to="none", optim=config.optimizer, **config.trainer
        )
        one: Any = torch.nn.Linear(1, 1)
        kind, options = Trainer.get_optimizer_cls_and_kwargs(told, one)
        kind(options.pop("params", None) or one.parameters(), **options)
    except _WRONG as error:
        first = str(error).strip().split("\n")[0]
        raise ConfigError(f"training.trainer, training.optimizer: they cannot be used: {first}") from error


def made(
    config: TrainingConfig, seed: int, folder: Path, steps: tuple[int, int], device: str, group: Group = ALONE
) -> TrainingArguments:
    """The arguments of a training of so many steps and micro-batches a step; Trainer seeds everything again, alike each time.

    Its micro-batches are those of one process of the group.
    """
    check(config)
    told = _built(
        {**config.trainer, **_chosen(config, steps[0], device), **_fixed(folder, steps, device), "seed": seed}
    )
    return _on_one_device(told, group)


def _chosen(config: TrainingConfig, steps: int, device: str) -> dict[str, Any]:
    """What settings of ours say."""
    constant = config.schedule == "constant" and config.warmup != 0
    return {
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if constant else config.schedule,
        "warmup_steps": round(config.warmup * steps if config.warmup < 1 else config.warmup),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm or 0.0,  # transformers' word for never
        "optim": config.optimizer,
        "bf16": products(config, device) == "bfloat16",
        **(_again() if config.gradient_checkpointing else {}),
        "report_to": list(config.report_to) or "none",
    }


def _again() -> dict[str, Any]:
    """That layers are computed again, in the words of this version of transformers."""
    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in fields else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}}


def _fixed(folder: Path, steps: tuple[int, int], device: str) -> dict[str, Any]:
    """What follows from how lessons are planned and kept."""
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": 1,  # an item of the data set is a whole micro-batch
        "max_steps": steps[0],
        "gradient_accumulation_steps": steps[1],
        "use_cpu": device == "cpu",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # else a loss that is no number is shown as the one before
        "save_strategy": "no",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": device != "cpu",
    }


def products(config: TrainingConfig, device: str) -> str:
    """The arithmetic of a training's products, "float32" or "bfloat16"."""
    if config.lora is not None and config.lora.base == "bfloat16":
        return "bfloat16"  # what the base is kept in; the settings refuse another precision beside it
    return precision.choose("training", device) if config.precision == "auto" else config.precision


def _built(values: Mapping[str, Any]) -> TrainingArguments:
    try:
        return TrainingArguments(**values)
    except _WRONG as error:
        raise ConfigError(f"training.trainer: transformers refuses it: {error}") from error


def _on_one_device(arguments: TrainingArguments, group: Group) -> TrainingArguments:
    """Keep transformers from sharing batches out among all GPUs it sees: an item of our data set is a whole micro-batch.

    Its loader would take as many items at once as there are GPUs, and the collator would have to drop all but one.
    """
    if arguments.world_size != group.size:
        raise LessonError(
            f"the training was started as one of {arguments.world_size} processes, and would repeat itself in each: start it "
            "as one process, which starts others where --on processes:N says so"
        )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments
