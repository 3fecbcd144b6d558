"""What a student's mistakes cost. Pure: tensors in, a tensor out. B batch, T time, V vocabulary."""

import torch
import torch.nn.functional as F

IGNORED = -100  # label of a position that is no target


def completion_nll(logits_BTV: torch.Tensor, labels_BT: torch.Tensor, targets: int | torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the completions, in nats a target token [Ho et al. 2022, section 3.3].

    `logits_BTV[:, t]` predicts `labels_BT[:, t]`; positions labelled IGNORED are skipped. The sum is divided by
    `targets`, the number of target tokens in the whole batch, so that micro-batches add up to the batch.
    """
    wanted_BT = labels_BT != IGNORED
    # Only the needed rows become float32: a row is as wide as the vocabulary.
    return F.cross_entropy(logits_BTV[wanted_BT].float(), labels_BT[wanted_BT], reduction="sum") / targets
