"""What a student's mistakes cost. Pure: tensors in, a tensor out. N targets, B batch, T time, V vocabulary, H hidden size."""

import torch
import torch.nn.functional as F

IGNORED = -100  # label of a position that is no target


def completion_nll(logits_NV: torch.Tensor, labels_N: torch.Tensor, targets: int | torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the completions, in nats a target token [Ho et al. 2022, section 3.3].

    `logits_NV[n]` predicts `labels_N[n]`; targets labelled IGNORED are skipped, and any shape may stand for N. The sum is
    divided by `targets`, the number of target tokens in the whole batch, so that micro-batches add up to the batch.
    """
    logits_NV, labels_N = exact(logits_NV).flatten(0, -2), labels_N.flatten()
    return F.cross_entropy(logits_NV, labels_N, ignore_index=IGNORED, reduction="sum") / targets


def exact(values: torch.Tensor) -> torch.Tensor:
    """Half precision as float32; anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def weighted_nll(
    logits_NV: torch.Tensor, labels_N: torch.Tensor, weights_N: torch.Tensor, total: float | torch.Tensor
) -> torch.Tensor:
    """Negative log-likelihood with a weight a token, as a weighted mean [Wang et al. 2023, language-model loss].

    `total` is the sum of the weights in the whole batch. The authors divide by the number of tokens, so that a long
    prompt of small weight shrinks the gradient of the rationale; a weighted mean does not.
    """
    logits_NV, labels_N = exact(logits_NV).flatten(0, -2), labels_N.flatten()
    each = F.cross_entropy(logits_NV, labels_N, ignore_index=IGNORED, reduction="none")
    return (each * weights_N.flatten()).sum() / total


def bounded_nll(logits_NV: torch.Tensor, labels_N: torch.Tensor, weights_N: torch.Tensor, most: float) -> torch.Tensor:
    """A weighted sum of negative log-likelihoods, in which a target that costs `most` nats or more counts nothing.

    With a negative weight it makes a token less likely, and a bound keeps what is unlikely already from growing without end
    [Dai et al. 2024, the authors' code].
    """
    each_N = -token_logprobs(logits_NV, labels_N)
    return torch.where(each_N < most, each_N * weights_N, torch.zeros_like(each_N)).sum()


def token_logprobs(logits_NV: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """The log-probability of each target (N), in nats; `logits_NV[n]` predicts `labels_N[n]`."""
    return -F.cross_entropy(exact(logits_NV), labels_N, reduction="none")


def row_sums(values_N: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
    """The sum over each row's values (A), in the order of the rows; a row's values stand together."""
    places_N, counts_A = _grouped(rows_N)
    return values_N.new_zeros(len(counts_A)).index_add(0, places_N, values_N)


def row_means(values_N: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
    """The mean over each row's values (A), in the order of the rows; a row's values stand together."""
    return row_sums(values_N, rows_N) / _grouped(rows_N)[1]


def preference(
    better_A: torch.Tensor, worse_A: torch.Tensor, beta: float, margin: float, total: int | torch.Tensor
) -> torch.Tensor:
    """The mean of -log sigmoid(beta (better - worse) - margin) over pairs; `total` counts them in the whole batch.

    With mean log-probabilities it is SimPO's [Meng et al. 2024, arXiv 2405.14734], with log odds and no margin
    ORPO's [Hong et al. 2024, arXiv 2403.07691], with sums of log-probabilities less a reference's DPO's
    [Rafailov et al. 2023, arXiv 2305.18290].
    """
    return -F.logsigmoid(beta * (better_A - worse_A) - margin).sum() / total


def softened_divergence(
    logits_NV: torch.Tensor,
    top_ids_NK: torch.Tensor,
    top_logprobs_NK: torch.Tensor,
    weights_N: torch.Tensor,
    temperatures_N: torch.Tensor,
) -> torch.Tensor:
    """The weighted sum over tokens of t^2 KL(teacher, student), both at a token's temperature t [Hinton et al. 2015, section 2].

    The teacher's K likeliest log-probabilities are softened already; its values are constants.
    """
    each_N = _divergences(exact(logits_NV) / temperatures_N[:, None], top_ids_NK, top_logprobs_NK)
    return (each_N * weights_N * temperatures_N**2).sum()


def top_divergence(
    logits_NV: torch.Tensor,
    top_ids_NK: torch.Tensor,
    top_logprobs_NK: torch.Tensor,
    most: float = float("inf"),
    beta: float = 0.0,
) -> torch.Tensor:
    """The sum over tokens of a divergence over the teacher's K likeliest tokens and one bucket for all others.

    `beta` 0 is KL(teacher, student), 1 KL(student, teacher), and between them it is the generalised Jensen-Shannon divergence
    b KL(teacher, m) + (1 - b) KL(student, m) with m = b teacher + (1 - b) student [Agarwal et al. 2023, arXiv 2306.13649, section 2].
    A token counts at most `most` nats. The teacher's values are constants.
    """
    return _divergences(logits_NV, top_ids_NK, top_logprobs_NK, beta).clamp(max=most).sum()


def _divergences(
    logits_NV: torch.Tensor, top_ids_NK: torch.Tensor, top_logprobs_NK: torch.Tensor, beta: float = 0.0
) -> torch.Tensor:
    """The divergence of each token; the tokens that are no likeliest ones are one."""
    own_NK = exact(logits_NV).log_softmax(-1).gather(-1, top_ids_NK.long())
    teacher_NX, own_NX = (
        torch.cat([values, _rest(values).log()[:, None]], dim=1)
        for values in (top_logprobs_NK.to(own_NK.dtype), own_NK)
    )
    if beta == 0:
        return _kl(teacher_NX, own_NX)
    if beta == 1:
        return _kl(own_NX, teacher_NX)
    middle_NX = (beta * teacher_NX.exp() + (1 - beta) * own_NX.exp()).log()
    return beta * _kl(teacher_NX, middle_NX) + (1 - beta) * _kl(own_NX, middle_NX)


def _kl(one_NX: torch.Tensor, other_NX: torch.Tensor) -> torch.Tensor:
    """KL(one, other) of each row of log-probabilities."""
    return (one_NX.exp() * (one_NX - other_NX)).sum(-1)


def _rest(logprobs_NK: torch.Tensor) -> torch.Tensor:
    """What probability is left for all other tokens; a hair at least, since rounding may leave less than none."""
    return (1 - logprobs_NK.exp().sum(-1)).clamp(min=1e-6)


def log_odds(logprobs_A: torch.Tensor) -> torch.Tensor:
    """log(p / (1 - p)) of log-probabilities, which are kept below 0 by a hair: the odds of what is certain have no end."""
    logprobs_A = logprobs_A.clamp(max=-1e-6)
    return logprobs_A - torch.log(-torch.expm1(logprobs_A))


def unlikely(logits_NV: torch.Tensor, labels_N: torch.Tensor, above: float, total: int | torch.Tensor) -> torch.Tensor:
    """The sum of -log(1 - p) over the targets whose probability is above a bound, divided by `total` [Welleck et al. 2019]."""
    logprobs_N = token_logprobs(logits_NV, labels_N).clamp(max=-1e-6)
    each_N = -torch.log(-torch.expm1(logprobs_N))
    return torch.where(logprobs_N.exp() > above, each_N, torch.zeros_like(each_N)).sum() / total


def pool(states_NH: torch.Tensor, rows_N: torch.Tensor, how: str) -> torch.Tensor:
    """One state a row (AH), in the order of the rows: that of its last token, or the mean over its tokens.

    `rows_N` says whose each token is; a row's tokens stand together.
    """
    states_NH = exact(states_NH)
    places_N, counts_A = _grouped(rows_N)
    if how == "last_token":
        return states_NH[counts_A.cumsum(0) - 1]
    sums_AH = states_NH.new_zeros(len(counts_A), states_NH.shape[1]).index_add(0, places_N, states_NH)
    return sums_AH / counts_A[:, None]


def _grouped(rows_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The place of each value's row among the rows (N), and how many values each row has (A)."""
    begins_N = rows_N != rows_N.roll(1)
    begins_N[:1] = False
    places_N = begins_N.long().cumsum(0)
    return places_N, places_N.bincount()


def self_reflection(
    anchor_BH: torch.Tensor,
    positive_BH: torch.Tensor,
    negative_BH: torch.Tensor,
    active_B: torch.Tensor,
    margin: float,
    total: int | torch.Tensor,
) -> torch.Tensor:
    """The triplet loss max(0, margin - cos(anchor, positive) + cos(anchor, negative)) [Wang et al. 2023, self-reflection].

    A mean over the examples that have both a positive and a negative; `total` counts these in the whole batch. Zero
    when there are none.
    """
    closer_B = F.cosine_similarity(anchor_BH, positive_BH, dim=-1)
    farther_B = F.cosine_similarity(anchor_BH, negative_BH, dim=-1)
    each_B = (margin - closer_B + farther_B).clamp(min=0)
    return torch.where(active_B, each_B, torch.zeros_like(each_B)).sum() / max(int(total), 1)
