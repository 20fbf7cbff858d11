"""Commands that leave a process behind, each by another trick. The process adds to the file `beat` while it lives.

The variable `TEST_PYTHON` names a Python that has our packages.
"""

from __future__ import annotations

import shlex

_BEAT = "while :; do echo . >> beat; sleep 0.02; done"
_SHELL = f"sh -c {shlex.quote(_BEAT)}"
_PYTHON = """\
import ctypes, os, signal, sys, threading, time

def beat():
    with open("beat", "a") as file:
        file.write(".\\n")

def beat_for_ever():
    while True:
        beat()
        time.sleep(0.02)
"""
_RELAY = """
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    beat()
    time.sleep({seconds})
"""
_TRACER = """
child = os.fork()
if not child:
    beat_for_ever()
libc = ctypes.CDLL(None)
libc.ptrace(0x4206, child, 0, 0)
while True:
    pid, status = os.waitpid(child, 0)
    if os.WIFSTOPPED(status):
        libc.ptrace(7, child, 0, 0)
"""
"""Seizes its child (PTRACE_SEIZE), and continues it (PTRACE_CONT) whenever it is stopped."""
_FORKING_THREADS = """
def fork_for_ever():
    while True:
        if not os.fork():
            beat()
            time.sleep(0.05)
            os._exit(0)
        time.sleep(0.02)
        os.waitpid(-1, os.WNOHANG)

for _ in range(4):
    threading.Thread(target=fork_for_ever).start()
"""
_WITHOUT_FIRST_THREAD = """
threading.Thread(target=beat_for_ever).start()
# Ends this thread alone.
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""
_FORK_BOMB = """
for generation in range(6):
    os.fork()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    if not os.fork():
        time.sleep(0.1)
        os._exit(0)
    beat()
    time.sleep(0.1)
    os.waitpid(-1, os.WNOHANG)
"""
_RENAMED = """
ctypes.CDLL(None).prctl(15, b") Z 1 1 1 (", 0, 0, 0)
beat_for_ever()
"""
_CONTINUED = """
os.setsid()
parent = os.getpid()
child = os.fork()
other = child or parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    beat()
    os.kill(other, signal.SIGCONT)
    time.sleep(0.005)
"""
_SUBREAPER = f"""
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork():
    time.sleep(300)
{_RELAY.format(seconds=0.01)}
"""
_NESTED = """
import trio
from trioworker.worker.processes.processes import Processes

async def main():
    async with Processes("nested@1.0") as processes:
        folder = os.open(".", os.O_RDONLY)
        command = ["sh", "-c", "setsid " + sys.argv[1] + " & sleep 300"]
        await processes.run(command, directory=folder, environment=dict(os.environ), timeout=300)

trio.run(main)
"""


def _python(program: str, *arguments: str, wrapper: str = "") -> str:
    return f"{wrapper} $TEST_PYTHON {shlex.join(['-c', _PYTHON + program, *arguments])} &"


def _marked(mark: str) -> str:
    return f"setsid env -i TRIOWORKER_CALL={mark} PATH=$PATH {_SHELL} &"


_KINDS = {
    "background": f"{_SHELL} &",
    "nohup": f"nohup {_SHELL} > /dev/null 2>&1 &",
    "disowned": f"bash -c {shlex.quote(f'{_SHELL} & disown')}",
    "session": f"setsid {_SHELL} &",
    "forked twice": f"(setsid sh -c {shlex.quote(f'(setsid {_SHELL} &)')} &)",
    "without environment": f"setsid env -i PATH=$PATH {_SHELL} &",
    "unreadable mark": _marked("job@1.0#x"),
    "huge mark": _marked(f"${{TRIOWORKER_CALL%#*}}#{'9' * 5000}"),
    "negative mark": _marked("${TRIOWORKER_CALL%#*}#-1"),
    "mark of another job": _marked("other@1.0#0"),
    "relay, 0.5 ms": _python(_RELAY.format(seconds=0.0005)),
    "relay, 5 ms": _python(_RELAY.format(seconds=0.005)),
    "relay, 60 ms": _python(_RELAY.format(seconds=0.06)),
    "relay without environment": _python(_RELAY.format(seconds=0.002), wrapper="setsid env -i"),
    "ignores SIGTERM": f"sh -c {shlex.quote(f'trap : TERM HUP INT; {_BEAT}')} &",
    "stopped": "setsid sh -c 'echo . >> beat; kill -STOP $$' &",
    "nested worker": _python(_NESTED, _SHELL),
    "floods the output": "(while :; do echo . >> beat; head -c 100000 /dev/zero; done) &",
    "traced": _python(_TRACER),
    "forking threads": _python(_FORKING_THREADS),
    "without its first thread": _python(_WITHOUT_FIRST_THREAD),
    "fork bomb": _python(_FORK_BOMB),
    "renamed": _python(_RENAMED),
    "continue each other": _python(_CONTINUED),
    "subreaper of a relay": _python(_SUBREAPER),
}

DAEMONS = {name: f"{command}\nuntil [ -s beat ]; do sleep 0.01; done" for name, command in _KINDS.items()}
"""Commands by the kind of the process that they leave behind. Each ends as soon as it runs."""

HARM = {
    "open files": "prlimit --pid $PPID --nofile=5:5",
    "CPU time": "prlimit --pid $PPID --cpu=1:1",
    "memory": "prlimit --pid $PPID --as=1000000",
    "processes": "prlimit --pid $PPID --nproc=1",
    "kill": "kill -KILL $PPID",
    "stop": "kill -STOP $PPID",
    "kill all": "kill -KILL -1",
}
"""Commands that would end or stop the worker."""
