"""Find recipes by name: those of the installation, and the one in a folder."""

from pathlib import Path

from chatwright.errors import InputError

RECIPE = "recipe.toml"
"""The recipe's file in a folder of `chatwright new`."""


def packaged_recipe(name: str) -> Path:
    """Return the path of a recipe that is part of the installation.

    Raises:
        InputError: There is no such recipe.
    """
    for directory in _directories():
        path = directory / f"{name}.toml"
        if path.is_file():
            return path
    raise InputError(
        f"{name}: this installation has no such recipe.",
        remedy="Give the path of a recipe file.",
        field="recipe",
        value=name,
    )


def _directories() -> tuple[Path, Path]:
    package = Path(__file__).parent.parent
    # An installed wheel holds a copy; a checkout has the recipes beside the package.
    return package / "recipes", package.parent / "recipes"


def packaged_recipe_names() -> list[str]:
    """Return the names of all recipes of the installation, in order."""
    return sorted({path.stem for folder in _directories() for path in folder.glob("*.toml")})


def is_packaged_recipe(name: str) -> bool:
    """Return whether this installation has a recipe with this name."""
    if Path(name).name != name:
        return False
    try:
        packaged_recipe(name)
    except InputError:
        return False
    return True


def find_recipe(path: Path) -> Path:
    """Return `path` if it exists, or else the path of the packaged recipe with this name.

    A packaged recipe may be named `own-data`, or by its path in a checkout,
    `recipes/own-data.toml`.
    """
    is_checkout_path = path.suffix == ".toml" and path.parent == Path("recipes")
    is_name = not path.suffix and len(path.parts) == 1
    if path.exists() or not (is_name or is_checkout_path):
        return path
    name = path.stem if is_checkout_path else path.name
    return packaged_recipe(name) if is_packaged_recipe(name) else path
