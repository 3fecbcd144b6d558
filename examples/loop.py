"""Tailored learning (Wang et al. 2023) in one plain file: nothing of the library, only PyTorch and transformers.

    python examples/loop.py questions.jsonl HuggingFaceTB/SmolLM2-135M-Instruct gpt-4o-mini

reads {"question": ..., "answer": ...} lines, takes the first fifth as a test, and teaches in rounds: the teacher
reasons aloud about every question; then the student sits an exam, the teacher corrects exactly its mistakes, and the
student learns from the corrections and, by a triplet loss, from its own wrong answers. The library does the same with
a cache of what was paid, resume, samples, intervals, LoRA, batches by length and a shared prompt; a test holds the two
to the same lessons and losses. Needs OPENAI_API_KEY, or OPENAI_BASE_URL for another server.
"""

import json
import re
import sys

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

REASON = "Q: {question}\nA: Let's think step by step."
CORRECT = """You are the teacher of a student who learns to reason step by step.

The problem:
{question}

The right answer is: {answer}

The student's wrong attempt, quoted:
> {attempt}

Write two correct solutions that differ in their wording, each between <solution> and </solution> and each ending with
the sentence "The answer is X."."""


def read(text):
    """The answer that a text commits to: the first word after the last marker."""
    _, *found = re.split(r"the answer is|-->", text, flags=re.IGNORECASE)
    words = found[-1].split() if found else []
    return words[0].strip(".,$").lower() if words else None


def first_lessons(questions, teacher):
    """One rationale a question, kept if its answer is right."""
    lessons = []
    for q in questions:
        asked = [{"role": "user", "content": REASON.format(**q)}]
        rationale = teacher(asked)
        asked += [{"role": "assistant", "content": rationale}, {"role": "user", "content": "Therefore, the answer is"}]
        if read(f"The answer is {teacher(asked)}") == q["answer"]:
            lessons.append({**q, "completion": f"{rationale.strip()} --> {q['answer']}", "wrong": []})
    return lessons


def corrections(question, attempt, teacher):
    """Up to two different right solutions from the teacher, who sees the mistake."""
    reply = teacher([{"role": "user", "content": CORRECT.format(attempt=attempt, **question)}])
    lessons = []
    for solution in re.findall(r"<solution>(.*?)</solution>", reply, flags=re.DOTALL):
        body = " ".join(re.sub(r"The answer is [^=.\n]*\.?\s*$", "", solution).split())
        completion = f"{body} --> {question['answer']}"
        if read(solution) == question["answer"] and body and completion not in [one["completion"] for one in lessons]:
            lessons.append({**question, "completion": completion, "wrong": []})
    return lessons[:2]


def exam(model, tokenizer, questions, tokens):
    """The student's greedy answer to each question; empty where it was cut off, which is no mistake to learn from."""
    model.eval()
    answers = []
    for q in questions:
        ids = torch.tensor([tokenizer(f"{q['question']} ###").input_ids])
        out = model.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        whole = out[0, -1] == tokenizer.eos_token_id
        answers.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip() if whole else "")
    return answers


def forward(model, tokenizer, prompt, completion):
    """Losses of the tokens after the first, how many are the prompt's, and the last-layer state at the end."""
    start = tokenizer(f"{prompt} ###").input_ids
    ids = torch.tensor([start + tokenizer(f" {completion}{tokenizer.eos_token}", add_special_tokens=False).input_ids])
    out = model(ids, output_hidden_states=True)
    losses = F.cross_entropy(out.logits[0, :-1].float(), ids[0, 1:], reduction="none")
    return losses, len(start) - 1, out.hidden_states[-1][0, -1].float()


def batch_loss(model, tokenizer, batch, lessons, prompt_weight=0.1, reflection=0.5, margin=1.0):
    """Language-model loss of a batch of lessons, plus the reflection term where there is something to compare."""
    total, weight, terms = 0.0, 0.0, []
    for lesson in batch:
        losses, prompt, anchor = forward(model, tokenizer, lesson["question"], lesson["completion"])
        total = total + prompt_weight * losses[:prompt].sum() + losses[prompt:].sum()
        weight += prompt_weight * prompt + len(losses) - prompt
        same = [one["completion"] for one in lessons if one["question"] == lesson["question"]]
        others = [completion for completion in same if completion != lesson["completion"]]
        if reflection and others and lesson["wrong"]:
            positive = forward(model, tokenizer, lesson["question"], others[0])[2]
            negative = forward(model, tokenizer, lesson["question"], lesson["wrong"][0])[2]
            near, far = F.cosine_similarity(anchor, positive, dim=0), F.cosine_similarity(anchor, negative, dim=0)
            terms.append(torch.clamp(margin - near + far, min=0))
    loss = total / weight
    return loss + reflection * sum(terms) / len(terms) if terms else loss


def learn(model, tokenizer, lessons, epochs, rate, batch, **weights):
    """Train on the lessons; returns the loss of every step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    history = []
    for epoch in range(epochs):
        order = torch.randperm(len(lessons), generator=torch.Generator().manual_seed(epoch)).tolist()
        for begin in range(0, len(order), batch):
            loss = batch_loss(model, tokenizer, [lessons[i] for i in order[begin : begin + batch]], lessons, **weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            history.append(float(loss.detach()))
    return history


def tailored(model, tokenizer, train, test, teacher, rounds=3, tokens=256, epochs=3, rates=(1e-4, 3e-5), batch=8):
    """The rounds; yields the lessons, the losses and the test accuracy of each."""
    lessons = first_lessons(train, teacher)
    for number in range(1, rounds + 1):
        if number > 1:
            for q, answer in zip(train, exam(model, tokenizer, train, tokens), strict=True):
                if read(answer) not in (None, q["answer"]):
                    wrong = f"{' '.join(answer.rpartition('-->')[0].split())} --> {read(answer)}"
                    fresh = corrections(q, answer, teacher)
                    have = {(one["question"], one["completion"].lower()) for one in lessons}
                    lessons += [one for one in fresh if (one["question"], one["completion"].lower()) not in have]
                    lessons = [
                        {**one, "wrong": [wrong]} if one["question"] == q["question"] else one for one in lessons
                    ]
        losses = learn(model, tokenizer, lessons, epochs, rates[min(number, len(rates)) - 1], batch)
        answers = exam(model, tokenizer, test, tokens)
        right = sum(read(answer) == q["answer"] for q, answer in zip(test, answers, strict=True))
        yield lessons, losses, right / len(test)
        lessons = [{**one, "wrong": []} for one in lessons]


if __name__ == "__main__":
    from openai import OpenAI

    path, student, name = sys.argv[1:4]
    with open(path, encoding="utf-8") as file:
        questions = [json.loads(line) for line in file]
    questions = [{"question": str(q["question"]), "answer": str(q["answer"]).lower()} for q in questions]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(student), AutoTokenizer.from_pretrained(student)
    client, cut = OpenAI(), len(questions) // 5

    def teacher(messages):
        return client.chat.completions.create(model=name, messages=messages).choices[0].message.content

    for number, (lessons, losses, score) in enumerate(
        tailored(model, tokenizer, questions[cut:], questions[:cut], teacher), 1
    ):
        print(
            f"round {number}: {len(lessons)} lessons, loss {losses[0]:.2f} -> {losses[-1]:.2f}, test {score:.1%} of {cut}"
        )
