"""A run's settings and models in the words of a line."""

from collections.abc import Mapping

_USUAL = ("student", "teacher", "model")  # the keys that hold models in the recipes that are brought along


def described(config: Mapping[str, object], roles: object = None) -> str:
    """A config in one line: what is done with whom on what. `roles` are the keys of all its models, where they are known."""
    own = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
    known = [role for role in dict.fromkeys((*_USUAL, *own)) if config.get(role)]
    told = [f"{role} {_names(config[role])}" for role in known]
    return ", ".join([f"{config.get('recipe')} on {spec_name(config.get('task'))}", *told])


def _names(specs: object) -> str:
    """The name of a model, or of each of several."""
    return " and ".join(map(spec_name, specs)) if isinstance(specs, list) else spec_name(specs)


def spec_name(spec: object) -> str:
    """The name of a model or task, written as text or as a mapping."""
    if not isinstance(spec, Mapping):
        return str(spec)
    named = spec.get("name") or spec.get("path")
    if "kind" in spec and not named:  # a model made of models goes by these
        parts = [spec_name(one) for value in spec.values() for one in (value if isinstance(value, list) else [value])]
        return f"{spec['kind']}({', '.join(part for part in parts if ':' in part and part != spec['kind'])})"
    kind = f"{spec['kind']}:" if "kind" in spec and "path" not in spec else ""
    return f"{kind}{named or ''}"
