"""A cassette on disk: JSON Lines, in the order in which things happened, each line whole by itself.

The first line tells the job and the options that shape its requests. Then come a `request` and its `reply`, a `call`
of a tool with its answer, a `prompt` where a follow-up joined the conversation, and at last the `end`. A request tells
what is new since the one before: `kept` messages were in that already, and `"="` stands for a field's same value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from trioworker.cassette.bodies import NOTHING, Parts, lengthened
from trioworker.errors import ConfigError
from trioworker.worker.config import ReasoningMode
from trioworker.worker.state.records import CallOutcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION: Final = 1
"""Counted up by a change that an older program would misread."""
MAX_CASSETTE_BYTES = 1024 * 1024 * 1024
"""As a journal's: 500 iterations of 1 MB each come to half of it."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower, omit_defaults=True):
    """The base of all lines; the tag is the name in small letters."""


class Header(Line, frozen=True, kw_only=True, tag="cassette", omit_defaults=False):
    """The first line."""

    version: int = VERSION
    job_id: str
    orchestrator_url: str
    title: str
    description: str
    max_iterations: int
    reasoning: ReasoningMode
    context_limit: int
    timeout: float


class Request(Line, frozen=True):
    """The model was asked. `body` is JSON; what can't be taken apart is `text`, all of it."""

    path: str
    kept: int = 0
    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None


class Reply(Line, frozen=True):
    """How that ended, retries included: the last answer, of status 0 if there was none."""

    status: int
    seconds: Seconds
    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None

    @property
    def content(self) -> bytes:
        """The body as it came."""
        return bytes(self.body) if self.text is None else self.text.encode()


class Prompt(Line, frozen=True):
    """A follow-up joined the conversation, in the request that comes next."""

    content: str


class Call(Line, frozen=True, omit_defaults=False):
    """A tool call and its answer; one that did not run was answered without the tool."""

    id: str
    name: str
    arguments: msgspec.Raw
    ran: bool
    outcome: CallOutcome
    seconds: Seconds
    output: str


class End(Line, frozen=True, omit_defaults=False):
    """How the job ended."""

    status: Status
    message: str
    iterations: int


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the model, `prompts` that joined it, and the reply; None where the job ended before one came."""

    path: str
    request: bytes
    prompts: tuple[str, ...] = ()
    reply: Reply | None = None


class Cassette(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded job."""

    name: str
    header: Header
    exchanges: tuple[Exchange, ...]
    calls: tuple[Call, ...]
    end: End


AnyLine = Header | Request | Reply | Prompt | Call | End

encode_line = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyLine).decode
_kind = msgspec.json.Decoder(dict[str, Any]).decode


def load_cassette(path: Path) -> Cassette:
    """Read a cassette.

    Raises:
        ConfigError: it can't be read, is none, is of a newer version, or stops before its job's end.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CASSETTE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a cassette that `--record` wrote") from error
    if len(content) > MAX_CASSETTE_BYTES:
        raise ConfigError(f"{path}: over {MAX_CASSETTE_BYTES} bytes, which no cassette has")
    return read_cassette(content, str(path))


def read_cassette(content: bytes, name: str) -> Cassette:
    """A cassette from its bytes; `name` is for the errors, which are those of `load_cassette`."""
    first, *others = content.split(b"\n")
    header = read_header(first, name)
    lines = list(_lines(others, name))
    if not (lines and isinstance(lines[-1], End)):
        raise ConfigError(f"{name}: the recording stops before its job's end; record the job again")
    return Cassette(
        name=name,
        header=header,
        exchanges=tuple(_exchanges(lines, name)),
        calls=tuple(line for line in lines if isinstance(line, Call)),
        end=lines[-1],
    )


def read_header(line: bytes, name: str) -> Header:
    """The first line of a cassette.

    Raises:
        ConfigError: it is none, or that of a newer version.
    """
    try:
        fields = _kind(line)
        if fields.get("kind") == "cassette" and isinstance(version := fields.get("version"), int) and version > VERSION:
            raise ConfigError(
                f"{name}: a cassette of format {version}, newer than this program; use a newer trioworker"
            )
        header = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is no cassette; name a file that `--record` wrote") from error
    if not isinstance(header, Header):
        raise ConfigError(f"{name} is no cassette; name a file that `--record` wrote")
    return header


def _lines(lines: list[bytes], name: str) -> Iterator[AnyLine]:
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            yield _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == len(lines) + 1:
                # Killed in a write.
                raise ConfigError(f"{name}: torn at line {number}, its last; record the job again") from error
            raise ConfigError(f"{name}:{number}: {error}; record the job again") from error


def _exchanges(lines: list[AnyLine], name: str) -> Iterator[Exchange]:
    """One asked again after a restart, without a reply the first time, is one."""
    before = NOTHING
    prompts: tuple[str, ...] = ()
    asked: Exchange | None = None
    for line in lines:
        match line:
            case Prompt():
                prompts += (line.content,)
            case Request():
                before = _parts(line, before, name)
                prompts = (asked.prompts if asked else ()) + prompts
                asked = Exchange(path=line.path, request=before.whole, prompts=prompts)
                prompts = ()
            case Reply() if asked is not None:
                yield msgspec.structs.replace(asked, reply=line)
                asked = None
            case _:
                continue
    if asked is not None:
        yield asked


def _parts(line: Request, before: Parts, name: str) -> Parts:
    if line.text is not None:
        return Parts(line.text.encode())
    try:
        return lengthened(line.kept, bytes(line.body), before)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{name}: {error}; record the job again") from error
