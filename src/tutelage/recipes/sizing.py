"""Whether the device of this machine holds the training that a config asks for, before any weights are loaded."""

from typing import Any

from tutelage.config import cache_folder, expand_path
from tutelage.errors import TutelageError
from tutelage.launch.catalog import find_launcher
from tutelage.models.local.devices import choose_device, free_memory
from tutelage.models.specs import leaves, parse
from tutelage.redaction import redact

_GB = 1e9


def memory_lines(config: Any) -> list[str]:
    """What the training of a recipe's student needs of this device, as lines; none where a recipe trains no student of this machine.

    No weights are loaded. What cannot be found out is said in a line, and is no error: a plan is of more than this.
    """
    training, spec = getattr(config, "training", None), getattr(config, "student", None)
    if training is None or spec is None:
        return []
    return [line for leaf in leaves(parse(spec)) if leaf.spec.get("kind") == "hf" for line in _lines(config, leaf.spec)]


def _lines(config: Any, spec: Any) -> list[str]:
    training, cache = config.training, expand_path(config.cache) if config.cache else cache_folder()
    student = {**spec, "cache": str(cache)}
    device = choose_device(str(spec.get("device", "auto")))
    launcher = find_launcher(config.launch)
    size = int(getattr(launcher, "least", 1))
    lines = training.micro_batch or -(-training.batch // size)
    try:
        from tutelage.training import memory, sharding

        whole = memory.needs(student, training, device, lines, training.max_length)
        cut = size > 1 and sharding.is_asked(getattr(launcher, "shard", "never"), whole.parameters)
        whole = whole.cut(size) if cut else whole
        free = free_memory(device) // (size if device == "cpu" else 1)
    except (TutelageError, OSError) as error:
        return [f"memory: not known before the student is there: {error}"]
    except Exception as error:  # a model's own code may say anything to tensors that hold nothing
        first = (str(error).strip().splitlines() or [""])[0]
        return [
            f"memory: this student's code cannot be tried without its weights ({type(error).__name__}: {redact(first)[:200]})"
        ]
    one = whole.total - (whole.layers + whole.logits) * (lines - 1) // lines
    state = f"{whole.weights / _GB:.2f} GB of weights, {(whole.gradients + whole.optimizer) / _GB:.2f} of gradients and optimiser"
    each = f"a lesson of {whole.tokens} tokens about {(whole.layers + whole.logits) / lines / _GB:.2f}"
    whose = f", for each of {size} processes{' with its share of the student' if cut else ''}" if size > 1 else ""
    return [
        f"memory of training {spec['name']} on this {device}{whose}: {state}, {each}; {lines} of these at once about {whole.total / _GB:.2f} in all",
        f"memory free on this {device}{' for each' if size > 1 else ''}: {free / _GB:.1f} GB, which {_verdict(whole.total, one, free, lines)}{_more(training)}",
    ]


def _more(training: Any) -> str:
    """What the count leaves out where a lesson is more than the one text that is worked out."""
    return "" if training.plain else "; the objectives chosen may read several texts a lesson and need more than this"


def _verdict(needs: int, one: int, free: int, lines: int) -> str:
    """Whether it fits, and what helps where it does not."""
    if needs <= free:
        return "holds it"
    if one > free:
        return "does not hold one such lesson: set training.gradient_checkpointing=true, training.lora={}, or a smaller training.max_length"
    most = int((free - one) / ((needs - one) / (lines - 1))) + 1
    return f"holds {most} at once (training.micro_batch={most}); a training whose memory ends goes on with half as many, and says so"
