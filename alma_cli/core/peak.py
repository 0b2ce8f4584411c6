"""How fast this machine multiplies matrices in the training precision: what the speed of training is a share of."""

from __future__ import annotations

import statistics
import time

import torch

from alma_cli.core.model import Precision

_SMALLEST, _LARGEST = 256, 8192  # rows and columns: 0.4 GiB of bf16 for three of the largest
_LONG_ENOUGH = 0.008  # seconds of one product: what starting it costs no longer counts
_SECONDS, _FEWEST, _MOST = 0.2, 3, 25


def measured_peak_flops(precision: Precision) -> float:
    """Floating-point operations a second of a large matrix product, in half a second or less.

    Method: C = A B with three (n, n) matrices of the precision's dtype is 2 n^3 operations. n doubles from 256 until
    one product takes 8 ms, or n is 8192; after that warm-up, the median of 3 to 25 products counts, each waited for.
    Threads and TF32 are as this process has them. Operands are random, since zeros draw less power and run faster;
    torch's own random numbers stay where they are.
    """
    size = _SMALLEST
    while (seconds := min(_product_seconds(precision, size, fewest=2, budget=0.0))) < _LONG_ENOUGH and size < _LARGEST:
        size *= 2
    return 2 * size**3 / statistics.median(_product_seconds(precision, size, fewest=_FEWEST, budget=_SECONDS - seconds))


@torch.no_grad()
def _product_seconds(precision: Precision, size: int, *, fewest: int, budget: float) -> list[float]:
    """The seconds of so many products at least, after one that is not counted, and of more while the budget lasts."""
    device = precision.device
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(size, size, dtype=precision.dtype, device=device, generator=generator) for _ in "AB")
    product = left @ right
    _wait(device)
    seconds: list[float] = []
    while len(seconds) < fewest or (len(seconds) < _MOST and sum(seconds) < budget):
        started = time.perf_counter()
        torch.matmul(left, right, out=product)
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return seconds


def _wait(device: torch.device) -> None:
    """A GPU's products are only started when the call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
