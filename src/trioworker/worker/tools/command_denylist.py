"""Commands that `shell` refuses, by the name of a pattern.

The list prevents accidents; the container is the security boundary. Commands are matched, not text: quoted arguments,
comments and here-documents don't count, unless a shell gets them as its program.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from trioworker.worker.tools.command_words import PRIVILEGED, SHELLS, WRAPPERS, command_name, programs, unwrapped
from trioworker.worker.tools.secret_paths import secrets_read
from trioworker.worker.tools.shell_parser import MAX_NESTING, Command, Pipeline, Word, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORK_BOMB = "fork bomb"
DOWNLOAD = "piping a download into a shell"
DISK = "> /dev/sda"

REMEDIES = {
    "rm -rf /": "name the folder to remove",
    "rm -rf /*": "name the folder to remove",
    FORK_BOMB: "it would use up all processes",
    "dd if=/dev/zero": "use truncate -s SIZE FILE or head -c SIZE /dev/zero",
    "mkfs": "creating file systems is not allowed",
    "chmod -R 777 /": "name the folder to change",
    DISK: "writing to disks is not allowed",
    DOWNLOAD: "save it to a file, read it, then run it",
    "sudo": "no further privileges are available; run the command without it",
    "doas": "no further privileges are available; run the command without it",
    "/etc/shadow": "reading secrets is not allowed",
    "~/.ssh": "reading secrets is not allowed",
    "id_rsa": "reading secrets is not allowed",
    ".bash_history": "reading secrets is not allowed",
}
"""The patterns (contract, 'Tools') and what to do instead."""

INTERPRETERS = SHELLS | {"python", "perl", "ruby", "node", "php"}
DOWNLOADERS = frozenset({"curl", "wget"})
NO_COMMANDS = frozenset({"for", "case", "select", "[[", "[", "test"})
"""What follows these is not a command."""

PROGRAM_NESTING = 10
"""What a program within a program (`bash -c`, `eval`, `find -exec`) counts towards `MAX_NESTING`. The text of each is
parsed again, so fewer of them are allowed than substitutions.
"""

_DISK = re.compile(r"/dev/(?:[shv]d[a-z]|xvd[a-z]|nvme\d|mmcblk\d|disk\d)\w*")
_PIPED_BODY = re.compile(r"\(\)\{([\w:.]++)\|")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_VERSION = "0123456789."


def refusal(command: str) -> str | None:
    """Why a command is refused, as `NAME: REMEDY`; None when it may run."""
    name = FORK_BOMB if _is_fork_bomb(command) else next(_in_script(parse(command), 0), None)
    return f"{name}: {REMEDIES[name]}" if name else None


def _is_fork_bomb(text: str) -> bool:
    """Whether it is `name(){ name|name& }; name`. A pattern with backreferences would take quadratic time."""
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
            words = unwrapped(command.words)
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
    name = command_name(words)
    if name not in NO_COMMANDS:
        arguments = [word.text for word in words[1:]]
        yield from _by_name(name, arguments)
        for script in programs(name, words, command):
            deeper = nesting + PROGRAM_NESTING
            yield from _in_script(parse(script, deeper), deeper)
        if words and _runs_download(name, words):
            yield DOWNLOAD
        yield from secrets_read(name, arguments)
    yield from secrets_read("", [target.text for target in command.inputs])


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


def _downloads(command: Command) -> bool:
    if command_name(unwrapped(command.words)) in DOWNLOADERS:
        return True
    return any(_downloads(inner) for pipeline in command.body for inner in pipeline)


def _reads_program(words: list[Word]) -> bool:
    """Whether the command is an interpreter that reads its program from standard input."""
    words = unwrapped(words, WRAPPERS | PRIVILEGED)
    name = command_name(words).rstrip(_VERSION)
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
            yield unwrapped(inner.words)


def _runs_download(name: str, words: list[Word]) -> bool:
    """`$(curl …)` as a command, and `bash <(curl …)`."""
    if words[0].scripts and not words[0].quoted:
        return _any_downloads(words[0])
    if name in SHELLS or name in ("source", "."):
        return any(word.process and _any_downloads(word) for word in words[1:])
    return False


def _any_downloads(word: Word) -> bool:
    return any(_downloads(command) for script in word.scripts for pipeline in script for command in pipeline)


def _has_option(arguments: list[str], letters: str, long: str) -> bool:
    return any(
        argument == long or (re.fullmatch(r"-[A-Za-z]+", argument) is not None and any(c in argument for c in letters))
        for argument in arguments
    )


def _is_root(argument: str) -> bool:
    return argument.startswith("/") and posixpath.normpath(argument).strip("/") == ""


def _is_all_of_root(argument: str) -> bool:
    return argument.endswith("/*") and _is_root(argument.removesuffix("*"))
