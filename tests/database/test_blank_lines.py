"""A visitor's line says something that can be seen."""

from __future__ import annotations

import asyncpg
import pytest

SAY = "insert into user_messages (stack_id, content) values ($1, $2)"


@pytest.mark.parametrize("text", ["", "  ", "\n", " \n\t ", "\u200b", "\u202e \ufeff\u00ad"])
async def test_nothing_is_refused_in_a_sentence(db, text):
    stack = await db.stack()
    with pytest.raises(asyncpg.CheckViolationError, match="the message is empty: write something"):
        await db.as_person(SAY, stack, text)


@pytest.mark.parametrize("text", ["?", "☃", "first\nsecond", "\u200bhidden but there"])
async def test_anything_else_is_said(db, text):
    stack = await db.stack()
    await db.as_person(SAY, stack, text)
    assert await db.one("select content from user_messages") == text
