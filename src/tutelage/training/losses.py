"""What a student's mistakes cost. Pure: tensors in, a tensor out. N targets, B batch, T time, V vocabulary, H hidden size."""

import torch
import torch.nn.functional as F

IGNORED = -100  # label of a position that is no target


def completion_nll(logits_NV: torch.Tensor, labels_N: torch.Tensor, targets: int | torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the completions, in nats a target token [Ho et al. 2022, section 3.3].

    `logits_NV[n]` predicts `labels_N[n]`; targets labelled IGNORED are skipped, and any shape may stand for N. The sum is
    divided by `targets`, the number of target tokens in the whole batch, so that micro-batches add up to the batch.
    """
    logits_NV, labels_N = _exact(logits_NV).flatten(0, -2), labels_N.flatten()
    return F.cross_entropy(logits_NV, labels_N, ignore_index=IGNORED, reduction="sum") / targets


def _exact(values: torch.Tensor) -> torch.Tensor:
    """Half precision as float32; anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def weighted_nll(
    logits_NV: torch.Tensor, labels_N: torch.Tensor, weights_N: torch.Tensor, total: float | torch.Tensor
) -> torch.Tensor:
    """Negative log-likelihood with a weight a token, as a weighted mean [Wang et al. 2023, language-model loss].

    `total` is the sum of the weights in the whole batch. The authors divide by the number of tokens, so that a long
    prompt of small weight shrinks the gradient of the rationale; a weighted mean does not.
    """
    logits_NV, labels_N = _exact(logits_NV).flatten(0, -2), labels_N.flatten()
    each = F.cross_entropy(logits_NV, labels_N, ignore_index=IGNORED, reduction="none")
    return (each * weights_N.flatten()).sum() / total


def pool(states_BTH: torch.Tensor, mask_BT: torch.Tensor, how: str) -> torch.Tensor:
    """One state a row (BH): of the last token in the mask, or the mean over the mask; zeros where the mask is empty."""
    states_BTH = _exact(states_BTH)
    if how == "last_token":
        places_BT = torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device) * mask_BT
        mask_BT = mask_BT & F.one_hot(places_BT.argmax(-1), mask_BT.shape[1]).bool()
    weights_BT = mask_BT.to(states_BTH.dtype)
    return torch.einsum("bt,bth->bh", weights_BT, states_BTH) / weights_BT.sum(-1, keepdim=True).clamp(min=1)


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
