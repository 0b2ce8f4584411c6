"""Every planted fault gets the expected reason, and nothing that is clean is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Filters, PairFilters
from alma_cli.data.cleaning import Cleaner
from alma_cli.data.reasons import REASONS
from alma_cli.data.records import Pair
from tests.data.planted import CLEAN, CLEAN_DOCUMENTS, DOCUMENT_FAULTS, FAULTS, READER_FAULTS, Planted


def as_pair(planted: Planted) -> Pair:
    return Pair(Direction.parse(planted.direction), planted.source, planted.target)


def test_each_planted_pair_gets_its_reason() -> None:
    faults = [fault for fault in FAULTS if fault.stage == "cleaning"]
    cleaned = Cleaner(PairFilters(), "train")([as_pair(fault) for fault in faults])
    found = [(fault.kind, fault.direction, reason) for fault, reason in zip(faults, cleaned.reasons, strict=True)]
    assert found == [(fault.kind, fault.direction, fault.reason) for fault in faults]


def test_no_clean_pair_is_lost() -> None:
    cleaned = Cleaner(PairFilters(), "train")([as_pair(clean) for clean in CLEAN])
    assert [
        (clean.source, clean.target, reason)
        for clean, reason in zip(CLEAN, cleaned.reasons, strict=True)
        if reason is not None
    ] == []


def test_each_planted_document_gets_its_reason() -> None:
    cleaned = Cleaner(Filters(), "train")([Document(fault.language, fault.text) for fault in DOCUMENT_FAULTS])
    found = [
        (fault.kind, fault.language, reason) for fault, reason in zip(DOCUMENT_FAULTS, cleaned.reasons, strict=True)
    ]
    assert found == [(fault.kind, fault.language, fault.reason) for fault in DOCUMENT_FAULTS]


@pytest.mark.parametrize("clean", CLEAN_DOCUMENTS, ids=lambda clean: f"{clean.language} {clean.kind}")
def test_no_clean_document_is_lost(clean) -> None:  # type: ignore[no-untyped-def]
    cleaned = Cleaner(Filters(), "train")([Document(clean.language, clean.text)])
    assert cleaned.reasons == [None]
    assert cleaned.records[0].text == (clean.left or clean.text)


def test_a_fault_is_found_in_whatever_company_it_comes() -> None:
    faults = [fault for fault in FAULTS if fault.stage == "cleaning"]
    clean = Cleaner(PairFilters(), "train")
    alone = [clean([as_pair(fault)]).reasons[0] for fault in faults]
    assert alone == [fault.reason for fault in faults]


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    kinds = {(fault.kind, fault.reason) for fault in (*FAULTS, *READER_FAULTS, *DOCUMENT_FAULTS)}
    languages = Counter(fault.direction for fault in FAULTS)
    assert len(kinds) >= 45
    assert len(CLEAN) >= 150
    assert len(languages) >= 5
    assert min(languages.values()) >= 10
    assert {fault.reason for fault in (*FAULTS, *READER_FAULTS, *DOCUMENT_FAULTS)} <= REASONS.keys()
