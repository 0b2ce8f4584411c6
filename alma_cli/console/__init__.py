"""Every word, table, bar and sparkline a person sees: results on stdout, everything else on stderr."""

from __future__ import annotations

from alma_cli.console.progress import (
    Watch,
    follow_training,
    follow_translation,
    preparing,
    scoring,
    sparkline,
    tokenising,
    warn_of_limits,
)
from alma_cli.console.reports import foretold, health, prepared
from alma_cli.console.score_tables import scores, scores_beside_paper
from alma_cli.console.screen import (
    be_quiet,
    done,
    duration,
    fail,
    gib,
    leave_it_to_another,
    note,
    one_line,
    panel,
    result,
    result_json,
    result_table,
    warn,
)
from alma_cli.console.tokens import shown

__all__ = [
    "Watch",
    "be_quiet",
    "done",
    "duration",
    "fail",
    "follow_training",
    "follow_translation",
    "foretold",
    "gib",
    "health",
    "leave_it_to_another",
    "note",
    "one_line",
    "panel",
    "prepared",
    "preparing",
    "result",
    "result_json",
    "result_table",
    "scores",
    "scores_beside_paper",
    "scoring",
    "shown",
    "sparkline",
    "tokenising",
    "warn",
    "warn_of_limits",
]
