"""What one socket's client has said and nobody has handled yet: bounded in frames and bytes, and its reader waits."""

from __future__ import annotations

from collections import deque

import anyio

MAX_FRAMES = 256
MAX_BYTES = 8 * 1024 * 1024


class Inbox:
    """Filled by one task and emptied by another."""

    def __init__(self) -> None:
        self._frames: deque[str | bytes] = deque()
        self._size = 0
        self._changed = anyio.Event()

    async def put(self, frame: str | bytes) -> None:
        """Wait for room: a frame of any size has it where nothing else waits."""
        while self._frames and (len(self._frames) >= MAX_FRAMES or self._size + len(frame) > MAX_BYTES):
            await self._change()
        self._frames.append(frame)
        self._size += len(frame)
        self._changed.set()

    async def take(self) -> str | bytes:
        """The next frame, waiting for one."""
        while not self._frames:
            await self._change()
        frame = self._frames.popleft()
        self._size -= len(frame)
        self._changed.set()
        return frame

    async def _change(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()
