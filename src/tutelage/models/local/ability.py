"""What a model can do in a batch, found out by a few short passes through the model itself."""

import torch
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.models.local.reading import Reading, Way, taken

_SHORT, _LONG, _STEPS = 2, 40, 5  # tokens: a row that begins late, one that fills the batch, and what both write
_KEPT: tuple[Way, ...] = (Way("rows", True), Way("rows", False), Way("whole", False), Way("nothing", True))


@torch.no_grad()  # and no inference mode: of a student in shares the whole weights are kept and trained
def measure(model: PreTrainedModel) -> Way:
    """The first of the ways of reading by which each row of a batch gets the scores that it gets alone.

    Whether padding leaks into a recurrent state and whether a cache survives being repeated is a matter of each
    architecture's code, so it is looked at, not looked up. A model that looks at later tokens is refused.
    """
    rows = [sample_tokens(model, length + _STEPS, seed) for seed, length in enumerate((_LONG, _SHORT, _LONG))]
    alone = [model(**_given(model, input_ids=row[None])).logits[0].float() for row in rows]
    check_causal(model)
    for way in _KEPT:
        try:
            if _agrees(model, way, rows, alone):
                return way
        except Exception:  # noqa: S112 - whatever a model raises, it cannot be read this way
            continue
    return Way("nothing", False)


@torch.no_grad()  # and no inference mode: of a student in shares the whole weights are kept and trained
def check_causal(model: PreTrainedModel) -> None:
    """Refuse a model whose scores depend on later tokens: it would be trained to copy and could not write."""
    one = sample_tokens(model, 12)
    other = torch.cat([one[:8], sample_tokens(model, 4, 1)])
    first, second = (model(**_given(model, input_ids=ids[None])).logits[0, :8].float() for ids in (one, other))
    if apart(first, second) > tolerance(model):
        raise ModelError(
            f"{type(model).__name__} looks at later tokens, so it is no causal language model; students are decoder-only "
            "(for a BERT-like model, set is_decoder in its config.json if it was trained as one)"
        )


@torch.no_grad()  # and no inference mode: of a student in shares the whole weights are kept and trained
def pads_left(model: PreTrainedModel) -> bool:
    """Whether padding on the left of a row changes none of its scores in a pass over whole rows, as in training."""
    row, padding = sample_tokens(model, _SHORT + _STEPS, 1), torch.zeros(_LONG, dtype=torch.long, device=model.device)
    mask_1T = torch.cat([padding, torch.ones_like(row)])[None]
    given = {"attention_mask": mask_1T, "position_ids": (mask_1T.cumsum(-1) - 1).clamp(min=0)}
    padded = model(**_given(model, input_ids=torch.cat([padding, row])[None], **given)).logits[0, _LONG:]
    alone = model(**_given(model, input_ids=row[None])).logits[0]
    return apart(padded.float(), alone.float()) <= tolerance(model)


def said(way: Way) -> list[str]:
    """What a way costs against the usual one, for whoever waits for the answers."""
    slow = {
        "rows": "",
        "whole": "what it keeps of a batch cannot be repeated or cut, so it is read again as answers end",
        "nothing": "it hands nothing on that could be gone on from, so every token reads its whole row again",
    }
    alone = "" if way.padded else "padding would change its answers, so only prompts of one length share a batch"
    return [line for line in (slow[way.keeping], alone) if line]


def tolerance(model: PreTrainedModel, coarse: float = 0.1) -> float:
    """How far apart two passes may be that compute the same, as a share of the scores: their rounding, `coarse` in half precision."""
    return 1e-3 if model.dtype in (torch.float32, torch.float64) else coarse


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest distance of two sequences of vectors (… x width) in one place, as a share of the vector's length."""
    distance = (found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-9)
    return float(distance.nan_to_num(torch.inf).max()) if distance.numel() else 0.0


def _agrees(model: PreTrainedModel, way: Way, rows: list[torch.Tensor], alone: list[torch.Tensor]) -> bool:
    """Whether rows read in a batch, one leaving and one doubled on the way, get the scores of passes of their own."""
    batches = [[0, 1]] if way.padded else [[0, 2], [1, 1]]
    return all(_agrees_in(model, way, rows, alone, batch) for batch in batches)


def _agrees_in(
    model: PreTrainedModel, way: Way, rows: list[torch.Tensor], alone: list[torch.Tensor], batch: list[int]
) -> bool:
    starts = [len(row) - _STEPS for row in rows]
    width, pad = max(starts[row] for row in batch), rows[0][:1]
    ids = [torch.cat([pad.repeat(width - starts[row]), rows[row][: starts[row]]]) for row in batch]
    mask = [torch.arange(width, device=model.device) >= width - starts[row] for row in batch]
    reading = Reading(model, way, width + _STEPS)
    logits_BV = reading.read(torch.stack(ids), torch.stack(mask).long())
    for step in range(_STEPS):
        expected_BV = torch.stack([alone[row][starts[row] + step - 1] for row in batch])
        if apart(logits_BV, expected_BV) > tolerance(model):
            return False
        if step in (1, 3):  # at first one row is doubled, then another leaves
            places = torch.tensor([1, 0, 1] if step == 1 else [2, 1], device=model.device)
            reading.choose(places)
            batch = [batch[place] for place in places.tolist()]
        ids_B1 = torch.stack([rows[row][starts[row] + step] for row in batch])[:, None]
        logits_BV = reading.read(ids_B1, torch.ones_like(ids_B1))
    return True


def sample_tokens(model: PreTrainedModel, count: int, seed: int = 0) -> torch.Tensor:
    """So many tokens drawn at random, the same each time."""
    generator = torch.Generator().manual_seed(seed)
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    size = len(weight) // 2  # what stands for images is at the end
    return torch.randint(0, size, (count,), generator=generator).to(model.device)


def _given(model: PreTrainedModel, **inputs: object) -> dict[str, object]:
    known = taken(model)
    return {key: value for key, value in {**inputs, "use_cache": False}.items() if key in known}
