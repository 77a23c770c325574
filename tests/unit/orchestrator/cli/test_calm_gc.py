"""The daemon's processes collect cycles rarely, and leave the collector as they found it."""

from __future__ import annotations

import gc

import pytest

from orchestrator.cli.process import GC_NEW_OBJECTS, calm_gc


def test_what_is_loaded_is_not_walked_again_and_new_objects_seldom() -> None:
    with calm_gc():
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] == GC_NEW_OBJECTS
        assert gc.isenabled()


def test_the_settings_from_before_come_back_after_an_error_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyboardInterrupt), calm_gc():
        raise KeyboardInterrupt
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
