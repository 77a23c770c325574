"""Who is present: every change as the diff others are told."""

from __future__ import annotations

from minibase.realtime.presence import Diff, Roster


def test_track_retrack_untrack() -> None:
    roster = Roster()
    assert roster.track("socket", "ada", {"mood": "ok"}, "r1") == Diff(
        joins={"ada": {"metas": [{"mood": "ok", "phx_ref": "r1"}]}}, leaves={}
    )
    assert roster.track("socket", "ada", {"mood": "ok"}, "r2") is None
    assert roster.track("socket", "ada", {"mood": "sad"}, "r3") == Diff(
        joins={"ada": {"metas": [{"mood": "sad", "phx_ref": "r3", "phx_ref_prev": "r1"}]}},
        leaves={"ada": {"metas": [{"mood": "ok", "phx_ref": "r1"}]}},
    )
    gone = roster.untrack("socket")
    assert gone is not None
    assert gone.joins == {}
    assert list(gone.leaves) == ["ada"]
    assert roster.untrack("socket") is None
    assert roster.is_empty


def test_one_key_on_two_sockets_has_two_metas() -> None:
    roster = Roster()
    roster.track("phone", "ada", {"on": "phone"}, "r1")
    roster.track("laptop", "ada", {"on": "laptop"}, "r2")
    assert [meta["on"] for meta in roster.state()["ada"]["metas"]] == ["phone", "laptop"]
    roster.untrack("phone")
    assert roster.state() == {"ada": {"metas": [{"on": "laptop", "phx_ref": "r2"}]}}
