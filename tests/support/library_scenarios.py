"""Code that uses a library, run under the cancel matrix, with what the library promises about it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trioworker.testing import cancel_matrix

if TYPE_CHECKING:
    from trioworker.testing import CancelMatrixReport


@dataclass(frozen=True)
class Defect:
    """A known defect of a library.

    Attributes:
        message: a part of the error of each failure; nothing else may fail.
        cause: the defective line of code and the reason, for the reader.
    """

    message: str
    cause: str


class Scenario:
    """One use of a library.

    Attributes:
        library: the name of its distribution.
        allowed: errors that the library may raise when it is cancelled, by its documentation.
        defect: what is known to go wrong in the installed version.
    """

    library: ClassVar[str]
    allowed: tuple[type[BaseException], ...] = ()
    defect: Defect | None = None

    async def body(self) -> None:
        """Create everything that is needed, and use the library."""
        raise NotImplementedError

    async def check(self) -> None:
        """Raise AssertionError if the library breaks a promise, whatever was cancelled."""

    @property
    def version(self) -> str:
        """The installed version of the library."""
        return importlib.metadata.version(self.library)

    def run(self) -> CancelMatrixReport:
        """Cancel the body at each checkpoint."""
        return cancel_matrix(self.body, invariant=self.check, allowed=self.allowed)

    def __str__(self) -> str:
        return f"{self.library}-{type(self).__name__}"


def verify(scenario: Scenario) -> None:
    """Check that exactly the known defect is found.

    Raises:
        AssertionError: something else failed, or the defect is fixed.
    """
    report = scenario.run()
    if scenario.defect is None:
        report.raise_if_failed()
        return
    others = [failure for failure in report.failures if scenario.defect.message not in errors_in(failure.error)]
    assert not others, "\n".join(map(str, others))
    assert report.failures, f"repaired: {scenario.library} {scenario.version} passes: remove the defect of {scenario}"


def errors_in(error: BaseException) -> str:
    """The messages of an error, or of all errors of a group."""
    group: Any = error
    return "\n".join(map(errors_in, group.exceptions)) if isinstance(error, BaseExceptionGroup) else repr(error)
