"""The file format of a cassette: JSON Lines, in the order in which things happened.

The first line describes the job and the options that shape its requests. It is followed by `request` and `reply`
lines, a `call` for each tool call with its output, a `prompt` where a follow-up joined the conversation, and the `end`.
A request holds what is new since the one before: `kept` is the number of messages that both share, and `"="` stands
for a field whose value is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from trioworker.cassette.bodies import NO_PARTS, BodyParts, restore
from trioworker.errors import ConfigError
from trioworker.protocol.values import http_url
from trioworker.worker.config import DEFAULT_MAX_TOKENS, ReasoningMode
from trioworker.worker.state.records import CallOutcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION: Final = 1
"""Incremented by a change that an older program would misread."""
MAX_CASSETTE_BYTES = 1024 * 1024 * 1024
"""The limit of a journal: 500 iterations of 1 MB each take half of it."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class CassetteLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """The base of all lines. Tags are part of the file format; class names are not."""


class CassetteHeader(CassetteLine, frozen=True, kw_only=True, tag="cassette", omit_defaults=False):
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
    token_budget: int | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS


class RecordedRequest(CassetteLine, frozen=True, tag="request"):
    """A request to the model. `body` is JSON; a body that isn't an object with messages is stored whole, as `text`."""

    path: str
    kept: int = 0
    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None


class RecordedReply(CassetteLine, frozen=True, tag="reply"):
    """The last response to the request, retries included. Status 0: there was none."""

    status: int
    seconds: Seconds
    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None

    @property
    def content(self) -> bytes:
        """The body as it was received."""
        return bytes(self.body) if self.text is None else self.text.encode()


class RecordedPrompt(CassetteLine, frozen=True, tag="prompt"):
    """A follow-up that joined the conversation in the next request."""

    content: str


class RecordedCall(CassetteLine, frozen=True, tag="call", omit_defaults=False):
    """A tool call and its output. `ran` is false if the call was answered without running the tool.

    `exit_code` is the exit code of a command, and `diff` shows the changes to files.
    """

    id: str
    name: str
    arguments: msgspec.Raw
    ran: bool
    outcome: CallOutcome
    seconds: Seconds
    output: str
    exit_code: int | None = None
    diff: str = ""


class RecordedEnd(CassetteLine, frozen=True, tag="end", omit_defaults=False):
    """The outcome of the job."""

    status: Status
    message: str
    iterations: int


class RecordedExchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the model, the `prompts` that joined it, and the reply; None if the job ended before one came."""

    path: str
    request: bytes
    prompts: tuple[str, ...] = ()
    reply: RecordedReply | None = None


class Cassette(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded job.

    Attributes:
        name: the file that it was read from, for errors.
        header: the job, and the options that shape its requests.
        exchanges: the requests to the model and their replies, in order.
        calls: the tool calls and their outputs, in order.
        end: the outcome of the job.
    """

    name: str
    header: CassetteHeader
    exchanges: tuple[RecordedExchange, ...]
    calls: tuple[RecordedCall, ...]
    end: RecordedEnd


AnyCassetteLine = CassetteHeader | RecordedRequest | RecordedReply | RecordedPrompt | RecordedCall | RecordedEnd

encode_line = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyCassetteLine).decode
_kind = msgspec.json.Decoder(dict[str, Any]).decode


def load_cassette(path: Path) -> Cassette:
    """Read a cassette.

    Raises:
        ConfigError: it can't be read, isn't a cassette, has a newer format, or stops before its job's end.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CASSETTE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a cassette that `--record` wrote") from error
    if len(content) > MAX_CASSETTE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_CASSETTE_BYTES} bytes, the limit of a cassette")
    return read_cassette(content, str(path))


def read_cassette(content: bytes, name: str) -> Cassette:
    """Parse a cassette; `name` is for the errors, which are those of `load_cassette`."""
    first, *others = content.split(b"\n")
    header = read_header(first, name)
    lines = list(_lines(others, name))
    if not (lines and isinstance(lines[-1], RecordedEnd)):
        raise ConfigError(f"{name}: the recording stops before its job's end; record the job again")
    return Cassette(
        name=name,
        header=header,
        exchanges=tuple(_exchanges(lines, name)),
        calls=tuple(line for line in lines if isinstance(line, RecordedCall)),
        end=lines[-1],
    )


def read_header(line: bytes, name: str) -> CassetteHeader:
    """Parse the first line of a cassette.

    Raises:
        ConfigError: it isn't one, or has a newer format.
    """
    try:
        fields = _kind(line)
        if fields.get("kind") == "cassette" and isinstance(version := fields.get("version"), int) and version > VERSION:
            raise ConfigError(
                f"{name}: a cassette of format {version}, newer than this program; use a newer trioworker"
            )
        header = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not a cassette; name a file that `--record` wrote") from error
    if not isinstance(header, CassetteHeader):
        raise ConfigError(f"{name} is not a cassette; name a file that `--record` wrote")
    try:
        http_url(header.orchestrator_url)
    except ValueError as error:
        url = header.orchestrator_url[:200]
        raise ConfigError(f"{name}: orchestrator_url: {url!r} is not {error}; record the job again") from error
    return header


def _lines(lines: list[bytes], name: str) -> Iterator[AnyCassetteLine]:
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            yield _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == len(lines) + 1:
                # The worker was killed during a write.
                raise ConfigError(f"{name}: the last line, {number}, is incomplete; record the job again") from error
            raise ConfigError(f"{name}:{number}: {error}; record the job again") from error


def _exchanges(lines: list[AnyCassetteLine], name: str) -> Iterator[RecordedExchange]:
    """Pair requests and replies. A request that was repeated after a restart, before its reply came, counts once."""
    before = NO_PARTS
    prompts: tuple[str, ...] = ()
    pending: RecordedExchange | None = None
    for line in lines:
        match line:
            case RecordedPrompt():
                prompts += (line.content,)
            case RecordedRequest():
                before = _parts(line, before, name)
                prompts = (pending.prompts if pending else ()) + prompts
                pending = RecordedExchange(path=line.path, request=before.whole, prompts=prompts)
                prompts = ()
            case RecordedReply() if pending is not None:
                yield msgspec.structs.replace(pending, reply=line)
                pending = None
            case _:
                continue
    if pending is not None:
        yield pending


def _parts(line: RecordedRequest, before: BodyParts, name: str) -> BodyParts:
    if line.text is not None:
        return BodyParts(line.text.encode())
    try:
        return restore(line.kept, bytes(line.body), before)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{name}: {error}; record the job again") from error
