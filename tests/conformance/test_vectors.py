"""Every case of the contract's vectors, from the contract beside the checkout or from the copy in the fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from trioworker.protocol.text import COMPLETION_DENIALS, COMPLETION_PHRASES, signals_completion, truncate
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.redaction.secret_kinds import KINDS
from trioworker.worker.redaction.secrets import GRANTED_KINDS

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACT = REPOSITORY.parent / "shared" / "contract" / "vectors"
COPY = REPOSITORY / "tests" / "fixtures" / "contract" / "vectors"


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


class Completion(msgspec.Struct):
    phrases: tuple[str, ...]
    denials: tuple[str, ...]
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


class KindVector(msgspec.Struct):
    name: str
    action: str


class Secrets(msgspec.Struct):
    kinds: list[KindVector]


def vector(name: str) -> bytes:
    return ((CONTRACT if CONTRACT.is_dir() else COPY) / name).read_bytes()


COMPLETION = msgspec.json.decode(vector("completion.json"), type=Completion)
RECOVERY = msgspec.json.decode(vector("recovery.json"), type=RecoveryVectors)


@pytest.mark.skipif(not CONTRACT.is_dir(), reason="the contract is not beside this checkout")
def test_copy_equals_the_contract() -> None:
    contract = {path.name: path.read_bytes() for path in CONTRACT.iterdir()}
    assert {path.name: path.read_bytes() for path in COPY.iterdir()} == contract


@pytest.mark.parametrize("case", msgspec.json.decode(vector("truncate.json"), type=list[Cut]), ids=str)
def test_truncation_matches_the_vectors(case: Cut) -> None:
    assert truncate(case.text, case.max) == case.want


@pytest.mark.parametrize("case", msgspec.json.decode(vector("cleaning.json"), type=list[Cleaning]), ids=str)
def test_cleaning_matches_the_vectors(case: Cleaning) -> None:
    assert clean(case.text) == case.want


@pytest.mark.parametrize("case", COMPLETION.cases, ids=str)
def test_completion_matches_the_vectors(case: CompletionCase) -> None:
    assert signals_completion(case.text) is case.done


def test_phrases_and_denials_are_the_vectors() -> None:
    assert (COMPLETION.phrases, COMPLETION.denials) == (COMPLETION_PHRASES, COMPLETION_DENIALS)


@pytest.mark.parametrize("phrase", COMPLETION.phrases)
def test_every_phrase_signals_completion(phrase: str) -> None:
    assert signals_completion(f"Well, {phrase}.")


@pytest.mark.parametrize("denial", COMPLETION.denials)
def test_every_denial_revokes_completion(denial: str) -> None:
    assert not signals_completion(f"The job is done. A part is {denial}.")


@pytest.mark.parametrize("case", RECOVERY.cases, ids=lambda case: case.text)
def test_recovery_matches_the_vectors(case: RecoveryCase) -> None:
    recovery = recover_calls(case.text, RECOVERY.tools, frozenset[str]())
    assert [Call(call.id, call.name, call.arguments) for call in recovery.calls] == case.calls
    assert recovery.rest == case.rest


def test_kinds_of_secrets_and_their_actions_are_the_vectors() -> None:
    vectors = msgspec.json.decode((COPY.with_name("vectors-next") / "secrets.json").read_bytes(), type=Secrets)
    ours = {kind.name: "warn" if kind.warn_only else "redact" for kind in KINDS}
    ours |= dict.fromkeys(GRANTED_KINDS, "redact")
    assert ours == {kind.name: kind.action for kind in vectors.kinds}
