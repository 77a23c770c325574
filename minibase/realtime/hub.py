"""Who listens to what: registers subscribers, hands changes to lanes, fans broadcasts out to rooms."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from minibase.realtime import wire
from minibase.realtime.bindings import ANY, Binding
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.changes import RowChange
from minibase.realtime.lanes import Lane, Subscriber, misfit_message
from minibase.realtime.messages import CloseCode, Outgoing, Push, ServerEvent, Version
from minibase.realtime.presence import Diff, Roster
from minibase.realtime.protocol import Failed, Outcome, Stood, Unavailable
from minibase.realtime.sessions import DatabaseUnavailableError, Identity
from minibase.realtime.tables import Access, MisfitError, Table
from minibase.realtime.visibility import Visibility

STAND_SECONDS = 8  # clients give a join ten
UNAVAILABLE = Unavailable(reason="UnableToConnectToProject: The database cannot be reached now, please try again")


class Hub:
    """Shared by all sockets. Lanes run in `tasks`, whose end is theirs."""

    def __init__(self, *, tasks: TaskGroup, catalogue: Catalogue, visibility: Visibility) -> None:
        self._tasks = tasks
        self._catalogue = catalogue
        self._visibility = visibility
        self._lanes: dict[str, Lane] = {}
        self._rooms: dict[str, dict[Subscriber, None]] = {}
        self._rosters: dict[str, Roster] = {}
        self._retiring: list[Subscriber] = []
        self._streaming = anyio.Event()

    # -- what the reader says

    def begin_streaming(self) -> None:
        """From here on every commit reaches `dispatch`."""
        self._streaming.set()

    def end_streaming(self) -> None:
        """Commits will be missed: whoever listens must come back and look for itself."""
        if not self._streaming.is_set():
            return
        self._streaming = anyio.Event()
        for subscriber in self._subscribers():
            if subscriber.bindings:
                subscriber.outlet.close(CloseCode.RESTART, "the stream of changes was interrupted")

    def dispatch(self, batch: Sequence[RowChange]) -> None:
        """Changes in commit order, already visible to every new query."""
        self._let_go(batch[0].xid)
        for lane in list(self._lanes.values()):
            lane.offer(batch)

    def forget_plans(self) -> None:
        """Tables, policies or rights may have changed."""
        for lane in self._lanes.values():
            lane.forget_plans()

    # -- what sockets say

    async def subscribe(self, subscriber: Subscriber, former: Subscriber | None = None) -> Outcome:
        """Make the subscription stand. The caller answers the join and then calls `enter`.

        `former` is the same channel under the claims it had before: it hears what was committed until the new one
        takes over, so that nothing is missed or doubled between them.
        """
        if not subscriber.bindings:
            return Stood()
        with anyio.move_on_after(STAND_SECONDS):
            try:
                await self._streaming.wait()
                return await self._stand(subscriber, former)
            except DatabaseUnavailableError:
                pass
        self.unsubscribe(subscriber)
        return UNAVAILABLE

    def enter(self, subscriber: Subscriber, former: Subscriber | None = None) -> None:
        """The join has been answered: the channel is in its room and hears what was held for it."""
        room = self._rooms.setdefault(subscriber.topic, {})
        room[subscriber] = None
        if former is not None:
            room.pop(former, None)
            self._retire(former)
        subscriber.release()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        room = self._rooms.get(subscriber.topic, {})
        if subscriber in room:
            del room[subscriber]
            self.untrack(subscriber)
        if not room:
            self._rooms.pop(subscriber.topic, None)
        lane = self._lanes.get(subscriber.claims.text)
        if lane is None:
            return
        lane.remove(subscriber)
        if lane.is_empty:
            lane.scope.cancel()
            del self._lanes[subscriber.claims.text]

    def broadcast(self, topic: str, message: Outgoing, sender: Subscriber | None = None) -> None:
        """Say it to everybody in the room; to the sender only if it asked for its own."""
        peers = self._rooms.get(topic, ())
        _fan_out(message, (peer for peer in peers if peer is not sender or peer.wants_own_broadcasts))

    def track(self, subscriber: Subscriber, payload: Mapping[str, Any]) -> None:
        """The channel is present from now on, and hears who else is."""
        if not subscriber.hears_presence:
            subscriber.hears_presence = True
            self.show_presence(subscriber)
        roster = self._rosters.setdefault(subscriber.topic, Roster())
        ref = secrets.token_urlsafe(9)
        self._announce(subscriber.topic, roster.track(subscriber.outlet, subscriber.presence_key, payload, ref))

    def untrack(self, subscriber: Subscriber) -> None:
        roster = self._rosters.get(subscriber.topic)
        if roster is None:
            return
        diff = roster.untrack(subscriber.outlet)
        if roster.is_empty:
            del self._rosters[subscriber.topic]
        self._announce(subscriber.topic, diff)

    def show_presence(self, subscriber: Subscriber) -> None:
        """Tell the channel who is present."""
        roster = self._rosters.get(subscriber.topic, Roster())
        subscriber.outlet.send(Push(topic=subscriber.topic, event=ServerEvent.PRESENCE_STATE, payload=roster.state()))

    def _announce(self, topic: str, diff: Diff | None) -> None:
        if diff is not None:
            message = Push(topic=topic, event=ServerEvent.PRESENCE_DIFF, payload=diff.payload())
            _fan_out(message, (peer for peer in self._rooms.get(topic, ()) if peer.hears_presence))

    async def _stand(self, subscriber: Subscriber, former: Subscriber | None) -> Outcome:
        stream = self._streaming
        try:
            unpublished = await self._check(subscriber)
        except MisfitError as error:
            return Failed(message=misfit_message(error))
        self._lane(subscriber).add(subscriber)
        subscriber.since = await self._catalogue.snapshot()
        if stream is not self._streaming:
            # Commits between the snapshot and the new stream would reach nobody.
            raise DatabaseUnavailableError("the stream of changes was interrupted during the join")
        if former is not None:
            former.until = subscriber.since
        # What is not published yet is delivered once it is; the subscriber is told why nothing comes until then.
        return Failed(message=_unpublished_message(unpublished)) if unpublished else Stood()

    async def _check(self, subscriber: Subscriber) -> list[Binding]:
        """The bindings no published table fits. MisfitError for one that cannot be served on a table it covers."""
        role = subscriber.claims.role
        tables = await self._catalogue.published()
        access = await self._catalogue.load_access(role, [table.oid for table in tables])
        if tables and not access:
            raise MisfitError(f"role {role!r} does not exist or may not be used through the API")
        unpublished = []
        for binding in subscriber.bindings:
            covered = [table for table in tables if binding.covers(table.schema, table.name)]
            for table in covered:
                await self._fit(subscriber, binding, table, access[table.oid])
            if not covered:
                unpublished.append(binding)
        return unpublished

    async def _fit(self, subscriber: Subscriber, binding: Binding, table: Table, access: Access) -> None:
        claims = subscriber.claims
        identity = Identity(role=claims.role, claims=claims.text, time_limit=access.time_limit)
        await self._visibility.fit(identity, binding, table, access)

    def _lane(self, subscriber: Subscriber) -> Lane:
        claims = subscriber.claims
        lane = self._lanes.get(claims.text)
        if lane is None:
            lane = self._lanes[claims.text] = Lane(claims, self._catalogue, self._visibility)
            self._tasks.start_soon(lane.run)
        return lane

    def _retire(self, former: Subscriber) -> None:
        if former.until is None:
            self.unsubscribe(former)
        else:
            self._retiring.append(former)

    def _let_go(self, xid: int) -> None:
        """Drop retired subscribers once the log is past the moment their successors took over."""
        for former in list(self._retiring):
            lane = self._lanes.get(former.claims.text)
            over = former.until is None or former.until.precedes(xid)
            if lane is None or (over and lane.is_idle):
                self._retiring.remove(former)
                self.unsubscribe(former)

    def _subscribers(self) -> Iterable[Subscriber]:
        return [subscriber for room in self._rooms.values() for subscriber in room]


def _fan_out(message: Outgoing, peers: Iterable[Subscriber]) -> None:
    """One encoding per framing, however many peers."""
    frames: dict[Version, str | bytes | None] = {}
    for peer in peers:
        if peer.version not in frames:
            frames[peer.version] = wire.encode(peer.version, message)
        frame = frames[peer.version]
        if frame is not None:
            peer.outlet.send_frame(frame)


def _unpublished_message(bindings: Iterable[Binding]) -> str:
    wanted = ", ".join(f"{each.schema or ANY}.{each.table or ANY}" for each in bindings)
    return (
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect "
        f"parameters: [{wanted}] (no such table is in the publication supabase_realtime)"
    )
