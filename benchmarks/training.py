"""Training speed and memory: ours against TRL's SFTTrainer, and self-reflection against none, in one run.

    pip install -e ".[bench]" -c constraints.txt
    python benchmarks/training.py            # about ten minutes on 2 cores; --quick for a look

Every arm is a process of its own, on the packaged student, with the same lessons in the same batches (16 lessons,
weights in float32, products in bfloat16 and once in float32). Speed is tokens of prompt and completion a second between the first and
the last step. The last comparison is of the first 20 losses in float32.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tutelage.config import cache_folder
from tutelage.models.local import templates, weights
from tutelage.tasks.catalog import find_task
from tutelage.types import Lesson

STUDENT = "smollm2"


def make_lessons(count: int) -> list[Lesson]:
    """Two wordings of `count / 2` worked solutions, each set against one wrong one."""
    task = find_task("word_problems?difficulty=1&size=4000")
    assert task.worked is not None
    return [
        Lesson(
            question=question.id,
            prompt=question.text,
            completion=f"{task.worked(question, variant)} --> {question.answer}",
            kind="rationale",
            wrong=(f"{task.worked(question, 2)} --> {int(question.answer) + 1}",),
        )
        for question in task.load("train")[: count // 2]
        for variant in (0, 1)
    ]


def settings(batch: int, lora: bool, precision: str, reflection: bool) -> Any:
    from tutelage.training.settings import LoraConfig, ReflectionConfig, TrainingConfig

    return TrainingConfig(
        epochs=1,
        learning_rate=1e-4,
        schedule="constant",
        warmup=0,
        batch=batch,
        template="paper",
        precision=precision,  # type: ignore[arg-type]
        lora=LoraConfig() if lora else None,
        reflection=ReflectionConfig() if reflection else None,
    )


def examples(lessons: list[Lesson], tokenizer: Any) -> list[Any]:
    from tutelage.training.examples import Encoder, encode_lessons

    templates.prepare(tokenizer)
    templates.install_paper_template(tokenizer)
    return encode_lessons(lessons, Encoder(tokenizer, templates.stop_ids(tokenizer), 1024))


def ours(lessons: list[Lesson], config: Any) -> dict[str, Any]:
    """Our training, through the function that recipes call."""
    from tutelage.training.job import Callbacks
    from tutelage.training.trainer import fit

    ticks: list[float] = []
    spec = {"name": STUDENT, "cache": str(cache_folder()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        facts = fit(spec, lessons, config, 0, Path(folder), callbacks)
    return {"losses": facts["losses"], "ticks": ticks}


def trl(lessons: list[Lesson], config: Any) -> dict[str, Any]:
    """TRL's SFTTrainer on the same tokens in the same batches."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig as Adapters
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from tutelage.training import batches

    model, tokenizer = weights.load(STUDENT, torch.float32, cache_folder())
    encoded = examples(lessons, tokenizer)
    order = [
        index
        for batch in batches.planned_batches(encoded, config.model_copy(update={"epochs": 1}), 0)
        for index in batch
    ]
    rows = [
        {
            "input_ids": encoded[i].prompt + encoded[i].completion,
            "completion_mask": [0] * len(encoded[i].prompt) + [1] * len(encoded[i].completion),
        }
        for i in order
    ]
    ticks: list[float] = []

    class Clock(TrainerCallback):
        def on_log(self, *_: Any, **kwargs: Any) -> None:
            ticks.append(time.monotonic())

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    lora = config.lora
    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=model,
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=config.batch,
                num_train_epochs=1,
                learning_rate=config.learning_rate,
                lr_scheduler_type="constant",
                bf16=config.precision == "bfloat16",
                use_cpu=True,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                completion_only_loss=True,
                gradient_checkpointing=False,
                max_length=1024,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=Adapters(
                r=lora.r, lora_alpha=int(lora.alpha), target_modules="all-linear", task_type="CAUSAL_LM"
            )
            if lora
            else None,
            callbacks=[Clock()],
        )
        trainer.train()
    return {"losses": [row["loss"] for row in trainer.state.log_history if "loss" in row], "ticks": ticks}


def measure(arm: str, steps: int, batch: int, precision: str) -> dict[str, Any]:
    """Run one arm in this process; tokens are those of prompts and completions, whatever else an arm computes."""
    from tutelage.training import batches

    name, *options = arm.split("-")
    lessons = make_lessons(steps * batch)
    config = settings(batch, "lora" in options, precision, "reflection" in options)
    result = (ours if name == "ours" else trl)(lessons, config)
    encoded = examples(lessons, _tokenizer())
    lengths = [
        sum(encoded[i].length for i in one)
        for one in batches.planned_batches(encoded, config.model_copy(update={"epochs": 1}), 0)
    ]
    ticks = result["ticks"][:steps]
    return {
        "losses": result["losses"][:20],
        "tokens_per_second": sum(lengths[1:]) / (ticks[-1] - ticks[0]),
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _tokenizer() -> Any:
    import torch

    return weights.load(STUDENT, torch.float32, cache_folder())[1]


def run(arm: str, steps: int, batch: int = 16, precision: str = "bfloat16") -> dict[str, Any]:
    """One arm in a process of its own."""
    words = [
        sys.executable,
        __file__,
        "--arm",
        arm,
        "--steps",
        str(steps),
        "--batch",
        str(batch),
        "--precision",
        precision,
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arm} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{arm:>16} {precision:>9} {result['tokens_per_second']:7.0f} tokens/s {result['memory_gb']:6.2f} GB",
        flush=True,
    )
    return result


def main() -> None:
    """Compare the arms in turn, so that a change of the machine's mood meets them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps; ratios are rough")
    for option in ("--arm", "--precision"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    for option in ("--steps", "--batch"):
        parser.add_argument(option, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.steps, given.batch, given.precision)))
        return
    steps = 4 if given.quick else 8
    speed = {arm: run(arm, steps) for arm in ("ours", "trl", "ours-reflection", "ours-lora", "trl-lora")}
    single = {arm: run(arm, steps, precision="float32") for arm in ("ours", "trl")}
    exact = {arm: run(arm, 20, batch=4, precision="float32") for arm in ("ours", "trl")}
    pairs = zip(exact["ours"]["losses"], exact["trl"]["losses"], strict=True)
    rate = {arm: result["tokens_per_second"] for arm, result in speed.items()}
    memory = speed["ours-reflection"]["memory_gb"] / speed["ours"]["memory_gb"]
    print(f"full fine-tuning: ours / TRL tokens a second  {rate['ours'] / rate['trl']:.2f}")
    plain = {arm: result["tokens_per_second"] for arm, result in single.items()}
    print(f"the same in float32                           {plain['ours'] / plain['trl']:.2f}")
    print(f"ours: bfloat16 / float32                      {rate['ours'] / plain['ours']:.2f}")
    print(f"LoRA: ours / TRL tokens a second              {rate['ours-lora'] / rate['trl-lora']:.2f}")
    print(f"a step with self-reflection / without: time   {rate['ours'] / rate['ours-reflection']:.2f}")
    print(f"a step with self-reflection / without: memory {memory:.2f}")
    print(f"first 20 losses in float32: largest difference {max(abs(a - b) for a, b in pairs):.1e}")


if __name__ == "__main__":
    main()
