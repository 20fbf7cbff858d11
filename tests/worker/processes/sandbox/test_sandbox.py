"""Real commands try to write outside the sandbox, on the kernel of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from support.identity import JOB_ID, TOKEN
from support.sandboxes import needs_landlock, needs_scopes
from trioworker.linux import landlock
from trioworker.worker.config import WorkerConfig
from trioworker.worker.processes.processes import Processes
from trioworker.worker.processes.sandbox.sandbox import open_sandbox
from worker.processes.sandbox.conftest import LIMIT

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trioworker.worker.processes.sandbox.sandbox import Sandbox
    from worker.processes.sandbox.conftest import OpenSandboxed

pytestmark = needs_landlock

WRITES_OUTSIDE = {
    "write": "echo hacked > $OUT/victim",
    "append": "echo hacked >> $OUT/victim",
    "make": "echo new > $OUT/new",
    "remove": "rm -f $OUT/victim",
    "truncate": "truncate -s 0 $OUT/victim",
    "truncate-by-path": f"{sys.executable} -c \"import os; os.truncate('$OUT/victim', 0)\"",
    "folder": "mkdir $OUT/new",
    "link": "ln -s /etc/passwd $OUT/new",
    "move-out": "echo hacked > file; mv file $OUT/victim",
    "move-in": "mv $OUT/victim taken",
    "rename": "cd $OUT && mv victim new",
    "through-a-link": "ln -s $OUT here; echo hacked > here/victim",
    "through-a-hard-link": "ln $OUT/victim here && echo hacked > here",
    "through-proc": "echo hacked > /proc/self/root$OUT/victim",
    "through-another-process": "sleep 9 & echo hacked > /proc/$!/root$OUT/victim; kill $!",
    "from-a-folder-beside": "cd $OUT && echo hacked > ./victim",
    "in-the-background": "(setsid sh -c 'echo hacked > $OUT/victim; : > f' &); until [ -e f ]; do sleep 0.02; done",
    "without-environment": 'env -i sh -c "echo hacked > $OUT/victim"',
    "by-a-script": 'printf "#!/bin/sh\\necho hacked > $OUT/victim\\n" > run; chmod +x run; ./run',
    "socket": f"{sys.executable} -c \"import socket; socket.socket(socket.AF_UNIX).bind('$OUT/new')\"",
    "fifo": "mkfifo $OUT/new",
}
PRIVILEGED = {
    "user-namespace": 'unshare -Ur sh -c "echo hacked > $OUT/victim"',
    "bind-mount": 'mkdir m; unshare -Urm sh -c "mount --bind $OUT m; echo hacked > m/victim"',
    "mount-as-we-are": "mkdir m; mount --bind $OUT m && echo hacked > m/victim",
    "device": "mknod disk b 7 0 && echo hacked > $OUT/victim",
}
"""Needs rights that this user may not have; denied in the sandbox for every user."""


def is_untouched(folder: Path) -> bool:
    return os.listdir(folder) == ["victim"] and (folder / "victim").read_text() == "safe"


@pytest.mark.parametrize("script", [*WRITES_OUTSIDE.values(), *PRIVILEGED.values()], ids=[*WRITES_OUTSIDE, *PRIVILEGED])
async def test_no_command_writes_outside(script: str, sandboxed: OpenSandboxed, outside: Path) -> None:
    async with sandboxed() as run:
        await run(script, OUT=outside)
    assert is_untouched(outside)


@pytest.mark.parametrize("script", WRITES_OUTSIDE.values(), ids=WRITES_OUTSIDE)
async def test_without_a_sandbox_each_of_these_commands_writes_outside(
    script: str, sandboxed: OpenSandboxed, outside: Path
) -> None:
    async with sandboxed(containment="off") as run:
        await run(script, OUT=outside)
    assert not is_untouched(outside)


async def test_a_denied_write_is_an_ordinary_error(sandboxed: OpenSandboxed, outside: Path) -> None:
    async with sandboxed() as run:
        ended = await run("echo hacked > $OUT/victim; echo went on", OUT=outside)
    assert "Permission denied" in ended.output
    assert ended.output.endswith("went on\n")


async def test_reading_is_not_restricted(sandboxed: OpenSandboxed, outside: Path) -> None:
    async with sandboxed() as run:
        assert (await run("cat $OUT/victim", OUT=outside)).output == "safe"
        assert (await run("ls $OUT", OUT=outside)).output == "victim\n"


WORK = {
    "files": "mkdir -p a/b && echo x > a/b/file && mv a/b/file a/file && ln a/file b && rm -r a b",
    "links-and-pipes": "ln -s nowhere link && mkfifo pipe && rm link pipe",
    "moves-between-folders": "mkdir a b && mkdir a/c && mv a/c b/c && mv b d && [ -d d/c ]",
    "temporary": "file=$(mktemp) && echo x > $file && rm $file",
    "devices": "echo x > /dev/null && echo x > /dev/stdout && echo x > /dev/stderr && head -c 1 /dev/zero > /dev/null",
    "shared-memory": f"{sys.executable} -c 'import multiprocessing; multiprocessing.Lock()'",
    "pseudo-terminals": f"{sys.executable} -c 'import os; m, s = os.openpty(); os.write(s, b\"x\")'",
    "here-documents": "cat <<END\ntext\nEND",
    "pipes": "yes | head -n 3 | wc -l",
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
async def test_ordinary_work_succeeds(work: str, sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        ended = await run(work)
    assert ended.exit_code == 0, ended.output


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_git_works(sandboxed: OpenSandboxed) -> None:
    identity = "-c user.name=a -c user.email=a@b"
    async with sandboxed() as run:
        script = f"git init -q . && echo x > f && git add f && git {identity} commit -qm x && git gc -q && git status"
        ended = await run(script, HOME="/nonexistent")
    assert ended.exit_code == 0, ended.output
    assert "nothing to commit" in ended.output


async def test_allow_write_permits_a_folder(sandboxed: OpenSandboxed, outside: Path) -> None:
    async with sandboxed(allow_write=(outside,)) as run:
        assert (await run("echo x > $OUT/new && rm $OUT/victim", OUT=outside)).exit_code == 0
    assert os.listdir(outside) == ["new"]


async def test_allow_write_permits_a_single_file(sandboxed: OpenSandboxed, outside: Path) -> None:
    async with sandboxed(allow_write=(outside / "victim",)) as run:
        assert (await run("echo changed > $OUT/victim", OUT=outside)).exit_code == 0
        assert (await run("echo x > $OUT/new", OUT=outside)).exit_code != 0
    assert (outside / "victim").read_text() == "changed\n"


WORKER_MEMORY = """
for thread in /proc/$WORKER/task/*; do
    for way in mem fd/0; do
        head -c 0 $thread/$way 2>/dev/null && echo "reached $thread/$way"
    done
    (: >> $thread/mem) 2>/dev/null && echo "reached $thread/mem to write"
done
echo tried
"""


async def test_no_command_reads_the_workers_memory(sandboxed: OpenSandboxed) -> None:
    """Nor of any of its threads: none of them is in the commands' Landlock domain."""
    async with sandboxed() as run:
        ended = await run(WORKER_MEMORY, WORKER=os.getpid())
    assert ended.output == "tried\n"


WORKER_SIGNALS = """
for thread in /proc/$WORKER/task/*; do
    kill -0 ${thread##*/} 2>/dev/null && echo "reached ${thread##*/}"
done
echo tried
"""


@needs_scopes
async def test_no_command_signals_the_worker(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        ended = await run(WORKER_SIGNALS, WORKER=os.getpid())
    assert ended.output == "tried\n"


async def test_without_a_sandbox_commands_signal_the_worker(sandboxed: OpenSandboxed) -> None:
    async with sandboxed(containment="off") as run:
        ended = await run(WORKER_SIGNALS, WORKER=os.getpid())
    assert f"reached {os.getpid()}\n" in ended.output


async def test_commands_signal_processes_of_earlier_calls(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        server = (await run("sleep 60 & echo $!")).output.strip()
        ended = await run("kill $SERVER", SERVER=server)
        assert (ended.exit_code, ended.output) == (0, "")


async def test_commands_cannot_gain_privileges(sandboxed: OpenSandboxed) -> None:
    async with sandboxed() as run:
        assert "NoNewPrivs:\t1\n" in (await run("cat /proc/self/status")).output


def offering(version: int, workspace: Path) -> AbstractContextManager[Sandbox]:
    return open_sandbox(WorkerConfig(job_id=JOB_ID, token=TOKEN, workspace=workspace), offered=lambda: version)


@pytest.mark.skipif(landlock.version() < landlock.MAX_VERSION, reason="this kernel's Landlock is older")
def test_an_unknown_version_is_used_like_the_newest_known_one(workspace: Path) -> None:
    with offering(99, workspace) as sandbox:
        assert sandbox.landlock == landlock.MAX_VERSION


@pytest.mark.parametrize("version", range(landlock.MIN_VERSION, landlock.MAX_VERSION + 1))
async def test_every_supported_version_denies_writing_outside(version: int, workspace: Path, outside: Path) -> None:
    if landlock.version() < version:
        pytest.skip(f"this kernel has no Landlock {version}")
    script = "mkdir a b; echo x > a/f; mv a/f b/f && echo moved; echo hacked > $OUT/victim"
    variables = {"PATH": os.environ["PATH"], "OUT": str(outside)}
    directory = os.open(workspace, os.O_RDONLY)
    try:
        with offering(version, workspace) as sandbox:
            async with Processes(None, sandbox) as processes:
                ended = await processes.run(
                    ["sh", "-c", script], directory=directory, environment=variables, timeout=LIMIT
                )
    finally:
        os.close(directory)
    assert ended.output.startswith("moved\n")
    assert is_untouched(outside)
