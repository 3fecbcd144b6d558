"""What a GPU does that a CPU cannot show: the tests marked `gpu`, training and exam speed, memory, and the demo's time.

    make gpu                      # or: PYTHON=python3 scripts/gpu --into results.json --minutes 9

Every part is a process of its own with a limit on its time; what is missing, or what there was no time for, is listed.
The students are the packaged one (135M parameters) and a random one of 1.5B, made here.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEEDED = ("torch", "transformers", "msgspec", "pydantic", "yaml", "gguf", "peft", "safetensors", "typer", "rich")
BIG = {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
       "num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": True}  # fmt: skip
# part -> most seconds it may take
PARTS = {
    "tests": 150, "train full 135M": 60, "train lora 135M": 60, "exam 135M": 60, "train full 1.5B": 90,
    "train lora 1.5B": 90, "exam 1.5B": 90, "demo": 300,
}  # fmt: skip


def main() -> None:
    """Run what can be run here, print it, and keep it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "gpu" / "gpu.json")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(MEASURES[given.part.partition(" ")[0]](given.part)))
        return
    found: dict[str, Any] = {"missing": missing(), "parts": {}}
    if not found["missing"]:
        found |= machine()
        deadline = time.monotonic() + 60 * given.minutes
        for part, most in PARTS.items():
            left = deadline - time.monotonic()
            found["parts"][part] = (
                measured([__file__, "--part", part], min(most, left)) if left > 15 else {"not run": "no time was left"}
            )
            print(f"{part}: {told(found['parts'][part])}", flush=True)
    given.into.parent.mkdir(parents=True, exist_ok=True)
    given.into.write_text(json.dumps(found, indent=1))
    print("\n".join(table(found)))


def missing() -> list[str]:
    """What keeps anything from being measured here, as sentences."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        return [f"Python packages are missing: {', '.join(absent)}"]
    import torch

    if not torch.cuda.is_available():
        return [f"PyTorch {torch.__version__} sees no GPU here"]
    return []


def machine() -> dict[str, Any]:
    """Which GPU, and how fast it multiplies matrices."""
    import torch
    import transformers

    return {
        "gpu": torch.cuda.get_device_name(),
        "gpus": torch.cuda.device_count(),
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9),
        "bfloat16_tflops": round(product_rate() / 1e12),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def product_rate() -> float:
    """FLOP/s of bfloat16 products of matrices of 8,192: the mean of ten."""
    import torch

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(10):
        a @ a
    torch.cuda.synchronize()
    return 10 * 2 * 8192**3 / (time.perf_counter() - begun)


def measured(words: list[str], seconds: float) -> dict[str, Any]:
    """What a process of its own says in its last line; what went wrong is its result."""
    try:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False, timeout=seconds, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return {"not run": f"not finished after {seconds:.0f} s"}
    if done.returncode:
        return {"not run": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def run_tests(part: str) -> dict[str, Any]:
    """The tests marked `gpu`."""
    if importlib.util.find_spec("pytest") is None:
        return {"not run": "pytest is missing"}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "tests/training/test_gpu.py",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    dots = "".join(re.findall(r"^([.FEsx]+)(?: +\[ *\d+%\])?$", done.stdout, re.MULTILINE))
    return {"passed": dots.count("."), "failed": failed, "output": done.stdout[-3000:] if done.returncode else ""}


def student(part: str, folder: Path) -> str:
    """The packaged student, or a random one with its tokenizer."""
    if part.endswith("135M"):
        return "smollm2"
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tutelage.config import cache_folder
    from tutelage.models.local import weights

    _, tokenizer = weights.load("smollm2", torch.float32, cache_folder())
    with torch.device("cuda"):
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **BIG)).to(torch.bfloat16)
    model.save_pretrained(folder / "big")
    tokenizer.save_pretrained(folder / "big")
    return str(folder / "big")


def train(part: str) -> dict[str, Any]:
    """Tokens of lessons a second between the first and the last step, and the most memory."""
    import torch
    from benchmarks.training import make_lessons, settings

    from tutelage.config import cache_folder
    from tutelage.training.job import Callbacks
    from tutelage.training.trainer import fit

    ticks: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        who = student(part, folder)
        spec = {"name": who, "cache": str(cache_folder()), "device": "cuda"}
        config = settings(32, " lora " in part, "bfloat16", False)
        steps = 20
        torch.cuda.reset_peak_memory_stats()
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        facts = fit(spec, make_lessons(32 * steps), config, 0, folder, callbacks)
    share = (len(ticks) - 1) / facts["steps"]
    return {
        "tokens_per_second": round(share * facts["tokens"] / (ticks[-1] - ticks[0])),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "losses": [facts["first_loss"], facts["last_loss"]],
    }


def exam(part: str) -> dict[str, Any]:
    """Tokens of greedy answers a second, on word problems."""
    import torch

    from tutelage.config import cache_folder
    from tutelage.models.local.hf import Hf
    from tutelage.tasks.catalog import find_task
    from tutelage.types import Sampling

    task = find_task("word_problems?difficulty=2&size=2000")
    chats = [task.ask(question) for question in task.load("test")[:256]]
    with tempfile.TemporaryDirectory() as name:
        model = Hf(student(part, Path(name)), device="cuda", cache=str(cache_folder()))
        list(model.answer(chats[:8], Sampling(max_tokens=16)))  # kernels are chosen at the first call
        torch.cuda.synchronize()
        begun = time.perf_counter()
        replies = [reply for _, row in model.answer(chats, Sampling(max_tokens=256)) for reply in row]
        seconds = time.perf_counter() - begun
    return {
        "tokens_per_second": round(sum(reply.tokens_out for reply in replies) / seconds),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "conditions": model.conditions(),
    }


def demo(part: str) -> dict[str, Any]:
    """The demo as a user starts it, with its scores."""
    from tutelage.evaluation.scoreboard import score
    from tutelage.runs.history import exams

    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "tutelage", "demo", "--into", f"{folder}/demo"]
        begun = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=dict(os.environ))
        if done.returncode:
            sys.exit(done.stderr.strip() or "the demo failed")
        seconds = time.monotonic() - begun
        scores = {title: score(attempts).line() for title, attempts in exams(Path(folder) / "demo").items()}
    return {"seconds": round(seconds), "scores": scores}


MEASURES = {"tests": run_tests, "train": train, "exam": exam, "demo": demo}


def told(result: dict[str, Any]) -> str:
    """A part's result in one line."""
    if "not run" in result:
        return f"not run: {result['not run']}"
    if "passed" in result:
        return f"{result['passed']} passed, {len(result['failed'])} failed {' '.join(result['failed'])}".strip()
    if "seconds" in result:
        return f"{result['seconds']} s; " + "; ".join(f"{title} {line}" for title, line in result["scores"].items())
    return f"{result['tokens_per_second']:,} tokens/s, {result['memory_gb']} GB"


def table(found: dict[str, Any]) -> list[str]:
    """The results as Markdown for LOG.md."""
    if found["missing"]:
        return [f"nothing measured: {reason}" for reason in found["missing"]]
    head = f"{found['gpu']} ({found['memory_gb']} GB, {found['bfloat16_tflops']} TFLOP/s in bfloat16), torch {found['torch']}, transformers {found['transformers']}"
    return [
        "",
        head,
        "",
        "| part | result |",
        "|---|---|",
        *(f"| {part} | {told(result)} |" for part, result in found["parts"].items()),
    ]


if __name__ == "__main__":
    main()
