"""Exam speed: ours, plain `generate` loops, and lm-eval's `hf` model, on the same questions with the same greedy answers.

    python benchmarks/exam.py                 # about ten minutes on 2 cores; --questions 40 for a look

The packaged student in bfloat16. Every arm is a process of its own; speed is tokens of the replies, up to their end, a
second of answering (loading is not counted). Zero-shot questions, then the same behind eight worked examples. The
questions are GSM8K's where TUTELAGE_DATA has them, else word problems. lm-eval takes part if it can be imported.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import Any

from tutelage.config import cache_folder
from tutelage.models.local import templates, weights
from tutelage.models.local.hf import Hf
from tutelage.tasks.asking import few_shot_cot
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import subset
from tutelage.types import Chat, Sampling

NEW = 256


def chats(count: int, shots: int) -> list[Chat]:
    name = "gsm8k" if os.environ.get("TUTELAGE_DATA") else "word_problems?difficulty=2&size=2000"
    task = find_task(name)
    asked = [task.ask(question) for question in subset(task.load("test"), count)]
    if not shots:
        return asked
    shown = [
        (task.ask(q).messages[-1].content, f"{_worked(task, q)} The answer is {q.answer}.")
        for q in task.load("train")[:shots]
    ]
    return [few_shot_cot(shown)(chat) for chat in asked]


def _worked(task: Any, question: Any) -> str:
    return str(question.rationale or task.worked(question, 0))


def ours(asked: list[Chat]) -> dict[str, Any]:
    model = Hf("smollm2", dtype="bfloat16", cache=str(cache_folder()))
    model.loaded()
    begun = time.perf_counter()
    replies = dict(model.answer(asked, Sampling(max_tokens=NEW)))
    seconds = time.perf_counter() - begun
    texts = [replies[i][0].text for i in range(len(asked))]
    return {"seconds": seconds, "tokens": sum(replies[i][0].tokens_out for i in range(len(asked))), "texts": texts}


def loaded() -> tuple[Any, Any, set[int]]:
    import torch

    model, tokenizer = weights.load("smollm2", torch.bfloat16, cache_folder())
    templates.prepare(tokenizer)
    return model.eval(), tokenizer, templates.stop_ids(tokenizer, model.generation_config)


def generate(asked: list[Chat], batch: int) -> dict[str, Any]:
    import torch

    model, tokenizer, stops = loaded()
    prompts = [templates.prompt_text(tokenizer, chat.messages) for chat in asked]
    texts, tokens, begun = [], 0, time.perf_counter()
    for start in range(0, len(prompts), batch):
        inputs = tokenizer(prompts[start : start + batch], return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                max_new_tokens=NEW,
                do_sample=False,
                eos_token_id=sorted(stops),
                pad_token_id=tokenizer.pad_token_id,
            )
        for row in out[:, inputs.input_ids.shape[1] :].tolist():
            end = next((place + 1 for place, token in enumerate(row) if token in stops), len(row))
            tokens += end
            texts.append(tokenizer.decode(row[:end], skip_special_tokens=True).strip())
    return {"seconds": time.perf_counter() - begun, "tokens": tokens, "texts": texts}


def lm_eval(asked: list[Chat]) -> dict[str, Any]:
    from lm_eval.api.instance import Instance  # type: ignore[import-not-found]
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

    model, tokenizer, stops = loaded()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=32, max_length=2048, add_bos_token=False)
    until = {"until": [tokenizer.decode([stop]) for stop in stops], "max_gen_toks": NEW, "do_sample": False}
    prompts = [templates.prompt_text(tokenizer, chat.messages) for chat in asked]
    requests = [Instance("generate_until", {}, (prompt, dict(until)), place) for place, prompt in enumerate(prompts)]
    begun = time.perf_counter()
    texts = [text.strip() for text in lm.generate_until(requests)]
    seconds = time.perf_counter() - begun
    tokens = sum(min(len(tokenizer(text, add_special_tokens=False).input_ids) + 1, NEW) for text in texts)
    return {"seconds": seconds, "tokens": tokens, "texts": texts}


ARMS = {
    "ours": ours,
    "generate, batch 4": lambda asked: generate(asked, 4),
    "generate, batch 32": lambda asked: generate(asked, 32),
    "lm-eval hf": lm_eval,
}


def arm(name: str, count: int, shots: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--arm", name, "--questions", str(count), "--shots", str(shots)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--arm", choices=ARMS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(ARMS[given.arm](chats(given.questions, given.shots))))
        return
    names = [name for name in ARMS if name != "lm-eval hf" or importlib.util.find_spec("lm_eval")]
    for shots, count in ((0, given.questions), (8, given.questions // 2)):
        print(f"{count} questions, {shots} worked examples")
        first: dict[str, Any] = {}
        for name in names:
            if shots and name.startswith("generate, batch 4"):
                continue  # minutes of reading the same examples
            found = arm(name, count, shots)
            first = first or found
            same = sum(a == b for a, b in zip(first["texts"], found["texts"], strict=True))
            speed, best = found["tokens"] / found["seconds"], first["tokens"] / first["seconds"]
            print(
                f"  {name:<20} {speed:6.0f} tokens/s  {found['seconds']:6.1f} s  ours / this {best / speed:5.2f}  same answers {same} of {count}",
                flush=True,
            )


if __name__ == "__main__":
    main()
