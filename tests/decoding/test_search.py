"""One sentence's search, without a model: what ends it, and what it gives."""

from __future__ import annotations

from alma_cli.decoding.search import BeamSearch, Continuation, GreedySearch, Samples

STOP = 1


def test_a_stop_outside_the_best_continuations_is_no_hypothesis() -> None:
    search = BeamSearch(2, length_penalty=1.0, wanted=1, limit=5)
    search.advance([Continuation(-1.0, 0, 5), Continuation(-2.0, 0, 6)], [])

    search.advance([Continuation(-1.5, 0, 5), Continuation(-2.5, 0, 6)], [Continuation(-9.0, 0, STOP)])

    assert search.hypotheses() == ()


def test_the_search_ends_when_no_row_can_beat_the_hypotheses_there_are() -> None:
    search = BeamSearch(2, length_penalty=1.0, wanted=2, limit=50)
    search.advance([Continuation(-1.0, 0, 5), Continuation(-1.5, 0, 6)], [])

    going_on = search.advance(
        [Continuation(-8.0, 0, 5), Continuation(-9.0, 1, 6)],
        [Continuation(-1.1, 0, STOP), Continuation(-1.6, 1, STOP)],
    )

    assert going_on == ()
    assert [(one.token_ids, one.log_probability) for one in search.hypotheses()] == [((5,), -1.1), ((6,), -1.6)]


def test_with_no_length_penalty_the_best_hypothesis_ends_the_search_as_soon_as_nothing_can_pass_it() -> None:
    search = BeamSearch(2, length_penalty=0.0, wanted=1, limit=50)
    search.advance([Continuation(-1.0, 0, 5), Continuation(-3.0, 0, 6)], [])

    going_on = search.advance([Continuation(-2.0, 0, 7), Continuation(-4.0, 1, 8)], [Continuation(-1.1, 0, STOP)])

    assert going_on == ()
    assert search.hypotheses()[0].token_ids == (5,)


def test_at_the_limit_unfinished_rows_count_and_say_that_they_did_not_stop() -> None:
    search = BeamSearch(2, length_penalty=1.0, wanted=2, limit=2)
    search.advance([Continuation(-1.0, 0, 5), Continuation(-1.5, 0, 6)], [])

    going_on = search.advance([Continuation(-2.0, 1, 7), Continuation(-3.0, 0, 8)], [Continuation(-2.5, 0, STOP)])

    assert going_on == ()
    assert [(one.token_ids, one.stopped) for one in search.hypotheses()] == [((6, 7), False), ((5,), True)]


def test_greedy_search_stops_when_a_stop_is_likeliest() -> None:
    search = GreedySearch(limit=9)
    search.advance([Continuation(-1.0, 0, 5)], [])
    search.advance([Continuation(-2.0, 0, 6)], [Continuation(-2.5, 0, STOP)])

    assert search.advance([Continuation(-4.0, 0, 7)], [Continuation(-3.0, 0, STOP)]) == ()

    assert search.hypotheses()[0].token_ids == (5, 6)
    assert search.hypotheses()[0].log_probability == -3.0


def test_samples_that_have_ended_stay_as_they_are_while_others_go_on() -> None:
    search = Samples(2, limit=3)
    search.advance([Continuation(-1.0, 0, 5), Continuation(-1.0, 1, 6)], [])
    stop = Continuation(-1.5, 0, STOP)
    search.advance([stop, Continuation(-2.0, 1, 7)], [stop])

    assert search.advance([Continuation(-9.0, 0, 8), Continuation(-3.0, 1, 8)], []) == ()

    assert {one.token_ids: one.log_probability for one in search.hypotheses()} == {(5,): -1.5, (6, 7, 8): -3.0}
