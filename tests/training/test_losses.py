"""The losses against slow, obvious versions in float64, and their gradients against finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.training.losses import IGNORED, completion_nll, pool, self_reflection, top_divergence, weighted_nll


def slow_nll(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> float:
    total = 0.0
    for row in range(logits.shape[0]):
        for place in range(logits.shape[1]):
            label = int(labels[row, place])
            if label != IGNORED:
                scores = [float(score) for score in logits[row, place]]
                highest = max(scores)
                log_sum = highest + math.log(sum(math.exp(score - highest) for score in scores))
                total += float(weights[row, place]) * (log_sum - scores[label])
    return total


def slow_reflection(states: list[list[torch.Tensor]], margin: float) -> float:
    """`states` holds anchor, positive and negative of each example that has all three."""

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(float(x) ** 2 for x in a)) / math.sqrt(sum(float(y) ** 2 for y in b))

    losses = [max(0.0, margin - cosine(a, p) + cosine(a, n)) for a, p, n in states]
    return sum(losses) / len(losses) if losses else 0.0


shapes = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(2, 9), st.integers(0, 10**6))


@given(shapes)
@settings(max_examples=60, deadline=None)
def test_language_model_losses(shape: tuple[int, int, int, int]) -> None:
    rows, width, vocabulary, seed = shape
    torch.manual_seed(seed)
    logits = 5 * torch.randn(rows, width, vocabulary, dtype=torch.float64)
    labels = torch.randint(0, vocabulary, (rows, width)).masked_fill_(torch.rand(rows, width) < 0.3, IGNORED)
    weights = torch.rand(rows, width, dtype=torch.float64)
    count = max(1, int((labels != IGNORED).sum()))
    ones = torch.ones(rows, width)
    assert float(completion_nll(logits, labels, count)) == pytest.approx(
        slow_nll(logits, labels, ones) / count, abs=1e-6
    )
    total = float(weights.sum())
    expected = slow_nll(logits, labels, weights) / total
    assert float(weighted_nll(logits, labels, weights, total)) == pytest.approx(expected, abs=1e-6)
    assert float(weighted_nll(logits, labels, ones.double(), count)) == pytest.approx(
        float(completion_nll(logits, labels, count)), abs=1e-9
    )


@given(shapes, st.sampled_from(["last_token", "mean"]), st.floats(0.1, 2.0))
@settings(max_examples=60, deadline=None)
def test_self_reflection(shape: tuple[int, int, int, int], how: str, margin: float) -> None:
    """Any lengths, padding on any side, examples that lack a positive or a negative."""
    rows, width, hidden, seed = shape
    torch.manual_seed(seed)
    states = [torch.randn(rows, width, hidden, dtype=torch.float64) for _ in range(3)]
    masks = [torch.rand(rows, width) < 0.6 for _ in range(3)]
    active = torch.stack([mask.any(-1) for mask in masks]).all(0)
    chosen = []
    for row in torch.nonzero(active).flatten().tolist():
        places = [[t for t in range(width) if mask[row, t]] for mask in masks]
        picked = [kept[-1:] if how == "last_token" else kept for kept in places]
        chosen.append([sum(s[row, t] for t in ts) / len(ts) for s, ts in zip(states, picked, strict=True)])
    pooled = []
    for state, mask in zip(states, masks, strict=True):
        whole = torch.zeros(rows, hidden, dtype=torch.float64)
        whole[mask.any(-1)] = pool(state[mask], mask.nonzero()[:, 0], how)
        pooled.append(whole)
    found = self_reflection(*pooled, active, margin, int(active.sum()))
    assert float(found) == pytest.approx(slow_reflection(chosen, margin), abs=1e-6)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(1)
    anchor, positive, negative = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    active = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(
        lambda a, p, n: self_reflection(a, p, n, active, 1.0, 2), (anchor, positive, negative)
    )
    logits = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[IGNORED, 1, 2], [4, 0, 3]])
    weights = torch.rand(2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: weighted_nll(x, labels, weights, 2.5), (logits,))
    assert torch.autograd.gradcheck(lambda x: completion_nll(x, labels, 5), (logits,))
    states = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([0, 0, 3, 3, 3])
    for how in ("last_token", "mean"):
        assert torch.autograd.gradcheck(lambda x, how=how: pool(x, rows, how), (states,))


def test_an_inactive_example_moves_nothing() -> None:
    anchor = torch.randn(2, 4, requires_grad=True)
    zeros = torch.zeros(2, 4)
    loss = self_reflection(anchor, zeros, zeros, torch.tensor([False, False]), 1.0, 0)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert anchor.grad is not None
    assert not anchor.grad.any()


def test_micro_batches_add_up_to_the_batch() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 5, 11), torch.randint(0, 11, (4, 5))
    labels[:2, :3] = IGNORED
    count = int((labels != IGNORED).sum())
    parts = completion_nll(logits[:2], labels[:2], count) + completion_nll(logits[2:], labels[2:], count)
    assert torch.allclose(parts, completion_nll(logits, labels, count))
    a, p, n = (torch.randn(4, 6) for _ in range(3))
    active = torch.tensor([True, False, True, True])
    halves = [self_reflection(a[i : i + 2], p[i : i + 2], n[i : i + 2], active[i : i + 2], 1.0, 3) for i in (0, 2)]
    assert torch.allclose(halves[0] + halves[1], self_reflection(a, p, n, active, 1.0, 3))


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.5, 1.0])
def test_the_divergence_is_gkd_s_over_the_likeliest_tokens_and_the_rest(beta: float) -> None:
    torch.manual_seed(1)
    teacher, student = torch.randn(7, 11).double() * 2, torch.randn(7, 11).double() * 2
    p, q = teacher.softmax(-1), student.softmax(-1)
    top, ids = teacher.log_softmax(-1).topk(4)

    def coarse(values: torch.Tensor) -> torch.Tensor:
        likely = values.gather(-1, ids)
        return torch.cat([likely, 1 - likely.sum(-1, keepdim=True)], dim=-1)

    def kl(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one * (one / other).log()).sum())

    p, q = coarse(p), coarse(q)
    m = beta * p + (1 - beta) * q
    expected = {0.0: kl(p, q), 1.0: kl(q, p)}.get(beta, beta * kl(p, m) + (1 - beta) * kl(q, m))
    assert float(top_divergence(student, ids, top, beta=beta)) == pytest.approx(expected, rel=1e-9)
    own = student.log_softmax(-1).topk(4)
    assert float(top_divergence(student, own.indices, own.values, beta=beta)) == pytest.approx(0, abs=1e-12)
    moved = student.clone().requires_grad_()
    top_divergence(moved, ids, top, beta=beta).backward()
    assert moved.grad is not None
    assert float(moved.grad.abs().sum()) > 0.01
