"""How much of a card a training uses: students of the field's shapes with random weights, by the function that recipes call.

    python -m benchmarks.shapes --into runs/shapes.json       # about four minutes on an H100
    python -m benchmarks.shapes --arms "tiny full,tiny lora" --device cpu    # a look at the script itself
    python -m benchmarks.shapes --plan                        # the table of docs/scale.md: worked out, with no GPU

The share is that of model FLOPs: what a training needs at the least for a token, over the rate of bfloat16 products of 8,192 x 8,192 matrices,
measured in the same run. A token needs 6 N where all weights are trained, 4 N where adapters are (the base has no gradient of its own), and
6 L T d more for attention that looks back only; N are the weights that multiply (the input's embeddings do not), L layers, T tokens of a lesson,
d the width of all heads together. What is computed twice, padding, and the adapters themselves count nothing. Lessons are about 1,000 tokens long.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu import ROOT, measured, product_rate

LENGTH = 1000  # tokens of a lesson, about
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 2048, "tie_word_embeddings": True},
    "Qwen2.5-0.5B": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
                     "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True},
    "Qwen2.5-1.5B": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
                     "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True},
    "Qwen2.5-7B": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
                   "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False},
    "Llama-3.1-8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False},
}  # fmt: skip


class Arm(NamedTuple):
    """One training: whose shape, all weights or adapters, how many lessons at once, and whether layers are computed again."""

    shape: str
    how: str
    micro: int
    again: bool = False

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{self.shape} {self.how}{' again' if self.again else ''}"


ARMS = [
    Arm("tiny", "full", 4), Arm("tiny", "lora", 4),
    Arm("Qwen2.5-0.5B", "full", 16), Arm("Qwen2.5-0.5B", "lora", 16),
    Arm("Qwen2.5-1.5B", "full", 8), Arm("Qwen2.5-1.5B", "lora", 8),
    Arm("Qwen2.5-7B", "lora", 4), Arm("Qwen2.5-7B", "lora", 16, True), Arm("Llama-3.1-8B", "lora", 4),
]  # fmt: skip


def main() -> None:
    """Train each arm in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "shapes.json")
    parser.add_argument(
        "--arms", help="some of them, by their names with commas between; default: all but the tiny ones"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16, help="lessons a step")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--plan", action="store_true", help="only work out what memory they need")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(next(arm for arm in ARMS if arm.name == given.one), given)))
        return
    if given.plan:
        print("\n".join(planned()))
        return
    asked = given.arms.split(",") if given.arms else [arm.name for arm in ARMS if arm.shape != "tiny"]
    found: dict[str, Any] = {"rate": rate(given.device), "arms": {}}
    deadline = time.monotonic() + 60 * given.minutes
    for arm in (arm for arm in ARMS if arm.name in asked):
        words = ["-m", "benchmarks.shapes", "--one", arm.name, "--device", given.device]
        words += ["--steps", str(given.steps), "--batch", str(given.batch)]
        left = deadline - time.monotonic()
        found["arms"][arm.name] = measured(words, left) if left > 1 else {"not run": "no time was left"}
        print(f"{arm.name}: {found['arms'][arm.name]}", flush=True)
        given.into.parent.mkdir(parents=True, exist_ok=True)
        given.into.write_text(json.dumps(found, indent=1))
    print("\n".join(table(found)))


def rate(device: str) -> dict[str, Any]:
    """What the machine is, and FLOP/s of bfloat16 matrix products on it."""
    import torch
    import transformers

    cuda = device == "cuda"
    name = torch.cuda.get_device_name() if cuda else "CPU"
    flops = product_rate() if cuda else None  # a look at the script needs no rate
    return {"device": name, "flops": flops, "torch": torch.__version__, "transformers": transformers.__version__}


def measure(arm: Arm, given: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second between the first step and the last, the most memory, and the FLOPs that these tokens need."""
    import torch

    from tutelage.training.job import Callbacks
    from tutelage.training.settings import LoraConfig, TrainingConfig
    from tutelage.training.trainer import fit

    ticks: list[float] = []
    config = TrainingConfig(
        epochs=1, learning_rate=1e-5, schedule="constant", warmup=0, batch=given.batch, template="paper", precision="bfloat16",
        lora=LoraConfig() if arm.how == "lora" else None, max_length=4096, micro_batch=arm.micro if arm.micro < given.batch else None,
        gradient_checkpointing=arm.again,
    )  # fmt: skip
    cuda = given.device == "cuda"
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 40e9  # the largest is 16 GB
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as name:
        folder = Path(name)
        lessons, tokens = make_student(arm.shape, folder / "student", given.batch * given.steps, given.device)
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        spec = {"name": str(folder / "student"), "cache": str(folder / "cache"), "device": given.device}
        facts = fit(spec, lessons, config, 0, folder / "trained", callbacks)
        shape = json.loads((folder / "student" / "config.json").read_text())
    share = (len(ticks) - 1) / facts["steps"]
    speed = share * facts["tokens"] / (ticks[-1] - ticks[0])
    return {
        "tokens_per_second": round(speed),
        "flops": speed * needed(shape, arm.how, tokens),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if cuda else None,
        "parameters": weights_of(shape)[0],
        "lesson": round(tokens),
        "steps": facts["steps"],
        "micro_batch": facts.get("at_once", config.micro_batch or given.batch),  # fewer where memory ran out
        "loss": [facts["first_loss"], facts["last_loss"]],
        "apart": facts["apart"],
    }


def planned() -> list[str]:
    """What `tutelage plan` would say of each shape, for four lessons of 1,024 tokens at once on a GPU, in GB, as Markdown."""
    from transformers import Qwen2Config

    from tutelage.config import cache_folder
    from tutelage.models.local import weights
    from tutelage.training.memory import needs
    from tutelage.training.settings import LoraConfig, TrainingConfig

    _, tokenizer = weights.outline("smollm2", cache_folder())
    rows = ["| student | all weights | layers again | adapters | layers again |", "|---|---|---|---|---|"]
    for name, shape in SHAPES.items():
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            Qwen2Config(**shape, architectures=["Qwen2ForCausalLM"]).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            for lora in (None, LoraConfig()):
                for again in (False, True):
                    config = TrainingConfig(lora=lora, gradient_checkpointing=again, precision="bfloat16")
                    found = needs({"name": folder, "cache": str(cache_folder())}, config, "cuda", 4, 1024)
                    cells.append(f"{found.total / 1e9:.1f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return ["", *rows]


def make_student(shape: str, folder: Path, count: int, device: str) -> tuple[list[Any], float]:
    """A student of random weights with a tokenizer of its own, and lessons of about `LENGTH` of its tokens, with their mean."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    from tutelage.tasks.catalog import find_task
    from tutelage.types import Lesson

    task = find_task("word_problems?difficulty=1&size=4000")
    assert task.worked is not None
    questions = task.load("train")
    told = [f"{one.text} {task.worked(one, 0)}" for one in questions]
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(told, vocab_size=1500, special_tokens=["<|end|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    lessons, sizes, place = [], [], 0
    for number in range(count):
        text, size = "", 0
        while size < LENGTH:
            text += f" {told[place % len(told)]}"
            size, place = len(tokenizer(text).input_ids), place + 1
        lessons.append(
            Lesson(question=f"q{number}", prompt=questions[number].text, completion=text.strip(), kind="rationale")
        )
        sizes.append(size + len(tokenizer(questions[number].text).input_ids))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPES[shape], max_position_embeddings=8192, use_cache=True))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return lessons, sum(sizes) / len(sizes)


def weights_of(shape: dict[str, Any]) -> tuple[int, int]:
    """All weights of a shape, and those that multiply."""
    wide, inner, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    keys = wide // shape["num_attention_heads"] * shape["num_key_value_heads"]
    multiply = layers * (2 * wide * wide + 2 * wide * keys + 3 * wide * inner) + shape["vocab_size"] * wide
    return multiply + (0 if shape["tie_word_embeddings"] else shape["vocab_size"] * wide), multiply


def needed(shape: dict[str, Any], how: str, tokens: float) -> float:
    """FLOPs that the training of one token needs."""
    attention = 6 * shape["num_hidden_layers"] * tokens * shape["hidden_size"]
    return (6 if how == "full" else 4) * weights_of(shape)[1] + attention


def share_of(flops: float, whole: float | None) -> str:
    """A share of the card's rate, where that was measured."""
    return f"{flops / whole:.1%}" if whole else "-"


def table(found: dict[str, Any]) -> list[str]:
    """The results as Markdown for LOG.md."""
    there = found["rate"]
    rows = [
        f"| {name} | not run: {one['not run']} | | | | |"
        if "not run" in one
        else f"| {name} | {one['parameters'] / 1e9:.2f} | {one['micro_batch']} x {one['lesson']} | {one['tokens_per_second']:,} | "
        f"{share_of(one['flops'], there['flops'])} | {one['memory_gb']} |"
        for name, one in found["arms"].items()
    ]
    rated = f"{there['flops'] / 1e12:.0f} TFLOP/s in bfloat16" if there["flops"] else "its rate not measured"
    head = f"{there['device']}, {rated}, torch {there['torch']}, transformers {there['transformers']}"
    return ["", head, "", "| student | 10^9 weights | at once | tokens/s | of the card's rate | GB |", "|---|---|---|---|---|---|", *rows]  # fmt: skip


if __name__ == "__main__":
    main()
