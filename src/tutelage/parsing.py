"""Reading YAML and JSON of anybody's making: it is read, or refused in one sentence, in little time and memory."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import RunError
from tutelage.regular import read_regular
from tutelage.types import JsonObject

DEPTH = 60  # how deep a config may be nested
HALF = re.compile("[\ud800-\udfff]")
NODES = 100_000  # values it may hold, an alias counting as all that it stands for


class Unreadable(ValueError):
    """A text that is not what it should be; the message says why, on one line."""


class _Loader(yaml.SafeLoader):
    """YAML with what a config can mean: no key twice, keys are words, dates are text, and no value explodes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, not too deep."""
        self._depth += 1
        if self._depth > DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"nested more than {DEPTH} deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        """The whole document, once it is known how large it is with every alias written out."""
        node = super().get_single_node()
        if node is not None:
            _size(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be a word, not a list or a mapping", key)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise _error(f"the key {key.value!r} stands twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number of 64 bits."""
        if len(node.value) <= 100:  # enough for 64 bits in any form
            value: int = super().construct_yaml_int(node)
            if -(1 << 63) <= value < 1 << 63:
                return value
        raise _error(f"a whole number of {len(node.value)} characters is too large (it must fit into 64 bits)", node)

    def refuse(self, node: yaml.Node) -> None:
        """What no config means, and no JSON can say."""
        raise _error(f"a config holds no {node.tag.rpartition(':')[2]}", node)

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        """A text of whole characters."""
        value: str = super().construct_yaml_str(node)
        if half(value):
            raise _error("a text with half of a character in it (a lone surrogate)", node)
        if "\0" in value:
            raise _error("a text with a NUL in it, which no path and no prompt has", node)
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_yaml_str)
for _name in ("timestamp", "binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _Loader.refuse)
# "2024-01-01" is a name somebody gave, and no setting is a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _error(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node holds; what stands behind an alias is measured once and counted every time."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _error("an alias inside what it stands for", node)
        return sizes[id(node)]
    sizes[id(node)] = 0
    inner = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else ()
    parts = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
    size = 1 + sum(_size(part, sizes) for part in parts)
    if size > NODES:
        raise _error(f"more than {NODES:,} values, with what its aliases stand for", node)
    sizes[id(node)] = size
    return size


def yaml_value(text: str) -> Any:
    """What a YAML text means; raises `Unreadable`, which begins with the line ("line 3: …") where there is one."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Unreadable(f"{line}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(" ".join(str(error).split())) from None
    except (KeyError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        # PyYAML believes a tag: `!!bool zz` is looked up, `!!timestamp zz` taken apart, before anybody asks what it is.
        raise Unreadable(f"a value is not what its tag says it is ({type(error).__name__})") from None


def json_value(text: str | bytes, once: bool = False) -> Any:
    """What a JSON text means; raises `Unreadable`, with `once` also where a key stands twice in an object."""
    try:
        return json.loads(text, object_pairs_hook=_once if once else None)
    except RecursionError:
        raise Unreadable("nested too deep") from None
    except ValueError as error:
        huge = "int_max_str_digits" in str(error)
        raise Unreadable("a number of more than 4,300 digits" if huge else str(error)) from None


def _once(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def json_file(path: Path) -> JsonObject:
    """One of a run's own files; one that is broken is an error that names it."""
    try:
        loaded = json_value(read_regular(path))
    except Unreadable as error:
        raise RunError(f"{path} is broken ({error}); it was not written whole, or was changed since") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    if not isinstance(loaded, Mapping):
        raise RunError(f"{path} is broken: a {type(loaded).__name__}, not a JSON object")
    return dict(loaded)


def half(text: str) -> str:
    """Half of a character that stands alone in a text (a lone surrogate, as `\\ud800`); empty where there is none."""
    found = HALF.search(text)
    return found[0].encode("unicode_escape", "surrogatepass").decode() if found else ""
