"""From what a config names to a recipe, and from a config to the settings of the recipe it names."""

from collections.abc import Mapping

from tutelage.config import Settings, build
from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.recipes import RECIPES
from tutelage.recipes.recipe import NEEDED, Recipe
from tutelage.tasks.catalog import anchored


def find_recipe(name: str) -> Recipe:
    """A recipe by its name, or by "package.module:RECIPE", which may stand in the folder the user works in."""
    if name not in RECIPES and ":" not in name:
        raise ConfigError(f"unknown recipe {name!r}; {nearest(name, RECIPES)}, or package.module:NAME")
    found = load_named(RECIPES[name][0]) if name in RECIPES else by_path(name, "recipe")
    if not isinstance(found, Recipe):
        if isinstance(found, type):
            raise ConfigError(
                f"recipe {name!r} is the class {found.__name__}; an object is needed: RECIPE = Recipe(summary=…, settings=…, …)"
            )
        kind = type(found).__name__
        raise ConfigError(f"recipe {name!r} is a {kind}; it must be a Recipe of tutelage.recipes.recipe")
    if lacking := [key for key in NEEDED if key not in getattr(found.settings, "model_fields", {})]:
        raise ConfigError(f"recipe {name!r}: its settings lack {', '.join(lacking)}; derive them from Teaching")
    return found


def check_config(raw: Mapping[str, object], source: str) -> Settings:
    """A raw config as the settings of the recipe it names."""
    if "recipe" not in raw:
        raise ConfigError(f"{source}: the key 'recipe' is missing; known: {', '.join(RECIPES)}")
    task = raw.get("task")
    whole = {**raw, "task": anchored(task)} if isinstance(task, str | Mapping) else raw
    return build(find_recipe(str(raw["recipe"])).settings, whole, source)
