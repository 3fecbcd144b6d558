"""Logits from last states by a model's own last layers, a piece at a time, so that those of a long text are never held together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutputWithPast

from tutelage.models.local import ability
from tutelage.models.local.pretrained import LanguageModel
from tutelage.models.local.reading import taken

WHOLE = 2**27  # bytes of logits in float32 that are held at once; more are made in pieces
PIECE = 2**27  # bytes of a piece
PAYS = 4  # times the bytes of a last layer that is trained


class Head:
    """What a language model makes of its decoder's last states: everything that it does behind the decoder."""

    def __init__(self, causal: LanguageModel, decoder: torch.nn.Module) -> None:
        self._causal, self._decoder = causal, decoder
        self._computes: tuple[bool, torch.dtype] = (False, torch.float32)  # autocast, as the decoder saw it
        self._kind: type = BaseModelOutputWithPast  # of what the decoder hands on
        self._weights: list[torch.Tensor] | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note in which arithmetic the decoder is run inside, which the last layers shall use, too, and what it hands them."""

        def note(module: torch.nn.Module, given: object, out: object) -> None:
            kind = next(module.parameters()).device.type
            self._computes, self._kind = (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)), type(out)

        hook = self._decoder.register_forward_hook(note)
        try:
            yield
        finally:
            hook.remove()

    def logits(self, states_NH: torch.Tensor) -> torch.Tensor:
        """The logits (NV) of so many states, by the model's own code."""
        out = self._kind(last_hidden_state=states_NH[None])
        usual = self._decoder.forward
        given = {"input_ids": torch.zeros(1, len(states_NH), dtype=torch.long, device=states_NH.device)}
        known = {name: value for name, value in {**given, "use_cache": False}.items() if name in taken(self._causal)}
        self._decoder.forward = lambda *args, **more: out
        try:
            with self._computing(states_NH.device.type):
                logits: torch.Tensor = self._causal(**known).logits[0]
        finally:
            self._decoder.forward = usual
        return logits

    def total(
        self, states_NH: torch.Tensor, value: Callable[..., torch.Tensor], given: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """The sum of `value(logits_CV, *given)` over the pieces, each of which gives up its logits before the next has any."""
        if any(one.requires_grad for one in given):
            return torch.stack(self.values(states_NH, value, given)).sum()
        pieces = self._pieces(states_NH, given)
        if not torch.is_grad_enabled():
            return torch.stack([value(self.logits(states_CH), *own) for states_CH, *own in pieces]).sum()
        total: torch.Tensor = _Total.apply(states_NH, self, value, given, *self._learned(states_NH[:1]))  # type: ignore[no-untyped-call]
        return total

    def _learned(self, states_1H: torch.Tensor) -> list[torch.Tensor]:
        """The weights behind the decoder that are trained: those to which a gradient of the logits comes."""
        if self._weights is None:
            with torch.enable_grad():
                logits = self.logits(states_1H.detach().requires_grad_())
            self._weights = _leaves(logits.grad_fn)
        return self._weights

    def _pieces(self, states_NH: torch.Tensor, given: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, ...]]:
        size = max(1, PIECE // (4 * vocabulary_of(self._causal)))
        return list(zip(*(torch.split(one, size) for one in (states_NH, *given)), strict=True))

    @contextmanager
    def _computing(self, device: str) -> Iterator[None]:
        """In the arithmetic of the decoder; weights that it rounds are rounded once inside."""
        enabled, kind = self._computes
        with torch.autocast(device, dtype=kind, enabled=enabled):
            yield

    def values(
        self, states_NH: torch.Tensor, value: Callable[..., torch.Tensor], given: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """`value(logits_CV, *given)` of each piece of C states, with a gradient for which the logits are made again."""

        def of(states_CH: torch.Tensor, *own: torch.Tensor) -> torch.Tensor:
            return value(self.logits(states_CH), *own)

        return [checkpoint(of, *piece, use_reentrant=False) for piece in self._pieces(states_NH, given)]


class _Total(torch.autograd.Function):
    """A sum over pieces whose gradient is found piece by piece on the way, since a sum needs nothing else to know it."""

    @staticmethod
    def forward(ctx: Any, states_NH: torch.Tensor, head: Head, value: Any, given: Any, *weights: torch.Tensor) -> Any:
        found = [torch.zeros_like(states_NH), *(torch.zeros_like(one) for one in weights)]
        total, start = states_NH.new_zeros((), dtype=torch.promote_types(states_NH.dtype, torch.float32)), 0
        with torch.enable_grad(), head._computing(states_NH.device.type):
            for states_CH, *own in head._pieces(states_NH.detach(), given):
                piece_CH = states_CH.requires_grad_()
                one = value(head.logits(piece_CH), *own)
                total, end = total + one.detach(), start + len(piece_CH)
                if not one.requires_grad:  # a number to be told
                    start = end
                    continue
                grads = torch.autograd.grad(one, [piece_CH, *weights], allow_unused=True)
                if grads[0] is not None:
                    found[0][start:end] = grads[0]
                start = end
                for so_far, grad in zip(found[1:], grads[1:], strict=True):
                    if grad is not None:
                        so_far.add_(grad)
        ctx.found = found
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        if ctx.found is None:
            raise RuntimeError("the gradient of logits in pieces was asked for twice; it is given up when it is read")
        found, ctx.found = ctx.found, None  # read once, and as large as the weights: scaled where it lies
        states_NH, *weights = (one.mul_(grad) for one in found)
        return states_NH, None, None, None, *weights


def _leaves(node: Any) -> list[torch.Tensor]:
    """The tensors at the ends of a graph that are no piece of states: a model's own weights."""
    met, todo, found = set[Any](), [node], list[torch.Tensor]()
    while todo:
        one = todo.pop()
        if one is None or one in met:
            continue
        met.add(one)
        if (leaf := getattr(one, "variable", None)) is not None and isinstance(leaf, torch.nn.Parameter):
            found.append(leaf)
        todo += [parent for parent, _ in one.next_functions]
    return found


def too_many(causal: LanguageModel, lines: int, columns: int) -> bool:
    """Whether the logits of so many tokens are more than shall be held at once.

    Where the last layer is trained, pieces hold its gradient twice while they are added up, so they pay for many tokens only.
    """
    head = causal.get_output_embeddings()
    trained = 0 if head is None or not head.weight.requires_grad else head.weight.numel() * 4
    return lines * columns * vocabulary_of(causal) * 4 > max(WHOLE, PAYS * trained)


def vocabulary_of(causal: LanguageModel) -> int:
    """How many tokens a model gives a logit."""
    head = causal.get_output_embeddings()
    return int(causal.config.get_text_config().vocab_size) if head is None else int(head.weight.shape[0])


@contextmanager
def watched(head: Head | None) -> Iterator[None]:
    """`Head.watching`, where there is one."""
    if head is None:
        yield
    else:
        with head.watching():
            yield


@torch.no_grad()
def head_of(
    causal: LanguageModel, states_of: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
) -> Head | None:
    """A model's head, where what it says of a short text is what the model says; else None.

    `states_of` runs the model on tokens, and returns the last states (BTH) and the logits.
    """
    if "logits_to_keep" not in taken(causal):
        return None  # it would make all of them besides
    training = causal.training
    causal.eval()
    try:
        places = (causal.get_decoder(), getattr(causal, "model", None), causal.base_model)
        for decoder in dict.fromkeys(place for place in places if place is not None and place is not causal):
            head = Head(causal, decoder)
            if _agrees(head, causal, states_of):
                return head
        return None
    finally:
        causal.train(training)


def _agrees(
    head: Head, causal: LanguageModel, states_of: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
) -> bool:
    try:
        with head.watching():
            states_BTH, logits_BTV = states_of(ability.sample_tokens(causal, 12))
        far = ability.apart(head.logits(states_BTH[0]).float(), logits_BTV[0].float())
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model of one's own does behind its decoder
        return False
    return far <= ability.tolerance(causal, 0.01)
