"""Loads the user's own code, which an option names as `MODULE:NAME`."""

from __future__ import annotations

import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from trioworker.errors import ConfigError

PACKAGE = str(Path(__file__).parents[1])


def load_named(option: str, spec: str, workspace: Path | None = None) -> Any:
    """Return the object that `spec`, `MODULE:NAME`, names.

    The module is looked up on Python's search path. With a `workspace`, the working directory is searched last, unless
    it holds that module in the workspace: there, the commands of an earlier job could have written it.

    Raises:
        ConfigError: the module or the name doesn't exist, or the import fails.
    """
    where = f"{option} {spec}"
    module, _, name = spec.partition(":")
    if not module or not name:
        raise ConfigError(f"{where}: is not MODULE:NAME, such as my_package.my_module:MyClass")
    folder = _working_directory()
    unsafe = None if workspace is None else _file_in_workspace(folder, module, workspace.resolve())
    if workspace is not None and unsafe is None and folder not in sys.path:
        # Last, so that its modules can't replace installed ones. It stays there: the module may import more later.
        sys.path.append(folder)
    try:
        found = import_module(module)
        try:
            return attrgetter(name)(found)
        except AttributeError as error:
            near = get_close_matches(name, dir(found), 1)
            remedy = f"did you mean {near[0]}?" if near else "use a name that the module defines"
            raise ConfigError(f"{where}: the module {module} has no {name}; {remedy}") from error
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        remedy = "is it installed, or its folder on PYTHONPATH?"
        if unsafe is not None:
            remedy = f"{unsafe} is in the workspace, where tools write; move it to another folder, and "
            remedy += "put that folder on PYTHONPATH"
        raise ConfigError(f"{where}: no module {error.name}; {remedy}") from error
    # Importing foreign code may raise anything, even SystemExit.
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """The error's type and text on one line, with the file and line of the foreign code that raised it."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):
        # Its text has the file's name and the line, and its traceback has only ours.
        return text
    ours = (PACKAGE, "<frozen ", import_module.__code__.co_filename)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        # It was deleted. An absolute path that doesn't exist finds nothing.
        return "/nonexistent"


def _file_in_workspace(folder: str, module: str, workspace: Path) -> Path | None:
    """The module's file below `folder`, if that is in the workspace."""
    base = Path(folder, *module.split("."))
    files = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((file for file in files if file.exists() and file.resolve().is_relative_to(workspace)), None)
