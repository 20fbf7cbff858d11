"""Every case of the contract's vectors, from the contract beside the checkout or from the copy in the fixtures.

Where `vectors` and `vectors-next` have a file of one name, the newer one holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from trioworker.protocol import wire
from trioworker.protocol.text import (
    AGREED_PHRASES,
    COMPLETION_DENIALS,
    COMPLETION_PHRASES,
    FAILURE_PHRASES,
    NEXT_STEPS,
    signals_completion,
    signals_failure,
    truncate,
)
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.llm.interpretation import Context, interpret
from trioworker.worker.redaction.secret_kinds import KINDS
from trioworker.worker.redaction.secrets import GRANTED_KINDS
from trioworker.worker.state.records import LoopState

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACT = REPOSITORY.parent / "shared" / "contract"
COPY = REPOSITORY / "tests" / "fixtures" / "contract"
FOLDERS = ("vectors-next", "vectors")


class Cut(msgspec.Struct):
    text: str
    max: int
    want: str


class Cleaning(msgspec.Struct):
    text: str
    want: str


class CompletionCase(msgspec.Struct):
    text: str
    done: bool
    failed: bool = False


class Completion(msgspec.Struct):
    phrases: tuple[str, ...]
    denials: tuple[str, ...]
    next_steps: tuple[str, ...]
    failures: tuple[str, ...]
    agreed: tuple[str, ...]
    cases: list[CompletionCase]


class Call(msgspec.Struct):
    id: str
    name: str
    arguments: dict[str, Any]


class RecoveryCase(msgspec.Struct):
    text: str
    calls: list[Call]
    rest: str


class RecoveryVectors(msgspec.Struct):
    tools: tuple[str, ...]
    cases: list[RecoveryCase]


class MarkupCall(msgspec.Struct):
    name: str
    arguments: dict[str, Any]


class MarkupCase(msgspec.Struct):
    name: str
    text: str
    calls: list[MarkupCall]
    told: str = ""


class MarkupVectors(msgspec.Struct):
    cases: list[MarkupCase]


class KindVector(msgspec.Struct):
    name: str
    action: str


class Secrets(msgspec.Struct):
    kinds: list[KindVector]


def vector(name: str) -> bytes:
    root = CONTRACT if CONTRACT.is_dir() else COPY
    return next(path for folder in FOLDERS if (path := root / folder / name).is_file()).read_bytes()


COMPLETION = msgspec.json.decode(vector("completion.json"), type=Completion)
CLEANING = [
    *msgspec.json.decode(vector("cleaning.json"), type=list[Cleaning]),
    *msgspec.json.decode(vector("cleaning_thoughts.json"), type=list[Cleaning]),
]
MARKUP = msgspec.json.decode(vector("call_markup.json"), type=MarkupVectors)
RECOVERY = msgspec.json.decode(vector("recovery.json"), type=RecoveryVectors)


@pytest.mark.skipif(not CONTRACT.is_dir(), reason="the contract is not beside this checkout")
@pytest.mark.parametrize("folder", FOLDERS)
def test_copy_equals_the_contract(folder: str) -> None:
    contract = {path.name: path.read_bytes() for path in (CONTRACT / folder).iterdir()}
    assert {path.name: path.read_bytes() for path in (COPY / folder).iterdir()} == contract


@pytest.mark.parametrize("case", msgspec.json.decode(vector("truncate.json"), type=list[Cut]), ids=str)
def test_truncation_matches_the_vectors(case: Cut) -> None:
    assert truncate(case.text, case.max) == case.want


@pytest.mark.parametrize("case", CLEANING, ids=str)
def test_cleaning_matches_the_vectors(case: Cleaning) -> None:
    assert clean(case.text) == case.want


@pytest.mark.parametrize("case", COMPLETION.cases, ids=str)
def test_completion_matches_the_vectors(case: CompletionCase) -> None:
    assert signals_completion(case.text) is case.done
    assert signals_failure(case.text) is case.failed


def test_phrases_equal_the_vectors() -> None:
    assert (COMPLETION.phrases, COMPLETION.denials) == (COMPLETION_PHRASES, COMPLETION_DENIALS)
    assert (COMPLETION.next_steps, COMPLETION.agreed) == (NEXT_STEPS, AGREED_PHRASES)
    assert COMPLETION.failures == FAILURE_PHRASES


@pytest.mark.parametrize("phrase", COMPLETION.phrases)
def test_every_phrase_signals_completion(phrase: str) -> None:
    assert signals_completion(f"Well, {phrase}.")


@pytest.mark.parametrize("denial", COMPLETION.denials)
def test_every_denial_revokes_completion(denial: str) -> None:
    assert not signals_completion(f"The job is done. A part is {denial}.")


@pytest.mark.parametrize("step", COMPLETION.next_steps)
@pytest.mark.parametrize("phrase", COMPLETION.phrases)
def test_next_step_revokes_every_phrase_that_is_not_agreed(phrase: str, step: str) -> None:
    assert signals_completion(f"Well, {phrase}. Now, {step} the printer.") is (phrase in COMPLETION.agreed)


@pytest.mark.parametrize("phrase", COMPLETION.failures)
def test_every_failure_phrase_signals_failure(phrase: str) -> None:
    assert signals_failure(f"I tried. {phrase}: there is no compiler.")
    assert not signals_failure(f"{phrase} so far. I try again.")


@pytest.mark.parametrize("case", RECOVERY.cases, ids=lambda case: case.text)
def test_recovery_matches_the_vectors(case: RecoveryCase) -> None:
    recovery = recover_calls(case.text, RECOVERY.tools, frozenset[str]())
    assert [Call(call.id, call.name, call.arguments) for call in recovery.calls] == case.calls
    assert recovery.rest == case.rest


@pytest.mark.parametrize("case", MARKUP.cases, ids=lambda case: case.name)
def test_call_markup_matches_the_vectors(case: MarkupCase) -> None:
    recovery = recover_calls(case.text, RECOVERY.tools, frozenset[str]())
    assert [MarkupCall(call.name, call.arguments) for call in recovery.calls] == case.calls
    reply = wire.Reply(content=case.text, finish_reason="stop")
    interpretation = interpret(reply, Context(tools=RECOVERY.tools, taken=(), loop_state=LoopState()))
    assert case.told in interpretation.note
    assert bool(case.told) == bool(interpretation.note)
    assert "empty" not in interpretation.note


def test_kinds_of_secrets_and_their_actions_are_the_vectors() -> None:
    vectors = msgspec.json.decode((COPY / "vectors-next" / "secrets.json").read_bytes(), type=Secrets)
    ours = {kind.name: "warn" if kind.warn_only else "redact" for kind in KINDS}
    ours |= dict.fromkeys(GRANTED_KINDS, "redact")
    # In addition to the contract's.
    assert ours.pop("url_password") == "redact"
    assert ours == {kind.name: kind.action for kind in vectors.kinds}
