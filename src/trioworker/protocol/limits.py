"""Limits for everything that comes from outside, and their reasons. The tools define their own limits.

Sizes are in bytes unless the name says otherwise.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

MAX_REPLY_BYTES = 1 * MIB
"""A response of the orchestrator, except the model's replies: jobs, credentials and prompts are written by people."""
MAX_LLM_REPLY_BYTES = 16 * MIB
"""A reply of the model. It may write a file of 5 MiB, each byte of which takes up to three bytes of JSON. A text of
this size takes up to four times as much memory: one emoji makes each of its characters 32 bits wide.
"""
MAX_REQUEST_BYTES = 1_900_000
"""The body of a request. The orchestrator refuses bodies over 2 MB (contract, 'HTTP')."""
REQUEST_RESERVE_BYTES = 64 * KIB
"""The part of a request that is not messages: the tools' schemas and the other fields."""
MAX_PROMPT_BYTES = 400_000
"""The job's text, or a follow-up. The opening is never compacted and must leave room in a request for some turns."""
MAX_WAITING_FOLLOW_UPS = 16
"""Follow-ups that wait for the reasoner before polling pauses. Further ones stay at the orchestrator."""
MAX_CALLS = 64
"""Calls accepted from one reply. Models make a dozen; a turn of this many fits into a request once compacted."""
MAX_TOOL_THREADS = 64
"""Concurrent threads of tools: as many as a reply may have calls. A tool waits for a free one within its time-out."""
MAX_CONCURRENT_CALLS = 8
"""Calls that run concurrently, each of which may need some ten MB. A call that waits for its turn doesn't time out."""
MAX_NAME_BYTES = 128
"""A tool's name: twice what providers allow. A longer one is cut, and matches no tool."""
MAX_ID_BYTES = 8 * KIB
"""A call's id: some gateways put a provider's signature into it. A longer one is replaced."""
MAX_DEPTH = 100
"""Levels of nesting in a call's arguments, far below what exhausts an encoder's stack."""
MAX_ARGUMENTS_BYTES = 6 * MIB
"""The arguments of one call, as JSON: the write limit of 5 MiB, plus escapes and the other fields."""
MAX_KEPT_OUTPUT_BYTES = 200_000
"""A tool's output as the job stores it, and the message of the report: more than anyone reads."""
MAX_OUTPUT_FILES_BYTES = 64 * MIB
"""Total size of the files with full outputs of a job (contract, 'Tools'): an eighth of a container's /tmp."""
MIN_OUTPUT_FILE_BYTES = 4 * KIB
"""Size above which an output that no call could produce again is kept in a file; a shorter one is cheap to resend."""
MESSAGE_PREVIEW_BYTES = 2_000
INPUT_PREVIEW_BYTES = 500
OUTPUT_PREVIEW_BYTES = 2_000
TAIL_PREVIEW_BYTES = 2_000
ERROR_PREVIEW_BYTES = 500
DIFF_PREVIEW_BYTES = 8_000
"""Previews in events (contract, 'Events')."""
DEFAULT_EVENT_QUEUE = 10_000
"""Events in the outbox before reasoning and tools wait for their delivery: about 30 MB, more than most jobs have."""
DEFAULT_CONTEXT_TOKENS = 100_000
"""Default limit of a request and its reply in tokens. With 128,000 tokens, it leaves a margin for estimation errors."""
BYTES_PER_TOKEN = 4
"""The estimate until the first reply; for English and code, it is accurate within a third."""
MAX_FRAME_BYTES = 128 * MIB
"""A frame of a journal: several times the largest reply with its calls. A greater length means damage."""
MAX_JOURNAL_BYTES = 1024 * MIB
"""A journal: twice what 500 iterations of 1 MB take. Beyond it, the job continues without recording."""
