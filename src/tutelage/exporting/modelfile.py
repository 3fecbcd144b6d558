"""The Modelfile that gives Ollama a student's prompt format, stop tokens and greedy answers."""

import json
import re
from typing import NamedTuple

from tutelage.errors import ModelError

_CHATML = re.compile(r"(?:<\|im_start\|>system\n(.*?)<\|im_end\|>\n)?<\|im_start\|>user\n", re.DOTALL)
_CHATML_END = "<|im_end|>\n<|im_start|>assistant\n"


class Format(NamedTuple):
    """How a prompt is written around one question, and what ends a reply."""

    before: str
    after: str
    bos: str  # what the tokenizer itself writes before any text; empty where it writes nothing
    eos: str
    stops: tuple[str, ...]


def modelfile_text(name: str, format: Format, most: int) -> str:
    """What `ollama create` needs beside the GGUF file `name`; a reply has at most `most` tokens."""
    template, system = _template(format)
    lines = [f"FROM ./{name}", f"TEMPLATE {_quoted(template)}"]
    lines += [f"SYSTEM {_quoted(system)}"] if system else []
    lines += ["PARAMETER temperature 0", "PARAMETER repeat_penalty 1", f"PARAMETER num_predict {most}"]
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in format.stops]
    return "\n".join(lines) + "\n"


def _template(format: Format) -> tuple[str, str]:
    """The prompt format in the template language of Go, and the system message it begins with by default."""
    before = format.before.removeprefix(format.bos)  # Ollama writes it, as the tokenizer does
    if (before, format.after) == ("", " ###"):
        reply = " {{ .Content }}" + _plain(format.eos)
        turn = f'{{{{ if eq .Role "assistant" }}}}{reply}{{{{ else }}}}{{{{ .Content }}}} ###{{{{ end }}}}'
        return f"{{{{ range .Messages }}}}{turn}{{{{ end }}}}", ""
    chatml = _CHATML.fullmatch(before)
    if chatml and format.after == _CHATML_END:
        turn = "<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
        return f"{{{{ range .Messages }}}}{turn}{{{{ end }}}}<|im_start|>assistant\n", chatml.group(1) or ""
    return f"{_plain(before)}{{{{ .Prompt }}}}{_plain(format.after)}", ""  # one question, as the student was taught


def _plain(words: str) -> str:
    """Text that Go's templates leave as it is."""
    return words.replace("{{", '{{ "{{" }}')


def _quoted(words: str) -> str:
    if '"""' in words:
        raise ModelError('the chat template holds """, which no Modelfile can; export without --gguf')
    return f'"""{words}"""'
