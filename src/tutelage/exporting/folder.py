"""Export: a run's student as a folder that plain transformers, TRL, llama.cpp and Ollama take, with its cards."""

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tutelage import __version__
from tutelage.errors import ConfigError, RunError, nearest
from tutelage.exporting import gguf as gguf_file
from tutelage.exporting import lessons, model_card, modelfile
from tutelage.exporting.checking import Checked, check_export
from tutelage.exporting.source import Source, read_source

MARK = "export.json"  # what makes a folder an export, which a later one may replace
DTYPES = ("exam", "bfloat16", "float16", "float32")


class Exported(Struct, frozen=True, kw_only=True):
    """What was written, and how it answers."""

    path: Path
    dtype: str
    checked: Checked | None
    gguf: Path | None


def export(
    run: str | Path,
    to: str | Path,
    dtype: str = "exam",
    check: int = 50,
    gguf: str | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Exported:
    """Write a finished run's student into a folder that plain transformers loads, with its model card and its lessons.

    `dtype`: "exam", in which its exams compute on this machine, so that it answers alike; or bfloat16, float16, float32.
    `check`: how many questions of its final exam are put to the written folder again; 0: none. `gguf`: "f16" or "q8_0"
    for a GGUF file too. `tell` is given a line as each part is done. An earlier export in `to` is replaced.
    """
    target = Path(to).expanduser().resolve()
    if dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype}: {nearest(dtype, DTYPES)}")
    if check < 0:
        raise ConfigError(f"--check {check}: give how many questions are asked again, or 0")
    gguf_file.check_gguf_kind(gguf)
    source = read_source(Path(run))
    if gguf:
        gguf_file.check_student(source.student)
    with _draft(target) as folder:
        made = _write(source, folder, _Wanted(target.name, dtype, check, gguf), tell)
    return msgspec.structs.replace(made, path=target, gguf=made.gguf and target / made.gguf.name)


class _Wanted(NamedTuple):
    name: str
    dtype: str
    check: int
    gguf: str | None


def _write(source: Source, folder: Path, wanted: _Wanted, tell: Callable[[str], object]) -> Exported:
    from tutelage.exporting.student import save

    saved = save(source, folder, wanted.dtype)
    tell(f"student: {saved.parameters:,} parameters as {saved.dtype} safetensors ({source.why() or source.title})")
    (folder / "student.json").write_text(json.dumps({"form": "taught"}), encoding="utf-8")
    file = None
    if wanted.gguf:
        file = gguf_file.write_gguf(folder, wanted.gguf, re.sub(r"[^\w.-]+", "-", wanted.name))
        text = modelfile.modelfile_text(file.name, saved.format, source.setup.sampling.max_tokens)
        (folder / "Modelfile").write_text(text, encoding="utf-8")
        tell(f"gguf: {file.name}, {file.stat().st_size / 1e6:.0f} MB, and a Modelfile")
    checked = check_export(source, folder, saved.dtype, wanted.check) if wanted.check else None
    for line in checked.lines() if checked else ["not checked"]:
        tell(f"check: {line}")
    taught = lessons.gather(source)
    lessons.write_lessons(source, taught, folder / "lessons")
    tell(f"lessons: {lessons.counted(taught)}")
    written = model_card.Written(wanted.name, saved.dtype, saved.parameters, taught, checked, file)
    (folder / "README.md").write_text(model_card.card_text(source, written), encoding="utf-8")
    mark = {
        "tutelage": __version__,
        "run": source.path.resolve().name,
        "exam": source.exam.step,
        "dtype": saved.dtype,
    }
    mark["checked"] = msgspec.to_builtins(checked)
    (folder / MARK).write_text(json.dumps(mark, indent=1), encoding="utf-8")
    return Exported(path=folder, dtype=saved.dtype, checked=checked, gguf=file)


@contextlib.contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A folder to write into that takes the target's place when the block ends well, and is gone when it does not."""
    if target.exists() and not target.is_dir():
        raise RunError(f"{target} is a file; an export needs a folder")
    if target.exists() and any(target.iterdir()) and not (target / MARK).exists():
        raise RunError(f"{target} is not empty and no earlier export; choose another --to")
    draft, old = (target.with_name(f".{target.name}.export-{word}") for word in ("draft", "old"))
    if old.exists() and not target.exists():  # killed between the two renames below
        old.rename(target)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        if target.exists():
            target.rename(old)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
