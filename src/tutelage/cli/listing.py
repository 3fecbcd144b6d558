"""The commands that list what there is: tasks, recipes, and the options of one."""

from tutelage.printing import say
from tutelage.recipes import RECIPES
from tutelage.recipes.catalog import find_recipe
from tutelage.recipes.presets import WithPresets, options
from tutelage.tasks import TASKS


def list_tasks() -> None:
    """List what can be asked."""
    _list([(name, entry.summary) for name, entry in TASKS.items()])


def list_recipes() -> None:
    """List what can be run."""
    _list([(name, summary) for name, (_, summary) in RECIPES.items()])


def show_recipe(recipe: str) -> None:
    """List a recipe's options: our defaults, the paper's where they differ (preset=paper), and where these come from."""
    found = find_recipe(recipe)
    summary = found.summary
    say((recipe, "bold"), f": {summary}")
    rows = options(found.settings)
    widths = [max(len(getattr(row, column)) for row in rows) for column in ("key", "default", "published")]
    presets = found.settings.presets() if issubclass(found.settings, WithPresets) else {}
    names = ("option", "house", "published" if len(presets) > 1 else "paper")
    widths = [max(width, len(head)) for width, head in zip(widths, names, strict=True)]
    heads = "  ".join(f"{head:<{width}}" for head, width in zip(names, widths, strict=True))
    say((f"  {heads}  about", "bold"))
    for key, default, published, source, about in rows:
        values = "  ".join(f"{value:<{width}}" for value, width in zip((default, published), widths[1:], strict=True))
        told = "; ".join(part for part in (about, f"{names[2]}: {source}" if source else "") if part)
        say((f"  {key:<{widths[0]}}", "bold"), f"  {values}  ", (told, "dim"))


def _list(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        say((f"{name:<{width}}", "bold"), f"  {summary}")
