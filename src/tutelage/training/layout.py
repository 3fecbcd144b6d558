"""How lessons are laid out in rows: as a student's own passes show that it reads them rightly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tutelage.errors import LessonError
from tutelage.models.local import ability
from tutelage.models.local.reading import taken
from tutelage.training import batches


def why_apart(model: Any, examples: Sequence[batches.Example], pad: int) -> str:
    """Why continuations of one prompt cannot share a row behind a mask, nor rows be padded on the left; empty: they can.

    Recurrent layers pass every column on, masked or not; others reach by a mask of their own, such as a sliding window.
    So the longest row is computed both ways by the student itself, and what it cannot do is not done.
    """
    training = model.training
    model.eval()
    try:
        return _why_apart(model, examples, pad)
    finally:
        model.train(training)


def _why_apart(model: Any, examples: Sequence[batches.Example], pad: int) -> str:
    ability.check_causal(_causal(model))
    if not ability.pads_left(_causal(model)):
        return "padding on the left would change what it computes"
    active = [example for example in examples if example.active]
    if not active:
        return ""
    # The farthest that any token looks back decides, in a window or without one: the longest way from a prompt's first
    # token to the end of one of its continuations. The longest row is another thing, and is looked at, too.
    farthest, longest = max(active, key=_reach), max(active, key=lambda example: example.length + sum(_parts(example)))
    try:
        distance = max(
            _distance(model, _row(one), pad) for one in {id(one): one for one in (farthest, longest)}.values()
        )
    except LessonError:
        raise
    except Exception as error:  # whatever a model says to a mask of its own
        return f"it takes no mask for a shared prompt ({type(error).__name__})"
    if distance > ability.tolerance(model):
        return f"a shared prompt would move its states by {distance:.1%}"
    return ""


def _parts(example: batches.Example) -> tuple[int, int]:
    """The lengths of its longest positive and negative."""
    return len(max(example.positives, key=len)), len(max(example.negatives, key=len))


def _reach(example: batches.Example) -> int:
    return len(example.prompt) + max(len(example.completion), *_parts(example))


def _row(example: batches.Example) -> batches.Row:
    return batches.Row(example, max(example.positives, key=len), max(example.negatives, key=len))


def _distance(model: Any, row: batches.Row, pad: int) -> float:
    """How far the last states of a shared row are from those of separate rows, as a share of their length."""
    whole = batches.Totals(1, 1)
    shared, apart = batches.collate([row], whole, pad), batches.collate_apart([row], whole, pad)
    kinds = (batches.COMPLETION, batches.POSITIVE, batches.NEGATIVE)
    together, separate = (_states(model, tensors) for tensors in (shared, apart))
    found = (together[shared["segments"] == kind] for kind in kinds)
    expected = (
        states[segments == batches.COMPLETION] for states, segments in zip(separate, apart["segments"], strict=True)
    )
    return max(ability.apart(one, other) for one, other in zip(found, expected, strict=True))


@torch.no_grad()
def _states(model: Any, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    given = ("input_ids", "attention_mask", "position_ids")
    inputs = {name: tensors[name].to(model.device) for name in given}
    if "trios" not in tensors:
        inputs["attention_mask"] = tree_mask(model, tensors["segments"].to(model.device), inputs["position_ids"])
    with last_states(model) as states:
        run(model, inputs, 1)
    return states[0].cpu()


def run(model: Any, inputs: dict[str, Any], keep: int) -> Any:
    """One pass without a cache, with the arguments that the model knows; at least the last `keep` columns of logits."""
    known = taken(_causal(model))
    given = {**inputs, "logits_to_keep": keep, "use_cache": False}
    return model(**{name: value for name, value in given.items() if name in known})


def tree_mask(model: Any, segments_BT: torch.Tensor, positions_BT: torch.Tensor) -> torch.Tensor:
    """`batches.tree_mask` in the form that the model's attention takes."""
    allowed_B1TT = batches.tree_mask(segments_BT, positions_BT)
    if _causal(model).config._attn_implementation != "eager":
        return allowed_B1TT
    forbidden = torch.finfo(torch.float32).min  # plain attention adds its mask to the scores
    return torch.zeros(allowed_B1TT.shape, device=allowed_B1TT.device).masked_fill_(~allowed_B1TT, forbidden)


def _causal(model: Any) -> Any:
    """The language model itself, without adapters around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def last_states(model: Any, wanted: bool = True) -> Iterator[list[torch.Tensor]]:
    """The last-layer states (BTH) of the forward pass inside, without keeping those of every layer."""
    seen: list[torch.Tensor] = []
    causal = _causal(model)
    # Where the decoder sits differs from one model to the next; some never call the module that wraps it.
    places = {causal.get_decoder(), causal.base_model, getattr(causal, "model", causal)} - {causal}

    def see(module: Any, given: Any, out: Any) -> None:
        if getattr(out, "last_hidden_state", None) is not None:
            seen.append(out.last_hidden_state)

    hooks = [place.register_forward_hook(see) for place in places if place is not None and wanted]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    if wanted and not seen:
        raise LessonError(
            f"self-reflection finds no last states in {type(causal).__name__}; set training.reflection=null"
        )
