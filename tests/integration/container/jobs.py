"""The jobs of the container tests: the turns of the scripted model."""

from __future__ import annotations

from typing import Any

SHOW_SANDBOX = r"""
echo "user=$(id -u):$(id -g)"
echo "capabilities=$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)"
echo "no_new_privileges=$(sed -n 's/^NoNewPrivs:\s*//p' /proc/self/status)"
echo "tmp_mib=$(df --output=size --block-size=1M /tmp | tail -1 | tr -d ' ')"
echo "root=$(awk '$2 == "/" {print $4}' /proc/mounts | cut -d, -f1)"
echo "memory=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo unlimited)"
echo "token=$(grep -qsa WORKER_TOKEN= /proc/[0-9]*/environ && echo readable || echo hidden)"
"""
SANDBOX = {
    "user": "1000:1000",
    "capabilities": "0000000000000001",  # CHOWN is number 0
    "no_new_privileges": "1",
    "tmp_mib": "512",
    "token": "hidden",
}
WORK = (
    "gcc -o hello hello.c && ./hello && python3 --version && git init --quiet . && git add hello.c"
    " && git -c user.name=Test -c user.email=test@example.invalid commit --quiet --message Hello && git log --oneline"
)
HELLO = '#include <stdio.h>\nint main(void) { puts("hello from the container"); return 0; }\n'
COMPLETED_JOB: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "shell", "arguments": {"command": SHOW_SANDBOX}}]},
    {"tool_calls": [{"name": "write_file", "arguments": {"path": "hello.c", "content": HELLO}}]},
    {"tool_calls": [{"name": "shell", "arguments": {"command": WORK}}]},
    {"expect": r"(?s)hello from the container.* Hello$", "content": "It says hello.\n\nThe job is complete."},
]

ORPHANS = 3
ORPHAN = 'sleep 0.3; sed -n "s/^PPid:\\s*/parent=/p" /proc/$$/status'
LONG_SLEEP = ("sleep", "61")
STOPPED_JOB: list[dict[str, Any]] = [
    # Each orphan's parent ends at once; the orphan prints its new parent, and stays a zombie unless that reaps it.
    {
        "tool_calls": [
            {
                "name": "shell",
                "arguments": {
                    "command": f"for n in $(seq {ORPHANS}); do (setsid sh -c '{ORPHAN}' &) ; done; sleep 1",
                },
            },
        ],
    },
    {"tool_calls": [{"name": "shell", "arguments": {"command": " ".join(LONG_SLEEP)}}]},
]

# The scripted model repeats the interrupted call; if the worker repeated it too, there would be three runs.
ONCE = f'echo run >> runs; n=$(wc -l < runs); test "$n" -gt 1 || {" ".join(LONG_SLEEP)}; echo "runs=$n"'
KILLED_JOB: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "shell", "arguments": {"command": ONCE}}]},
    {"expect": r"runs=2\b", "content": "The second run went through.\n\nThe job is complete."},
]
