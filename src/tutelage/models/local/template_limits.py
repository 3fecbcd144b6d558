"""A chat template is a program that came with a model: it is tried once in a process of its own, within limits."""

import functools
import subprocess
import sys

from tutelage.errors import ModelError

SECONDS = 4
MEGABYTES = 512

# Only what takes too long or too much is looked for: a template that this environment cannot compile, or that refuses
# these messages, is judged where it is used.
_TRIAL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
try:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) << 20,) * 2)
except (ValueError, OSError):  # macOS lets nobody set it
    pass
import json
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
def refuse(message):
    raise ValueError(message)
user, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
try:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = json.dumps
    environment.globals.update(raise_exception=refuse, strftime_now=lambda form: "")
    template = environment.from_string(sys.stdin.read())
    for messages, begun in (([user], True), ([user, answer], False)):
        size = len(template.render(messages=messages, add_generation_prompt=begun, bos_token="<s>", eos_token="</s>"))
        if size > 1 << 24:
            raise MemoryError
except MemoryError:
    sys.exit(9)
except Exception:
    pass
"""


@functools.lru_cache
def check_template(template: str, name: str) -> None:
    """Refuse a chat template that needs more than a few seconds or some hundred megabytes for one short message.

    Raises `ModelError`. The template is rendered nowhere else before.
    """
    command = [sys.executable, "-I", "-c", _TRIAL, str(SECONDS), str(MEGABYTES)]
    try:
        done = subprocess.run(command, input=template.encode(), capture_output=True, timeout=3 * SECONDS, check=False)
        failed = done.returncode == 9 or done.returncode < 0  # a signal: the limit of time
    except subprocess.TimeoutExpired:
        failed = True
    if failed:
        raise ModelError(
            f"the chat template of {name} needs more than {SECONDS} seconds or {MEGABYTES} MB for one short message; it is "
            "broken or hostile: give the folder another chat_template.jinja, or train with training.template=paper"
        )
