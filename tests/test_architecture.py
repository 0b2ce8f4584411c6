"""The layers of the house, held by reading every module's syntax tree; run as a script, it prints the README's map.

cli
commands/*                                   typer; commands never import each other, but for what they share
console                                      rich; errors, and the types of reports
--------------------------------------------- below: no typer, no rich, no print, no sys.exit
data   decoding   documents   scoring        not each other
core
errors
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "alma_cli"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- map -->", "<!-- /map -->"

LEAVES = ("data", "decoding", "documents", "scoring")
BELOW_CONSOLE = (*LEAVES, "core", "errors")
# What a module of each part may import while it runs; `alma_cli` itself has the version only.
MAY_IMPORT = {
    "alma_cli": set(),
    "__main__": {"cli"},
    "cli": {"commands", "console", *BELOW_CONSOLE},
    "commands": {"commands", "console", *BELOW_CONSOLE},
    "console": {"console", "errors"},
    **{leaf: {leaf, "core", "errors"} for leaf in LEAVES},
    "core": {"core", "errors"},
    "errors": set(),
}
# The console may name the reports that it draws, under `if TYPE_CHECKING:` or inside a function that tells them apart;
# nobody else may name more than they import.
MAY_NAME = MAY_IMPORT | {"console": {"console", "errors", "core", *LEAVES}}
# No commands themselves: the options that commands have in common, and the steps that `alma run` takes one by one.
SHARED_BY_COMMANDS = {
    f"alma_cli.commands.{name}"
    for name in (
        "ablation",
        "file_translation",
        "guidance",
        "options",
        "score_inputs",
        "steps",
        "translation",
        "validation",
    )
}
SCREEN = {"typer", "rich", "click"}
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "comet",
    "ctranslate2",
    "vllm",
    "sacrebleu",
    "pandas",
}


@dataclass(frozen=True)
class Import:
    """One imported module, as a dotted name."""

    module: str
    line: int
    typing_only: bool
    at_top: bool

    @property
    def part(self) -> str:
        """The row or folder of alma_cli it belongs to; "alma_cli" for the package itself, empty for anything else."""
        names = self.module.split(".")
        if names[0] != "alma_cli":
            return ""
        return names[1] if len(names) > 1 else "alma_cli"


@dataclass(frozen=True)
class Module:
    """One file of alma_cli."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        parts = self.path.relative_to(REPOSITORY).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")

    @property
    def part(self) -> str:
        return Import(self.name, 0, False, True).part

    @property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree, typing_only=False, at_top=True))

    @property
    def first_line(self) -> str:
        return (ast.get_docstring(self.tree) or "").split("\n")[0]

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{line}"


def _imports(node: ast.AST, *, typing_only: bool, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, typing_only, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            yield from (Import(name, child.lineno, typing_only, at_top) for name in _from(child))
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), typing_only=True, at_top=at_top)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), typing_only=typing_only, at_top=at_top)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, typing_only=typing_only, at_top=at_top and not inside)


def _from(statement: ast.ImportFrom) -> Iterator[str]:
    """`from package import module` imports the module; `from module import name` the module it names."""
    source = statement.module or ""
    folder = REPOSITORY.joinpath(*source.split("."))
    ours = source.split(".")[0] == "alma_cli"
    names = [alias.name for alias in statement.names]
    modules = [name for name in names if ours and ((folder / f"{name}.py").is_file() or (folder / name).is_dir())]
    yield from (f"{source}.{name}" for name in modules)
    if len(modules) < len(names):
        yield source


def _all_modules() -> list[Module]:
    paths = sorted(PACKAGE.rglob("*.py"), key=lambda path: [part.replace("__init__", "") for part in path.parts])
    return [Module(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


MODULES = _all_modules()


def module_map() -> str:
    """One line a module: its path, and what it is for."""
    rows = [(str(module.path.relative_to(REPOSITORY)).replace("__init__.py", ""), module) for module in MODULES]
    width = max(len(path) for path, _ in rows)
    return "\n".join(f"{path:<{width}}  {module.first_line}" for path, module in rows)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_module_imports_only_the_rows_below_its_own(module: Module) -> None:
    wrong = [
        f"{module.at(found.line)} imports {found.module}"
        for found in module.imports
        if found.part not in ("", "alma_cli")
        and found.part not in (MAY_NAME if found.typing_only or not found.at_top else MAY_IMPORT)[module.part]
    ]

    assert wrong == []


def test_commands_do_not_import_each_other() -> None:
    wrong = [
        f"{module.at(found.line)} imports {found.module}"
        for module in MODULES
        if module.part == "commands"
        for found in module.imports
        if found.part == "commands" and found.module not in SHARED_BY_COMMANDS
    ]

    assert wrong == []


def test_screen_libraries_are_imported_only_where_the_screen_is() -> None:
    wrong = [
        f"{module.at(found.line)} imports {found.module}"
        for module in MODULES
        for found in module.imports
        if (name := found.module.split(".")[0]) in SCREEN
        and (module.part in BELOW_CONSOLE or name == "click" or (name == "rich") != (module.part == "console"))
    ]

    assert wrong == []


PROGRAM = "alma_cli/core/comet_worker.py"  # runs in another environment, by itself


def test_nothing_below_the_console_prints_or_exits() -> None:
    wrong = [
        f"{module.at(node.lineno)} {ast.unparse(node)[:40]}"
        for module in MODULES
        if module.part in BELOW_CONSOLE and not module.at(0).startswith(PROGRAM)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "sys.exit", "exit", "quit", "os._exit"}
    ]

    assert wrong == []


def test_commands_load_heavy_libraries_inside_their_bodies_only() -> None:
    wrong = [
        f"{module.at(found.line)} imports {found.module}"
        for module in MODULES
        if module.part in ("cli", "commands", "console", "errors", "alma_cli", "__main__")
        for found in module.imports
        if found.at_top and not found.typing_only and found.module.split(".")[0] in HEAVY
    ]

    assert wrong == []


def test_errors_need_the_standard_library_only() -> None:
    errors = next(module for module in MODULES if module.part == "errors")

    assert {found.module.split(".")[0] for found in errors.imports} <= sys.stdlib_module_names


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    wrong = [str(module.path) for module in MODULES if not re.search(r"\w+ \w+.*[.:]$", module.first_line)]

    assert wrong == []


def test_no_error_is_caught_without_saying_which() -> None:
    wide = {"", "Exception", "BaseException"}
    wrong = [
        module.at(node.lineno)
        for module in MODULES
        if not module.at(0).startswith(PROGRAM)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and wide & set(re.findall(r"[\w.]+", _caught(node)) or [""])
    ]

    assert wrong == []


def test_help_loads_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "alma_cli", "--help"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}

    assert "typer" in loaded  # the list is what we take it for
    assert loaded & HEAVY == set()


def test_readme_has_the_map_of_the_modules() -> None:
    page = README.read_text(encoding="utf-8")
    assert BEGIN in page, f"put the output of `python tests/test_architecture.py` between {BEGIN} and {END}"
    block = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in block.splitlines() if line and not line.startswith("```")]

    assert lines == module_map().splitlines(), "print today's map with `python tests/test_architecture.py`"


def _caught(handler: ast.ExceptHandler) -> str:
    return ast.unparse(handler.type) if handler.type else ""


if __name__ == "__main__":
    sys.stdout.write(module_map() + "\n")
