"""Small stays small: the limits of files and functions, and the decisions to go past them."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "tutelage"
FILE_LINES, FUNCTION_LINES, MEDIAN_LINES, PARAMETERS = 300, 50, 12, 6

# What may be larger, and why. Nothing else.
RAISED: dict[str, tuple[int, str]] = {
    "cli.exam.exam_command:parameters": (10, "a typer command: each parameter is an option on the command line"),
    "cli.grade.grade_command:parameters": (10, "a typer command, too"),
    "cli.serve.serve_command:parameters": (8, "a typer command, too"),
    "cli.study.study_command:parameters": (9, "a typer command, too"),
    "cli.slurm.slurm_command:parameters": (9, "a typer command, too"),
    "cli.export.export_command:parameters": (7, "a typer command, too"),
    "models.remote.openai.OpenAICompatible.__init__:parameters": (7, "each parameter is a key of a model spec"),
    "models.local.hf.Hf.__init__:parameters": (7, "each parameter is a key of a model spec"),
    "models.local.vllm.Vllm.__init__:parameters": (7, "each parameter is a key of a model spec"),
    "launch.ray.Ray.__init__:parameters": (7, "each parameter is an option of the launcher"),
    "solvers.cascade.Cascade.__init__:parameters": (10, "each parameter is a key of a model spec"),
    "models.recorded.Recorded.__init__:parameters": (8, "each parameter is a key of a model spec"),
}


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a file with its dotted name."""
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}.{child.name}", child
            inner = f"{prefix}.{child.name}" if isinstance(child, ast.ClassDef | ast.FunctionDef) else prefix
            yield from walk(child, inner)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), module)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from def to the end."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller sees."""
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    return len([name for name in names if name not in ("self", "cls")])


def allowed(name: str, what: str, limit: int) -> int:
    """The limit, or what was decided instead."""
    return RAISED.get(f"{name}:{what}", (limit, ""))[0]


ALL = [(name, node) for path in SOURCE.rglob("*.py") for name, node in functions(path)]


def test_files_are_short() -> None:
    long = {
        str(path): count for path in SOURCE.rglob("*.py") if (count := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert not long


def test_functions_are_short() -> None:
    long = {name: length(node) for name, node in ALL if length(node) > allowed(name, "lines", FUNCTION_LINES)}
    assert not long


def test_functions_are_mostly_tiny() -> None:
    assert statistics.median(length(node) for _, node in ALL) <= MEDIAN_LINES


def test_parameters_are_few() -> None:
    many = {name: parameters(node) for name, node in ALL if parameters(node) > allowed(name, "parameters", PARAMETERS)}
    assert not many


def test_folders_are_flat_and_earn_their_keep() -> None:
    for folder in (path for path in SOURCE.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        assert len(folder.relative_to(SOURCE).parts) <= 2
        files = [path for path in folder.iterdir() if path.suffix in (".py", ".txt") and path.name != "__init__.py"]
        assert len(files) >= 3 or folder.name in SEAMS, f"{folder} holds {len(files)} files: make it one file"


# What is added to Tutelage is one more file in one of these.
SEAMS = {"tasks", "models", "solvers", "recipes", "objectives", "launch"}
BANNED = {"utils", "common", "core", "helpers", "manager", "handler"}


def test_no_drawer_names() -> None:
    assert not [path for path in SOURCE.rglob("*") if path.stem in BANNED]


ANY = re.compile(r"\bAny\b")
ANY_PER_1000 = 15


def test_values_have_types() -> None:
    """`Any` says nothing of a value and checks nothing: an untyped library's object gets a name of its own."""
    lines, found = 0, dict[str, int]()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines += len(text.splitlines())
        found[str(path.relative_to(SOURCE))] = len(ANY.findall(text))
    most = ", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda one: -one[1])[:8])
    assert sum(found.values()) * 1000 <= ANY_PER_1000 * lines, (
        f"`Any` stands {sum(found.values())} times in {lines:,} lines, more than {ANY_PER_1000} per 1,000; most in: {most}. "
        "Say what a value is; object, where it is only passed on; tutelage.types.JsonObject, where a file holds it"
    )
