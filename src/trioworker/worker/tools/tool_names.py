"""Names of tools that models know from other agents and from their training, and the tools that do the same here.

Such a call is answered, not run: the model then uses the right tool's name and parameters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trioworker.worker.tools.other_names import snake_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_QUOTED = 100
"""Characters of a name that are read, and that an error quotes."""

# The tools of Claude Code, Codex, Cursor, Cline, Gemini CLI, Qwen, Aider, OpenHands, Copilot and Windsurf, and the
# commands that models call as if they were tools.
_NAMES: dict[tuple[str, ...], str] = {
    ("shell",): """
        bash sh zsh terminal exec execute run cmd command container_exec exec_command execute_bash execute_command
        execute_shell local_shell powershell run_bash run_command run_in_terminal run_shell run_shell_command
        run_terminal_cmd run_terminal_command shell_command unified_exec python python3 code_interpreter execute_code
        execute_python run_code run_python git make npm pip rm cp mv mkdir touch wc sed awk delete delete_file
        remove_file move_file copy_file rename_file create_directory
    """,
    ("read_file",): """
        read view cat head tail open open_file view_file file_read get_file get_file_contents read_many_files
        read_multiple_files read_text_file show_file
    """,
    ("write_file",): """
        write create create_file create_new_file file_write new_file save_file write_to_file overwrite_file
    """,
    ("apply_patch",): """
        edit edit_file multi_edit multiedit apply_diff apply_edit apply_edits diff file_edit insert
        insert_edit_into_file insert_content modify_file patch patch_file replace replace_file_content replace_in_file
        multi_replace_file_content search_and_replace search_replace str_replace str_replace_edit update_file
    """,
    ("list_dir",): "ls dir list list_directory list_files list_folder tree directory_tree",
    ("glob", "shell"): "find find_by_name find_file find_files file_search glob_file_search glob_search",
    ("grep", "glob"): """
        search search_files search_code search_file_content search_text search_dir codebase_search grep_files
        grep_search rg ripgrep
    """,
    ("read_file", "write_file", "apply_patch"): """
        str_replace_editor str_replace_based_edit_tool text_editor edit_tool editor
    """,
}
OTHER_NAMES = {name: tools for tools, names in _NAMES.items() for name in names.split()}
"""For each other name, the tools that do the same here."""


def instead_of(name: str, tools: Sequence[str]) -> str:
    """What to use instead of an unknown tool: one that does the same, or any of `tools`."""
    for form in _forms(name[:MAX_QUOTED]):
        known = [tool for tool in (form, *OTHER_NAMES.get(form, ())) if tool in tools]
        if known:
            *others, last = known
            return f"use {', '.join(others)} or {last}" if others else f"use {last}"
    return f"the tools are {', '.join(tools)}" if tools else "there are no tools"


def _forms(name: str) -> Iterable[str]:
    """The full name, and its parts from the last to the first: the last one of `mcp__files__read` is the tool."""
    yield snake_case("_".join(re.findall(r"[A-Za-z0-9_-]+", name)))
    for part in reversed(re.split(r"[^A-Za-z0-9_-]+|__+", name)):
        yield snake_case(part)
