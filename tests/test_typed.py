"""A user's type checker sees the package's types."""

from importlib import resources


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files("tutelage").joinpath("py.typed").is_file()
