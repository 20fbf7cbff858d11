"""The jobs to record: the description and files of each, and what happens while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

# Assembled at run time, so that secret scanners don't report this file.
KEY = "-".join(("sk", "proj", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2m"))

MEDIANS = '''\
def median(values):
    """The value in the middle."""
    values.sort()
    return values[len(values) // 2]
'''

CHECK = """\
from medians import median

for values, wanted in (([3, 1, 2], 2), ([4, 1, 3, 2], 2.5)):
    found = median(values)
    print("ok  " if found == wanted else "FAIL", f"median is {found}, wanted {wanted}")
    if found != wanted:
        raise SystemExit(1)
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job. When a line with `when` is printed, `say` is typed, or the job is stopped if `stop` is set."""

    text: str
    code: int = 0
    options: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict[str, str])
    when: str = ""
    say: str = ""
    stop: bool = False


JOBS = {
    "fix-a-bug": Job(
        text="median is wrong for an even number of values. Fix it; check.py shows whether it is right.",
        files={"medians.py": MEDIANS, "check.py": CHECK},
    ),
    "follow-up": Job(
        text="Write a haiku about rain into rain.txt.",
        when="> shell",
        say="And one about snow, into snow.txt.",
    ),
    "two-phases": Job(
        text="How many lines has notes.txt?",
        options=("--reasoning", "two-phase"),
        files={"notes.txt": "one\ntwo\nthree\n"},
    ),
    "a-call-that-keeps-failing": Job(
        text="Show the settings.",
        options=("--max-iterations", "7"),
        code=1,
    ),
    "calls-written-as-text": Job(
        text="Is there a licence?",
        files={"LICENSE": "Do as you like.\n"},
    ),
    "a-secret-in-an-output": Job(
        text="Which variables does the service need?",
        files={".env": f"API_KEY={KEY}\nPORT=8080\n"},
    ),
    "out-of-time": Job(
        text="Wait for the build.",
        options=("--timeout", "3"),
        code=1,
    ),
    "stopped": Job(
        text="Watch the log.",
        code=4,
        when="> shell",
        stop=True,
    ),
}
