"""Which transactions were visible at a moment: how "committed after the join" is decided exactly.

Positions in the log cannot decide it: a commit record is written, and streamed, a little before the transaction
becomes visible to others.
"""

from __future__ import annotations

from dataclasses import dataclass

_WRAP = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """PostgreSQL's `pg_snapshot`, with transaction ids cut to the 32 bits that the log carries."""

    xmax: int
    in_progress: frozenset[int]
    lsn: int = 0
    """What the snapshot sees was committed before this position; what was committed behind it, it does not see."""

    @staticmethod
    def parse(text: str, lsn: int = 0) -> Snapshot:
        """From `xmin:xmax:xid,xid,...`."""
        _, xmax, in_progress = text.split(":")
        running = frozenset(int(xid) % _WRAP for xid in in_progress.split(",") if xid)
        return Snapshot(xmax=int(xmax) % _WRAP, in_progress=running, lsn=lsn)

    def precedes(self, xid: int) -> bool:
        """Whether the transaction began after the snapshot; ids are compared on the circle they wrap around."""
        return (xid - self.xmax) % _WRAP < _WRAP // 2

    def sees(self, xid: int) -> bool:
        """Whether a transaction, known to have committed by now, is visible in the snapshot."""
        return not self.precedes(xid) and xid not in self.in_progress
