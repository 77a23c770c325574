"""Who listens to what: makes subscriptions stand, hands changes to lanes and broadcasts to rooms."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from minibase.realtime import persistence
from minibase.realtime.authority import Authority
from minibase.realtime.bindings import ANY, Binding
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.changes import Layout, RowChange
from minibase.realtime.effects import Denied, Failed, Outcome, Stood, Unavailable
from minibase.realtime.lanes import Lane, misfit_message
from minibase.realtime.messages import PREFIX, Broadcast, CloseCode, Extension
from minibase.realtime.persistence import Echoes, Persist
from minibase.realtime.rooms import Rooms
from minibase.realtime.sessions import DatabaseUnavailableError, Identity
from minibase.realtime.stored import StoredMessage
from minibase.realtime.subscribers import LaneKey, Room, Subscriber
from minibase.realtime.tables import Access, MisfitError, Table
from minibase.realtime.visibility import Visibility

STAND_SECONDS = 8  # clients give a join ten
logger = logging.getLogger(__name__)

UNAVAILABLE = Unavailable(reason="UnableToConnectToProject: The database cannot be reached now, please try again")
TIMED_OUT = Unavailable(
    reason="PostgresChangesSubscribeTimeout: The subscription did not stand in the time given, please try again"
)


@dataclass(slots=True, kw_only=True, eq=False)
class _Handover:
    """A channel under new claims. `awaits` is how many changes the former's lane must have decided, once that is known:
    all it was offered before the stream passed the position that the successor begins at."""

    former: Subscriber
    successor: Subscriber
    awaits: int | None = None


class Hub:
    """Shared by all sockets. Lanes run in `tasks`, whose end is theirs."""

    def __init__(self, *, tasks: TaskGroup, catalogue: Catalogue, visibility: Visibility, authority: Authority) -> None:
        self._tasks = tasks
        self._catalogue = catalogue
        self._visibility = visibility
        self._authority = authority
        self.rooms = Rooms()
        self._lanes: dict[LaneKey, Lane] = {}
        self._handovers: list[_Handover] = []
        self._echoes = Echoes()
        self._stream_at = 0
        self._streaming = anyio.Event()

    # -- what the reader says

    def begin_streaming(self) -> None:
        """From here on every commit reaches `dispatch`."""
        self._stream_at = 0
        self._streaming.set()

    def end_streaming(self) -> None:
        """Commits will be missed: whoever listens must come back and look for itself."""
        if not self._streaming.is_set():
            return
        self._streaming = anyio.Event()
        for subscriber in self.rooms.everybody():
            if subscriber.needs_stream:
                subscriber.outlet.close(CloseCode.RESTART, "the stream of changes was interrupted")
        handovers, self._handovers = self._handovers, []
        for handover in handovers:
            self.unsubscribe(handover.former)

    def dispatch(self, batch: Sequence[RowChange], *, first_lsn: int, last_lsn: int) -> None:
        """Changes in commit order, already visible to every new query; where their first and last commit are."""
        self._stream_at = first_lsn
        self._finish_handovers()
        for lane in list(self._lanes.values()):
            lane.offer(batch)
        self._stream_at = last_lsn
        self._finish_handovers()

    def hears(self, layout: Layout) -> bool:
        """Whether anybody may hear of this table's changes; who subscribes later sees in a query what came before."""
        return any(lane.covers(layout) for lane in self._lanes.values())

    def tell(self, told: Sequence[StoredMessage]) -> None:
        """Broadcasts from the database, in commit order."""
        for message in told:
            if self._echoes.is_one(message.id):
                continue
            self.rooms.broadcast(message.room, message.broadcast, message_id=message.id)

    def forget_plans(self) -> None:
        """Tables, policies or rights may have changed."""
        for lane in self._lanes.values():
            lane.forget_plans()

    # -- what sockets say

    async def subscribe(
        self, subscriber: Subscriber, former: Subscriber | None = None, *, wait: bool, patience_s: float | None = None
    ) -> Outcome:
        """Make the subscription stand. The caller answers the join and then calls `enter`.

        A private channel must be readable; one without bindings stands at once unless it is to `wait` for the stream.
        What does not stand in time is refused: `patience_s` is what the client said it would wait.

        `former` is the same channel under the claims it had before: it hears what was committed until the new one
        takes over, so that nothing is missed or doubled between them.
        """
        if not (wait or subscriber.needs_stream):
            return Stood()
        with anyio.move_on_after(STAND_SECONDS if patience_s is None else patience_s) as patience:
            try:
                await self._streaming.wait()
                return await self._authorise(subscriber) or await self._stand(subscriber, former)
            except DatabaseUnavailableError:
                pass
        self.unsubscribe(subscriber)
        return UNAVAILABLE if patience_s is None or not patience.cancelled_caught else TIMED_OUT

    def enter(self, subscriber: Subscriber, former: Subscriber | None = None) -> None:
        """The join has been answered: the channel is in its room and hears what was held for it."""
        if former is None:
            self.rooms.enter(subscriber)
            subscriber.release()
        else:
            self.rooms.hand_over(former, subscriber)
            self._hand_over(former, subscriber)

    async def say_and_keep(
        self, room: Room, message: Broadcast, persist: Persist, message_id: UUID, *, sender: Subscriber | None = None
    ) -> str | None:
        """Broadcast it, and then store it under this id. Why it could not be stored, in a word, if it could not."""
        if persist.problem is not None:
            self.rooms.broadcast(room, message, sender=sender)
            return persist.problem
        name = str(message_id)
        self._echoes.expect(name)
        self.rooms.broadcast(room, replace(message, meta={"id": name}), sender=sender, message_id=name)
        try:
            stored = await self._authority.store(message_id, message, persist.seconds)
        except DatabaseUnavailableError:
            stored = False
        return None if stored else persistence.FAILED

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.rooms.leave(subscriber)
        for handover in [each for each in self._handovers if each.successor is subscriber]:
            self._handovers.remove(handover)
            self.unsubscribe(handover.former)
        lane = self._lanes.get(subscriber.lane)
        if lane is None:
            return
        lane.remove(subscriber)
        if lane.is_empty:
            lane.scope.cancel()
            del self._lanes[subscriber.lane]

    async def _authorise(self, subscriber: Subscriber) -> Denied | None:
        """What a private channel may hear is settled; Denied where that is nothing it would hear."""
        if not subscriber.room.private:
            return None
        found = await self._authority.readable(subscriber.claims, subscriber.topic)
        subscriber.readable = found.extensions
        wanted = {Extension.BROADCAST} | ({Extension.PRESENCE} if subscriber.hears_presence else set())
        if wanted & found.extensions:
            return None
        name = subscriber.topic.removeprefix(PREFIX)
        words = f"Unauthorized: You do not have permissions to read from this Channel topic: {name}"
        return Denied(reason=words + (f" (a policy raised: {found.problem})" if found.problem else ""))

    async def _stand(self, subscriber: Subscriber, former: Subscriber | None) -> Outcome:
        if not subscriber.bindings:
            return Stood()
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
        lane = self._lanes.get(subscriber.lane)
        if lane is None:
            lane = Lane(subscriber.claims, self._catalogue, self._visibility, self._finish_handovers)
            self._lanes[subscriber.lane] = lane
            self._tasks.start_soon(lane.run)
        return lane

    def _hand_over(self, former: Subscriber, subscriber: Subscriber) -> None:
        """The former says all it has to say before its successor says anything."""
        if former.until is None:
            self.unsubscribe(former)
            subscriber.release()
        else:
            self._handovers.append(_Handover(former=former, successor=subscriber))
            self._finish_handovers()

    def _finish_handovers(self) -> None:
        """Drop each former that has said all that was committed until its successor took over."""
        for handover in list(self._handovers):
            former, lane = handover.former, self._lanes.get(handover.former.lane)
            assert former.until is not None
            if handover.awaits is None and lane is not None and self._stream_at >= former.until.lsn:
                handover.awaits = lane.offered
            over = lane is None or (handover.awaits is not None and lane.decided >= handover.awaits)
            if over and not former.holds:
                self._handovers.remove(handover)
                self.unsubscribe(former)
                handover.successor.release()


def _unpublished_message(bindings: Iterable[Binding]) -> str:
    wanted = ", ".join(f"{each.schema or ANY}.{each.table or ANY}" for each in bindings)
    return (
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect "
        f"parameters: [{wanted}] (no such table is in the publication supabase_realtime)"
    )
