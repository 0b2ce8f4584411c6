"""How documents of several pools are mixed: what is drawn is decided by the seed and the draw's number alone.

Each draw puts the pools into a random order, in which a pool comes before the others with its probability, and takes
from the first one that is not empty. So a pool that runs out leaves its probability to the others in proportion, and a
stream goes on from any place without knowing its past.

    P = pools that are not empty, B = draws up to the end of a batch
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from alma_cli.errors import UsageError

Item = TypeVar("Item")

# Draws whose numbers are made at a time; a multiple of 4, since that is how many Philox makes at each count.
_BATCH = 4096
_NOTHING_LEFT = 1e-9


def pool_probabilities(sizes: Mapping[str, int], mixture: Mapping[str, float], temperature: float) -> dict[str, float]:
    """The probability of each pool, together 1: those of `mixture`, and the others' in proportion to size^(1/T).

    That is the paper's formula (arXiv 2309.11674, section 4.2): T is 6 among the other languages, English fixed at 1/6.
    A mixture for all pools is scaled to 1. Raises UsageError where it leaves nothing for pools that it does not name.
    """
    fixed = {pool: mixture[pool] for pool in sizes if pool in mixture}
    weights = {pool: size ** (1 / temperature) for pool, size in sizes.items() if pool not in mixture and size}
    if weights and sum(fixed.values()) > 1 - _NOTHING_LEFT:
        raise UsageError(
            f"data.mono.mixture adds up to {sum(fixed.values()):g} and leaves nothing for {', '.join(sorted(weights))}",
            hint="lower it, or give every language of the sources a probability",
        )
    found = _shared_out(fixed, weights)
    return {pool: found.get(pool, 0.0) for pool in sizes}


def mix(
    streams: Mapping[str, Iterator[Item]], probabilities: Mapping[str, float], seed: int, start: int = 0
) -> Iterator[Item]:
    """The pools' items in one stream; each pool's in their order, the next one's pool drawn by its probability.

    The stream goes on until every pool with a probability has run out. `start` items were drawn before: with `streams`
    from which these are gone, the rest is the same as it would have been then.
    """
    race = _Race({pool: probabilities[pool] for pool in streams}, seed)
    number = start
    while race.pools:
        pools = race.pools
        for winner in race.winners(number).tolist():
            try:
                item = next(streams[pools[winner]])
            except StopIteration:
                race.leave(pools[winner])
                break
            yield item
            number += 1


def take_turns(
    streams: Sequence[Iterator[Item]], shares: Sequence[float | None], seed: int, start: int = 0
) -> Iterator[Item]:
    """The items of a pool's sources, drawn by their shares; sources without one have equal parts of what is left.

    Goes on and ends as `mix` does. Raises UsageError where the shares leave nothing for sources without one.
    """
    names = [f"source {number}" for number in range(len(streams))]
    fixed = {name: share for name, share in zip(names, shares, strict=True) if share is not None}
    others = {name: 1.0 for name in names if name not in fixed}
    if others and sum(fixed.values()) > 1 - _NOTHING_LEFT:
        raise UsageError(
            f"the shares of a language's sources add up to {sum(fixed.values()):g} "
            "and leave nothing for those without a share",
            hint="lower them, or give every source of the language one",
        )
    return mix(dict(zip(names, streams, strict=True)), _shared_out(fixed, others), seed, start)


def expected_draws(
    probabilities: Mapping[str, float], seed: int, count: int, sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """How many items the first `count` draws of `mix` take from each pool; one that has no size never runs out."""
    race = _Race(probabilities, seed)
    taken, number = dict.fromkeys(probabilities, 0), 0
    left = {pool: sizes[pool] for pool in race.pools if pool in sizes} if sizes else {}
    while race.pools and number < count:
        winners = race.winners(number)[: count - number]
        # Of each pool that has not enough, the first draw that finds it empty; nothing changes before the first of all.
        ends = {
            int(draws[left[pool]]): pool
            for index, pool in enumerate(race.pools)
            if pool in left and len(draws := np.flatnonzero(winners == index)) > left[pool]
        }
        end = min(ends, default=len(winners))
        for pool, won in zip(race.pools, np.bincount(winners[:end], minlength=len(race.pools)).tolist(), strict=True):
            taken[pool] += won
            if pool in left:
                left[pool] -= won
        number += end
        if ends:
            race.leave(ends[end])
    return taken


class _Race:
    """For each draw a race: a pool takes a random time, exponential at the rate of its probability; the first one wins.

    It is the first with its probability, and of those that are left with its part of theirs.
    """

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._rates = {pool: rate for pool, rate in sorted(probabilities.items()) if rate > 0}
        self._keys = {pool: _key(seed, pool) for pool in self._rates}

    @property
    def pools(self) -> list[str]:
        """Those that are still in it."""
        return list(self._rates)

    def leave(self, pool: str) -> None:
        """Let the others win in a pool's place from now on."""
        del self._rates[pool]

    def winners(self, number: int) -> npt.NDArray[np.int64]:
        """Of the draw with this number and those after it in its batch, (B,), the winner's place in `pools`."""
        batch, before = divmod(number, _BATCH)
        times = [_exponential(self._keys[pool], batch)[before:] / rate for pool, rate in self._rates.items()]
        winners: npt.NDArray[np.int64] = np.argmin(times, axis=0)  # of (P, B)
        return winners


def _shared_out(fixed: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """The fixed probabilities, with the rest in proportion to the weights; scaled to 1 where no others have a rest."""
    rest, total = 1 - sum(fixed.values()), sum(weights.values())
    found = {**fixed, **{name: rest * weight / total for name, weight in weights.items()}}
    whole = sum(found.values())
    return {name: probability / whole for name, probability in found.items()}


def _key(seed: int, pool: str) -> int:
    """A pool's own: an empty pool is as good as none."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {pool}".encode(), digest_size=16).digest(), "little")


def _exponential(key: int, batch: int) -> npt.NDArray[np.float64]:
    """Numbers with an exponential distribution of mean 1 for the draws of one batch, (_BATCH,)."""
    # Raw numbers are the same in every version of numpy; its distributions need not be. 53 bits make a float.
    raw: npt.NDArray[np.uint64] = np.random.Philox(key=key, counter=batch * _BATCH // 4).random_raw(_BATCH)
    times: npt.NDArray[np.float64] = -np.log(((raw >> np.uint64(11)) + 0.5) * 2.0**-53)
    return times
