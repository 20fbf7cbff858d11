"""What `shell` does not run: a seat belt against accidents, by the pattern's name. The container is the wall.

Commands are matched, not text: what stands in quotes as an argument, in a comment or in a here-document is talk, unless
a shell gets it as its program.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from trioworker.worker.tools.shell_parser import MAX_NESTING, Command, Pipeline, Word, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORK_BOMB = "fork bomb"
DOWNLOAD = "piping a download into a shell"
DISK = "> /dev/sda"

REMEDIES = {
    "rm -rf /": "name the folder to remove",
    "rm -rf /*": "name the folder to remove",
    FORK_BOMB: "it would take every process there may be",
    "dd if=/dev/zero": "use truncate -s SIZE FILE or head -c SIZE /dev/zero",
    "mkfs": "file systems are not made here",
    "chmod -R 777 /": "name the folder to change",
    DISK: "disks are not written to here",
    DOWNLOAD: "save it to a file, read it, then run it",
    "sudo": "there are no more rights to get; run the command without it",
    "doas": "there are no more rights to get; run the command without it",
    "/etc/shadow": "secrets are not read here",
    "~/.ssh": "secrets are not read here",
    "id_rsa": "secrets are not read here",
    ".bash_history": "secrets are not read here",
}
"""The patterns (contract, 'Tools') and what to do instead."""

SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash", "fish"})
INTERPRETERS = SHELLS | {"python", "perl", "ruby", "node", "php"}
DOWNLOADERS = frozenset({"curl", "wget"})
KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "coproc", "-p"})
NO_COMMANDS = frozenset({"for", "case", "select", "[[", "[", "test"})
"""What follows these are no commands."""

# Commands that run their arguments: the options of each that take a value in the next word.
WRAPPERS = {
    "builtin": "",
    "command": "",
    "env": "-u --unset -C --chdir -S --split-string",
    "exec": "-a",
    "ionice": "-c -n -p",
    "nice": "-n --adjustment",
    "nohup": "",
    "setsid": "",
    "stdbuf": "-i -o -e",
    "time": "-f -o --format --output",
    "timeout": "-k -s --kill-after --signal",
    "xargs": "-a -d -E -I -L -n -P -s --arg-file --delimiter --replace --max-lines --max-args --max-procs --max-chars",
}
ONE_OPERAND_FIRST = frozenset({"timeout"})
PRIVILEGED = {"sudo": "-u -g", "doas": "-u"}
"""Wrappers that are refused by themselves, and looked behind where that tells more."""
PROGRAM_NESTING = 10
"""What a program within a program (`bash -c`, `eval`, `find -exec`) counts towards `MAX_NESTING`: the text of each is
read once more, so there are far fewer of them than of substitutions.
"""
EXECUTING = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
"""The options of `find` that run a command."""

NOT_READING = frozenset(
    {
        "echo",
        "printf",
        "mkdir",
        "touch",
        "chmod",
        "chown",
        "rm",
        "rmdir",
        "unlink",
        "export",
        "alias",
        "ssh-keygen",
        "ssh-add",
        "true",
        "false",
        ":",
        "which",
        "type",
    }
)
"""Commands whose arguments may name a secret without reading it."""
PATTERN_FIRST = frozenset({"grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "sed", "awk", "gawk", "jq", "perl"})
"""Commands whose first operand is a pattern or a program, not a file."""
PATTERN_OPTIONS = frozenset(
    {
        "-e",
        "-f",
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-regex",
        "--include",
        "--exclude",
        "-g",
        "--glob",
        "-m",
    }
)
"""Options whose value is a pattern or a text."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_DISK = re.compile(r"/dev/(?:[shv]d[a-z]|xvd[a-z]|nvme\d|mmcblk\d|disk\d)\w*")
_PIPED_BODY = re.compile(r"\(\)\{([\w:.]++)\|")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\}|/root|/home/[^/]+)/\.ssh(?:/|$)")
_VERSION = "0123456789."


def refusal(command: str) -> str | None:
    """Why a command is refused, as `NAME: REMEDY`; None when it may run."""
    name = FORK_BOMB if _is_fork_bomb(command) else next(_in_script(parse(command), 0), None)
    return f"{name}: {REMEDIES[name]}" if name else None


def _is_fork_bomb(text: str) -> bool:
    """`name(){ name|name& }; name`. No backreference in a pattern: that would take quadratic time."""
    if "()" not in text:
        return False
    bare = re.sub(r"\s", "", _QUOTED.sub("''", text))
    for body in _PIPED_BODY.finditer(bare):
        name = body[1]
        rest = (f"{name}&}};{name}", f"{name}&}}{name}")
        if bare.endswith(name, 0, body.start()) and bare.startswith(rest, body.end()):
            return True
    return False


def _in_script(pipelines: Sequence[Pipeline], nesting: int) -> Iterator[str]:
    if nesting > MAX_NESTING:
        return
    for pipeline in pipelines:
        downloading = False
        for command in pipeline:
            words = _unwrapped(command.words)
            if downloading and (_reads_program(words) or any(_reads_program(w) for w in _bodies(command))):
                yield DOWNLOAD
            downloading = downloading or _downloads(command)
            yield from _in_command(command, words, nesting)


def _in_command(command: Command, words: list[Word], nesting: int) -> Iterator[str]:
    yield from _in_script(command.body, nesting + 1)
    for word in (*command.words, *command.inputs, *command.outputs):
        for script in word.scripts:
            yield from _in_script(script, nesting + 1)
    if any(_DISK.fullmatch(target.text) for target in command.outputs):
        yield DISK
    name = _name(words)
    if name not in NO_COMMANDS:
        arguments = [word.text for word in words[1:]]
        yield from _by_name(name, arguments)
        for script in _programs(name, words, command):
            deeper = nesting + PROGRAM_NESTING
            yield from _in_script(parse(script, deeper), deeper)
        if words and _runs_download(name, words):
            yield DOWNLOAD
        yield from _secrets(name, arguments)
    yield from _secrets("", [target.text for target in command.inputs])


def _by_name(name: str, arguments: list[str]) -> Iterator[str]:
    if name in ("sudo", "doas"):
        yield name
    elif name == "mkfs" or name.startswith("mkfs."):
        yield "mkfs"
    elif name == "dd":
        if "if=/dev/zero" in arguments:
            yield "dd if=/dev/zero"
        if any(_DISK.fullmatch(argument.removeprefix("of=")) for argument in arguments if argument.startswith("of=")):
            yield DISK
    elif name == "tee" and any(_DISK.fullmatch(argument) for argument in arguments):
        yield DISK
    elif name == "rm" and _has_option(arguments, "rR", "--recursive"):
        for argument in arguments:
            if _is_root(argument):
                yield "rm -rf /"
            elif _is_all_of_root(argument):
                yield "rm -rf /*"
    elif name == "chmod" and _has_option(arguments, "R", "--recursive"):
        everyone = any(re.fullmatch(r"[0-7]?777|a[+=]rwx", argument) for argument in arguments)
        if everyone and any(_is_root(argument) or _is_all_of_root(argument) for argument in arguments):
            yield "chmod -R 777 /"


def _unwrapped(words: list[Word], wrappers: Mapping[str, str] = WRAPPERS) -> list[Word]:
    """The words of the command that is run in the end, behind keywords, assignments and wrappers."""
    at = 0
    while at < len(words):
        first = words[at].text
        name = posixpath.basename(first)
        if (first in KEYWORDS and not words[at].quoted) or _ASSIGNMENT.match(first):
            at += 1
        elif first == "function":
            at += 2
        elif name in wrappers:
            if name == "command" and at + 1 < len(words) and words[at + 1].text in ("-v", "-V"):
                return []
            at = _behind_options(words, at + 1, wrappers[name].split())
            at += name in ONE_OPERAND_FIRST
        else:
            break
    return words[at:]


def _behind_options(words: list[Word], position: int, with_value: list[str]) -> int:
    while position < len(words) and words[position].text.startswith("-"):
        option = words[position].text
        position += 2 if option in with_value else 1
        if option == "--":
            break
    return position


def _name(words: list[Word]) -> str:
    return posixpath.basename(words[0].text) if words else ""


def _programs(name: str, words: list[Word], command: Command) -> Iterator[str]:
    """Texts that this command runs as shell commands."""
    arguments = [word.text for word in words[1:]]
    if name in SHELLS:
        for position, argument in enumerate(arguments):
            if re.fullmatch(r"-[a-z]*c[a-z]*", argument):
                yield from arguments[position + 1 : position + 2]
                break
        else:
            yield from command.documents
    elif name == "eval":
        yield " ".join(arguments)
    elif name == "find":
        yield from _executed(arguments)


def _executed(arguments: list[str]) -> Iterator[str]:
    """The commands that `find` runs, each up to its `;` or to the next one."""
    command: list[str] | None = None
    for argument in (*arguments, ";"):
        if argument == ";" or argument in EXECUTING:
            if command:
                yield " ".join(command)
            command = None if argument == ";" else []
        elif command is not None:
            command.append(argument)


def _downloads(command: Command) -> bool:
    if _name(_unwrapped(command.words)) in DOWNLOADERS:
        return True
    return any(_downloads(inner) for pipeline in command.body for inner in pipeline)


def _reads_program(words: list[Word]) -> bool:
    """Whether it is an interpreter that takes its program from standard input."""
    words = _unwrapped(words, WRAPPERS | PRIVILEGED)
    name = _name(words).rstrip(_VERSION)
    if name not in INTERPRETERS:
        return False
    for word in words[1:]:
        if word.text in ("-", "-s", "/dev/stdin"):
            return True
        if not word.text.startswith("-") or word.text in ("-c", "-m", "-e"):
            return False
    return True


def _bodies(command: Command) -> Iterator[list[Word]]:
    """The commands of a subshell."""
    for pipeline in command.body:
        for inner in pipeline:
            yield _unwrapped(inner.words)


def _runs_download(name: str, words: list[Word]) -> bool:
    """`$(curl …)` as a command, and `bash <(curl …)`."""
    if words[0].scripts and not words[0].quoted:
        return _any_downloads(words[0])
    if name in SHELLS or name in ("source", "."):
        return any(word.process and _any_downloads(word) for word in words[1:])
    return False


def _any_downloads(word: Word) -> bool:
    return any(_downloads(command) for script in word.scripts for pipeline in script for command in pipeline)


def _secrets(name: str, arguments: list[str]) -> Iterator[str]:
    if name in NOT_READING:
        return
    for argument in _paths(name, arguments):
        path = argument.rpartition("=")[2].removeprefix("@")
        if posixpath.normpath(path) == "/etc/shadow":
            yield "/etc/shadow"
        elif _HOME.match(path):
            yield "~/.ssh"
        elif posixpath.basename(path) in ("id_rsa", ".bash_history"):
            yield posixpath.basename(path)


def _paths(name: str, arguments: list[str]) -> Iterator[str]:
    """The arguments that may name files."""
    pattern_due = name in PATTERN_FIRST and not {"-e", "-f"} & set(arguments)
    after_pattern_option = False
    for argument in arguments:
        if after_pattern_option:
            after_pattern_option = False
        elif argument in PATTERN_OPTIONS:
            after_pattern_option = True
        elif argument.split("=")[0] in PATTERN_OPTIONS:
            pass
        elif pattern_due and not argument.startswith("-"):
            pattern_due = False
        else:
            yield argument


def _has_option(arguments: list[str], letters: str, long: str) -> bool:
    return any(
        argument == long or (re.fullmatch(r"-[A-Za-z]+", argument) is not None and any(c in argument for c in letters))
        for argument in arguments
    )


def _is_root(argument: str) -> bool:
    return argument.startswith("/") and posixpath.normpath(argument).strip("/") == ""


def _is_all_of_root(argument: str) -> bool:
    return argument.endswith("/*") and _is_root(argument.removesuffix("*"))
