"""sacreBLEU's test sets by name, such as wmt19/de-en: downloaded once by sacreBLEU, then files like any other."""

from __future__ import annotations

from pathlib import Path

from alma_cli.core.languages import Direction
from alma_cli.errors import MachineError, UsageError, nearest

SACREBLEU = "sacrebleu:"
_SHOWN_DIRECTIONS = 12


def directions_of(test_set: str) -> tuple[str, ...]:
    """The directions that a test set has. Raises UsageError with the nearest name for one that does not exist."""
    import sacrebleu

    known = sacrebleu.get_available_testsets()
    if test_set not in known:
        raise UsageError(f"sacreBLEU has no test set '{test_set}'", hint=nearest(test_set, known))
    return tuple(sacrebleu.get_langpairs_for_testset(test_set))


def files_of(test_set: str, direction: Direction) -> tuple[Path, tuple[Path, ...]]:
    """The file with the sources, and those with the references.

    Raises UsageError where the set has not the direction, MachineError where it is neither in sacreBLEU's folder nor to
    be had from the network.
    """
    import sacrebleu
    from sacrebleu.utils import SACREBLEU_DIR

    known = directions_of(test_set)
    if str(direction) not in known:
        listed = [pair for pair in known if pair.startswith(direction.source)] or list(known)
        hint = f"it has {', '.join(listed[:_SHOWN_DIRECTIONS])}" + (", ..." if listed[_SHOWN_DIRECTIONS:] else "")
        raise UsageError(f"sacreBLEU's test set {test_set} has no {direction}", hint=hint)
    try:
        source = sacrebleu.get_source_file(test_set, str(direction))
        references = sacrebleu.get_reference_files(test_set, str(direction))
    except (OSError, SystemExit) as error:
        # sacreBLEU leaves the program where a download is not what it should be, and says why in its log.
        problem = "" if isinstance(error, SystemExit) else f": {getattr(error, 'reason', error)}"
        raise MachineError(
            f"sacreBLEU's test set {test_set}/{direction} is not in {SACREBLEU_DIR} and cannot be downloaded{problem}",
            hint=f"run `sacrebleu -t {test_set} -l {direction} --echo src` elsewhere, and copy that folder",
        ) from None
    return Path(source), tuple(map(Path, references))
