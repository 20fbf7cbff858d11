"""Parses a shell command into the simple commands that it runs: enough grammar to distinguish commands from text.

It knows quotes, escapes, comments, separators, pipes, redirections, here-documents and substitutions, and expands
nothing. Malformed text gives what could be parsed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_NESTING = 40
"""Levels of nested substitutions that are parsed; deeper ones count as plain text."""

SEPARATORS = frozenset(";&\n|()")
BLANKS = frozenset(" \t")


@dataclass(slots=True)
class Word:
    """A word without its quotes. `scripts` are the substitutions in it, in order; `process` when it is `<(…)`.

    `text` has substitutions as they were written. `quoted` when any part of it was.
    """

    text: str = ""
    scripts: list[list[Pipeline]] = field(default_factory=list["list[Pipeline]"])
    process: bool = False
    quoted: bool = False


@dataclass(slots=True)
class Command:
    """A simple command, or a subshell, which has a `body` and no words."""

    words: list[Word] = field(default_factory=list[Word])
    inputs: list[Word] = field(default_factory=list[Word])
    outputs: list[Word] = field(default_factory=list[Word])
    documents: list[str] = field(default_factory=list[str])
    body: list[Pipeline] = field(default_factory=list["Pipeline"])


Pipeline = list[Command]


def parse(text: str, nesting: int = 0) -> list[Pipeline]:
    """The pipelines of a script, in order."""
    return _Parser(text, nesting).script(closing=False)


class _Parser:
    def __init__(self, text: str, nesting: int) -> None:
        self.text = text
        self.position = 0
        self.nesting = nesting
        self.awaited: list[tuple[str, Command]] = []
        """Here-documents whose text starts after this line: delimiter and command."""

    def script(self, *, closing: bool) -> list[Pipeline]:
        """Pipelines up to the end, or up to and including the `)` that closes a substitution."""
        pipelines: list[Pipeline] = []
        pipeline: Pipeline = []
        while True:
            command = self._command()
            if command.words or command.body or command.inputs or command.outputs:
                pipeline.append(command)
            if not self._more():
                break
            separator = self._take()
            if separator == "|" and not self._at("|"):
                self._skip("&")
                continue
            if separator == "(" and self.nesting < MAX_NESTING:
                pipeline.append(Command(body=self._nested()))
                continue
            if separator == ")" and not pipeline and pipelines and not closing:
                continue
            if pipeline:
                pipelines.append(pipeline)
                pipeline = []
            if separator == "\n":
                self._documents()
            elif separator == ")" and closing:
                return pipelines
        if pipeline:
            pipelines.append(pipeline)
        return pipelines

    def _more(self) -> bool:
        return self.position < len(self.text)

    def _take(self) -> str:
        self.position += 1
        return self.text[self.position - 1]

    def _at(self, prefix: str) -> bool:
        return self.text.startswith(prefix, self.position)

    def _skip(self, prefix: str) -> bool:
        if self._at(prefix):
            self.position += len(prefix)
            return True
        return False

    def _nested(self) -> list[Pipeline]:
        self.nesting += 1
        try:
            return self.script(closing=True)
        finally:
            self.nesting -= 1

    def _command(self) -> Command:
        """Words and redirections up to a separator."""
        command = Command()
        while self._more():
            character = self.text[self.position]
            if character in BLANKS or self._at("\\\n"):
                self.position += 1 if character in BLANKS else 2
            elif character == "#":
                end = self.text.find("\n", self.position)
                self.position = end if end >= 0 else len(self.text)
            elif character in "<>" and not self.text.startswith("(", self.position + 1):
                self._redirection(command)
            elif self._at("&>"):
                self.position += 1
                self._redirection(command)
            elif character in SEPARATORS:
                break
            else:
                word = self._word()
                # `2>file`: the number is a file descriptor, not a word.
                if not (word.text.isdecimal() and self._more() and self.text[self.position] in "<>"):
                    command.words.append(word)
        return command

    def _redirection(self, command: Command) -> None:
        operator = self._take()
        while self._more() and self.text[self.position] in "<>&|-" and len(operator) < 3:
            operator += self._take()
        while self._more() and self.text[self.position] in BLANKS:
            self.position += 1
        if not self._more() or self.text[self.position] in "\n;|)":
            return
        target = self._word()
        if operator in ("<<", "<<-"):
            self.awaited.append((target.text, command))
        elif operator == "<<<":
            command.documents.append(target.text)
        elif operator.startswith("<"):
            command.inputs.append(target)
        else:
            command.outputs.append(target)

    def _documents(self) -> None:
        for delimiter, command in self.awaited:
            lines: list[str] = []
            while self._more():
                end = self.text.find("\n", self.position)
                end = end if end >= 0 else len(self.text)
                line = self.text[self.position : end]
                self.position = min(end + 1, len(self.text))
                if line.strip("\t") == delimiter:
                    break
                lines.append(line)
            command.documents.append("\n".join(lines))
        self.awaited.clear()

    def _word(self) -> Word:
        word = Word()
        parts: list[str] = []
        while self._more():
            character = self.text[self.position]
            if character in SEPARATORS or character in BLANKS or (character in "<>" and not self._at_process()):
                break
            if self._at("\\\n"):
                self.position += 2
            elif character == "\\":
                word.quoted = True
                self.position += 1
                parts.append(self._take() if self._more() else "")
            elif character == "'" or self._at("$'"):
                word.quoted = True
                parts.append(self._single_quoted())
            elif character == '"' or self._at('$"'):
                word.quoted = True
                self._skip("$")
                self.position += 1
                self._double_quoted(word, parts)
            else:
                parts.append(self._plain(word))
        word.text = "".join(parts)
        return word

    def _at_process(self) -> bool:
        return self._at("<(") or self._at(">(")

    def _plain(self, word: Word) -> str:
        start = self.position
        if self.nesting < MAX_NESTING:
            if self._at_process() or self._at("$("):
                word.process = word.process or not self._at("$(")
                self.position += 2
                word.scripts.append(self._nested())
                return self.text[start : self.position]
            if self._skip("`"):
                word.scripts.append(self._backquoted())
                return self.text[start : self.position]
        if self._skip("${"):
            end = self.text.find("}", self.position)
            self.position = end + 1 if end >= 0 else len(self.text)
            return self.text[start : self.position]
        return self._take()

    def _single_quoted(self) -> str:
        escapes = self._skip("$")
        start = self.position + 1
        end = self.text.find("'", start)
        while escapes and end > 0 and self.text[end - 1] == "\\":
            end = self.text.find("'", end + 1)
        end = end if end >= 0 else len(self.text)
        self.position = min(end + 1, len(self.text))
        return self.text[start:end]

    def _double_quoted(self, word: Word, parts: list[str]) -> None:
        while self._more():
            if self._skip('"'):
                return
            if self._skip("\\\n"):
                continue
            if self._at("\\") and self.text[self.position + 1 : self.position + 2] in ("$", "`", '"', "\\"):
                self.position += 1
                parts.append(self._take())
            elif self._at("$(") or self._at("`") or self._at("${"):
                parts.append(self._plain(word))
            else:
                parts.append(self._take())

    def _backquoted(self) -> list[Pipeline]:
        inner: list[str] = []
        while self._more():
            character = self._take()
            if character == "`":
                break
            if character == "\\" and self.text[self.position : self.position + 1] in ("`", "\\", "$"):
                character = self._take()
            inner.append(character)
        return parse("".join(inner), self.nesting + 1)
