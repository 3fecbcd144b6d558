"""Tokens a second of a served model, for one client and for several at once.

tutelage serve hf:smollm2 --port 8301 &
python benchmarks/serving.py http://127.0.0.1:8301/v1 smollm2
"""

import sys
import threading
import time

import openai

QUESTIONS = [
    f"Maya has {n} beads. Her aunt gives her {n + 3} more. How many beads does Maya have?" for n in range(2, 18)
]


def measure(client: openai.OpenAI, model: str, clients: int, each: int) -> str:
    """Let several clients ask a few questions each, one after the other."""
    tokens: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + each):
            question = QUESTIONS[number % len(QUESTIONS)]
            messages = [{"role": "user", "content": question}]
            done = client.chat.completions.create(model=model, messages=messages, max_tokens=96)
            tokens.append(done.usage.completion_tokens)

    begun = time.monotonic()
    threads = [threading.Thread(target=work, args=(index * each,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    return f"{clients} at once: {len(tokens)} answers, {sum(tokens) / seconds:.1f} tokens a second"


def main() -> None:
    """Measure one, two and eight clients."""
    url, model = sys.argv[1:3]
    client = openai.OpenAI(base_url=url, api_key="none", timeout=600)
    for clients, each in ((1, 4), (2, 4), (8, 2)):
        print(measure(client, model, clients, each), flush=True)


if __name__ == "__main__":
    main()
