"""What the client and the tool executor tell somebody who records the job. Most jobs have nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Tape(Protocol):
    """Takes down one exchange after the other; a job has one request to the model at a time."""

    def asking(self, path: str, body: bytes) -> AbstractContextManager[None]:
        """Around a request, all its attempts included."""
        ...

    def answered(self, status: int, body: bytes) -> None:
        """An attempt of that request was answered; the last answer is the one that counts."""
        ...

    def called(self, call_id: str, output: str) -> None:
        """A call is about to be answered with this, without its secrets and otherwise whole."""
        ...
