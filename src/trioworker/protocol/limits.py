"""The walls: how large anything that comes from outside may be, and why. The tools' own limits stand with the tools.

All figures are bytes unless the name says otherwise.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

MAX_REPLY_BYTES = 1 * MIB
"""A reply of the orchestrator but the model's: jobs, credentials and prompts are texts that people wrote."""
MAX_LLM_REPLY_BYTES = 32 * MIB
"""A reply of the model: it may write a file of 5 MiB, each byte of which may take six as a JSON escape."""
MAX_REQUEST_BYTES = 1_900_000
"""A request's body. The orchestrator refuses bodies over 2 MB (contract, 'HTTP')."""
REQUEST_RESERVE_BYTES = 64 * KIB
"""What a request holds besides messages: the tools' schemas and its own fields."""
MAX_PROMPT_BYTES = 400_000
"""A job's text, or a follow-up: the opening, which is never folded, and some turns must fit one request."""
MAX_WAITING_FOLLOW_UPS = 16
"""Follow-ups that wait for the reasoner before polling pauses; the orchestrator keeps the others."""
MAX_CALLS = 64
"""Calls of one reply that are taken. Models ask for a dozen; a turn of this many still fits a request when folded."""
MAX_TOOL_THREADS = 64
"""Threads of tools at once: as many as one reply may have calls. A tool that finds none free waits, within its time-out."""
MAX_NAME_BYTES = 128
"""Bytes of a tool's name: twice what providers allow. A name beyond it is no tool's, and is cut."""
MAX_ID_BYTES = 8 * KIB
"""Bytes of a call's id: some gateways carry a provider's signature in it. One beyond it is replaced by one of ours."""
MAX_DEPTH = 100
"""Lists and objects inside each other in a call's arguments: far from where encoders run out of stack."""
MAX_ARGUMENTS_BYTES = 6 * MIB
"""One call's arguments as JSON: the write limit of 5 MiB, and room for escapes and the other fields."""
MAX_KEPT_OUTPUT_BYTES = 200_000
"""A tool's output as the job's own, and the message of the last report: more than anyone reads."""
MAX_SHOWN_OUTPUT_BYTES = 100_000
"""A tool's output as the model sees it; more loses its middle."""
MESSAGE_PREVIEW_BYTES = 2_000
INPUT_PREVIEW_BYTES = 500
OUTPUT_PREVIEW_BYTES = 2_000
ERROR_PREVIEW_BYTES = 500
"""Previews in events (contract, 'Events')."""
DEFAULT_EVENT_QUEUE = 256
"""Events that may wait for shipping before reasoning and tools are held back."""
DEFAULT_CONTEXT_TOKENS = 100_000
"""The conversation, estimated: what models of 128,000 tokens take with room for a reply."""
BYTES_PER_TOKEN = 4
"""The estimate: it holds for English and code within a third, which is what a limit with room needs."""
MAX_FRAME_BYTES = 128 * MIB
"""One frame of a journal: several times the largest reply with its calls; a length beyond it is damage."""
MAX_JOURNAL_BYTES = 1024 * MIB
"""A journal. 500 iterations of 1 MB each come to half of it; beyond it, the job goes on unrecorded."""
