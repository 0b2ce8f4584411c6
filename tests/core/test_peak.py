"""The machine's measured rate of matrix products: a sane number, quickly, and nothing else changes."""

from __future__ import annotations

import time

import pytest
import torch

from alma_cli.core.model import precision_of
from alma_cli.core.peak import measured_peak_flops


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_peak_is_what_a_large_product_reaches(precision: str) -> None:
    known = precision_of(precision)
    operand = torch.randn(1024, 1024, dtype=known.dtype, device=known.device)
    operand @ operand
    started = time.perf_counter()
    float((operand @ operand)[0, 0])
    single = 2 * 1024**3 / (time.perf_counter() - started)

    peak = measured_peak_flops(known)

    assert 1e8 < peak < 1e16
    assert peak > single / 20  # loosely: other processes share the machine


def test_it_takes_no_more_than_a_moment() -> None:
    started = time.process_time()

    measured_peak_flops(precision_of("fp32"))

    assert time.process_time() - started < 2  # half a second on an idle machine


def test_random_numbers_stay_where_they_are() -> None:
    before = torch.get_rng_state()

    measured_peak_flops(precision_of("fp32"))

    assert torch.equal(torch.get_rng_state(), before)
