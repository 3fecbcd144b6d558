"""The forward pass of training, and how rows are laid out for it: as a student's own passes show that it reads them rightly."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tutelage.errors import LessonError
from tutelage.models.local import ability
from tutelage.models.local.pretrained import LanguageModel
from tutelage.models.local.reading import taken
from tutelage.training import heads
from tutelage.training.collation import lay_apart, lay_behind, lay_shared, shared_mask
from tutelage.training.examples import Branch
from tutelage.training.heads import Head
from tutelage.training.rows import Row

# How far the states of two right passes in bfloat16 may be apart: 1.7 to 2.9 % in the packaged student's 30 layers.
_ROUNDING = 0.05


def why_apart(model: LanguageModel, rows: Iterable[Row], pad: int) -> str:
    """Why branches of one prompt cannot share a line behind a mask, nor lines be padded on the left; empty: they can.

    Recurrent layers pass every column on, masked or not; others reach by a mask of their own, such as a sliding window.
    So the longest of the rows is computed both ways by the student itself, and what it cannot do is not done. Raises
    `LessonError` where rows have texts behind constants, and it reads the longest of these otherwise than in one pass.
    """
    training = model.training
    model.eval()  # dropout would make any two passes differ
    try:
        return _why_apart(model, _extremes(rows), pad)
    finally:
        model.train(training)


def why_unpacked(model: LanguageModel, rows: Iterable[Row], pad: int) -> str:
    """Why short rows cannot share a line with others; empty: they can.

    As with branches, the student shows it: the longest of its rows beside the shortest ones, against each alone.
    """
    chosen = _side_by_side(rows)
    training = model.training
    model.eval()
    try:
        distance = _distance(model, chosen, pad, [list(range(len(chosen)))])
    except (LessonError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a model says to a mask of its own
        return f"it takes no mask that keeps lessons apart ({type(error).__name__})"
    finally:
        model.train(training)
    if distance > ability.tolerance(causal_of(model), _ROUNDING):
        return f"lessons beside it would move its states by {distance:.1%}"
    return ""


def _side_by_side(rows: Iterable[Row]) -> list[Row]:
    """The shortest row, the one with the longest way to look back, and the shortest again."""
    short: Row | None = None
    far: Row | None = None
    for row in rows:
        short = row if short is None or row.shared_length < short.shared_length else short
        far = row if far is None or row.reach > far.reach else far
    assert short is not None
    assert far is not None
    return [short, far, short]


class _Extremes:
    """Of the rows of a training those that are the hardest to read rightly."""

    def __init__(self) -> None:
        self.farthest: Row | None = None
        self.longest: Row | None = None
        self.behind: Branch | None = None  # the longest text behind a constant, with it
        self.padded: Branch | None = None  # the one with the least before it: beside the longest it is padded most

    def see(self, row: Row) -> None:
        """Look at a row more."""
        # The farthest that any token looks back decides, in a window or without one: the longest way from a prompt's first
        # token to the end of one of its branches. The longest row is another thing, and is looked at, too.
        if not row.is_chain:
            if self.farthest is None or row.reach > self.farthest.reach:
                self.farthest = row
            if self.longest is None or row.shared_length > self.longest.shared_length:
                self.longest = row
        for _, part in row.beside:
            if self.behind is None or _end(part.branch) > _end(self.behind):
                self.behind = part.branch
            if self.padded is None or part.branch.depth < self.padded.depth:
                self.padded = part.branch


def _end(branch: Branch) -> int:
    return branch.depth + len(branch.ids)


def _extremes(rows: Iterable[Row]) -> _Extremes:
    found = _Extremes()
    for row in rows:
        found.see(row)
    return found


def _why_apart(model: LanguageModel, found: _Extremes, pad: int) -> str:
    ability.check_causal(causal_of(model))
    if found.behind is not None and found.padded is not None:
        _check_behind(model, [found.behind, found.padded])
    if not ability.pads_left(causal_of(model)):
        return "padding on the left would change what it computes"
    farthest, longest = found.farthest, found.longest
    if farthest is None or longest is None:
        return ""
    try:
        distance = max(
            _distance(model, [one], pad) for one in ([farthest] if farthest is longest else [farthest, longest])
        )
    except (LessonError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a model says to a mask of its own
        return f"it takes no mask for a shared prompt ({type(error).__name__})"
    if distance > ability.tolerance(causal_of(model), _ROUNDING):
        return f"a shared prompt would move its states by {distance:.1%}"
    return ""


def _distance(
    model: LanguageModel, rows: Sequence[Row], pad: int, lines: Sequence[Sequence[int]] | None = None
) -> float:
    """How far the last states of rows in shared lines are from those of separate ones, as a share of their length."""
    shared, apart = lay_shared(rows, pad, lines), lay_apart(rows, pad)
    together, separate = _states(model, shared.tensors), _states(model, apart.tensors)
    distances = []
    for row, ones, others in zip(rows, shared.places, apart.places, strict=True):
        for branch, one, other in zip(row.branches, ones, others, strict=True):
            if lines or branch.after is not None:  # in a line of one row its prompt is read as alone
                found = together[one.line, one.column : one.column + len(branch.ids)]
                expected = separate[other.line, other.column : other.column + len(branch.ids)]
                distances.append(ability.apart(found, expected))
    return max(distances)


@torch.no_grad()
def _states(model: LanguageModel, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    with last_states(model) as states:
        forward(model, {name: tensor.to(model.device) for name, tensor in tensors.items()}, 1)
    return states[0].cpu()


def forward(model: LanguageModel, tensors: Mapping[str, torch.Tensor], keep: int) -> Any:
    """One pass without a cache, with the arguments that the model knows; at least the last `keep` columns of logits."""
    inputs = {name: tensors[name] for name in ("input_ids", "attention_mask", "position_ids")}
    if "segments" in tensors:
        inputs["attention_mask"] = _mask(model, tensors)
    return _called(model, {**inputs, "logits_to_keep": keep, "use_cache": False})


def head_for(model: LanguageModel, tensors: Mapping[str, torch.Tensor]) -> Head | None:
    """The model's head where logits are better made from the states that are read, in pieces, and can be; see `heads`.

    So it is where they are many, and where rows share a line and those that are wanted stand all over it.
    """
    causal = causal_of(model)
    if not tensors.get("packed") and not heads.too_many(causal, len(tensors["input_ids"]), int(tensors["keep"])):
        return None

    def states_of(ids_T: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with last_states(causal) as states:
            out = _called(causal, {"input_ids": ids_T[None], "use_cache": False})
        return states[0], out.logits

    if not hasattr(causal, "_tutelage_head"):  # looked at once a model
        # Of one that processes hold in shares, a pass of the last layers alone would be one that the others do not make.
        causal._tutelage_head = None if is_shared(causal) else heads.head_of(causal, states_of)
    found: Head | None = causal._tutelage_head
    return found


def holds_whole(model: LanguageModel) -> bool:
    """Whether some pass had so many logits that pieces were wanted, and could not be made."""
    return getattr(causal_of(model), "_tutelage_head", True) is None


def _called(model: LanguageModel, given: Mapping[str, Any]) -> Any:
    """One pass with those arguments that the model knows."""
    known = taken(causal_of(model))
    return model(**{name: value for name, value in given.items() if name in known})


def states_behind(model: LanguageModel, laid: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last states (LTH) of texts behind something that was read beforehand and is a constant; see `collation.lay_behind`."""
    before = laid["before_mask"]
    places = (before.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        asked = {"input_ids": laid["before"], "attention_mask": before, "position_ids": places}
        read = _called(model, {**asked, "use_cache": True})
    cache = getattr(read, "past_key_values", None)
    if cache is None:
        raise LessonError(
            f"{type(causal_of(model)).__name__} keeps no cache of keys and values, so a text cannot be read behind a constant prompt: "
            "choose reflection.variant=own, or another objective"
        )
    width = laid["texts"].shape[1]
    after = before.sum(-1, keepdim=True) + torch.arange(width, device=before.device)
    with last_states(model) as states:
        both = torch.cat([before, laid["text_mask"]], -1)
        texts = {"input_ids": laid["texts"], "attention_mask": both, "position_ids": after}
        _called(model, {**texts, "past_key_values": cache, "use_cache": True})
    return states[0]


@torch.no_grad()
def _check_behind(model: LanguageModel, texts: Sequence[Branch]) -> None:
    """Refuse a model that reads these texts behind constants otherwise than in one pass.

    A cache that is cut to a window, or a state that padding runs through, gives other states and no error.
    """
    laid = {name: tensor.to(model.device) for name, tensor in lay_behind(texts).items()}
    behind = states_behind(model, laid)
    far = max(ability.apart(behind[line, : len(one.ids)].cpu(), _alone(model, one)) for line, one in enumerate(texts))
    if far > ability.tolerance(causal_of(model), _ROUNDING):
        raise LessonError(
            f"{type(causal_of(model)).__name__} reads a text behind a constant prompt otherwise than in one pass (its states move by "
            f"{far:.1%}): choose reflection.variant=own, or another objective"
        )


def _alone(model: LanguageModel, branch: Branch) -> torch.Tensor:
    """The last states of a branch in one pass over all that it goes on from."""
    ids = torch.tensor([[*branch.before, *branch.ids]], device=model.device)
    with last_states(model) as states:
        _called(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False})
    return states[0][0, branch.depth :].cpu()


def _mask(model: LanguageModel, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """`shared_mask` in the form that the model's attention takes."""
    allowed_B1TT = shared_mask(tensors["segments"], tensors["position_ids"], tensors["kin"])
    if causal_of(model).config._attn_implementation != "eager":
        return allowed_B1TT
    forbidden = torch.finfo(torch.float32).min  # plain attention adds its mask to the scores
    return torch.zeros(allowed_B1TT.shape, device=allowed_B1TT.device).masked_fill_(~allowed_B1TT, forbidden)


def is_shared(model: LanguageModel) -> bool:
    """Whether this process holds only its share of a student's weights."""
    return any(isinstance(one, DTensor) for one in model.parameters())


def causal_of(model: LanguageModel) -> LanguageModel:
    """The language model itself, without what shares it among processes and adapters around it."""
    if isinstance(model, DistributedDataParallel):
        model = model.module
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def last_states(model: LanguageModel, wanted: bool = True) -> Iterator[list[torch.Tensor]]:
    """The last-layer states (BTH) of the forward pass inside, without keeping those of every layer."""
    seen: list[torch.Tensor] = []
    causal = causal_of(model)
    # Where the decoder sits differs from one model to the next; some never call the module that wraps it.
    places = {causal.get_decoder(), causal.base_model, getattr(causal, "model", causal)} - {causal}

    def see(module: object, given: object, out: object) -> None:
        if (states := getattr(out, "last_hidden_state", None)) is not None:
            seen.append(states)

    hooks = [place.register_forward_hook(see) for place in places if place is not None and wanted]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    if wanted and not seen:
        raise LessonError(
            f"no last states are found in {type(causal).__name__}, which an objective reads; leave that objective out of "
            "training (training.reflection=null)"
        )
