"""One lane per distinct role and claims: what its subscribers may see is decided once, in order, for all of them.

Subscribers that filter by patterns have a lane for each set of patterns: a pattern may take as long as a policy.
Lanes do not wait for each other, so a slow or raising policy is felt by those it was written for and nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import anyio

from minibase.realtime import changes, matching, reasons, wire
from minibase.realtime.bindings import Binding, Change
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.changes import Layout, RowChange
from minibase.realtime.matching import Cohort, Condition, Hit, Plan, Route
from minibase.realtime.messages import CloseCode
from minibase.realtime.sessions import DatabaseUnavailableError, Identity, Pace
from minibase.realtime.subscribers import MAX_WAITING_BYTES, MAX_WAITING_CHANGES, Subscriber
from minibase.realtime.tables import MisfitError
from minibase.realtime.tokens import Claims
from minibase.realtime.visibility import Visibility

BATCH_CHANGES = 500

logger = logging.getLogger(__name__)


class Lane:
    """The subscribers of one role and set of claims, and the changes waiting to be decided for them."""

    def __init__(
        self, claims: Claims, catalogue: Catalogue, visibility: Visibility, on_progress: Callable[[], None]
    ) -> None:
        self._claims = claims
        self._catalogue = catalogue
        self._visibility = visibility
        self._on_progress = on_progress
        self._cohorts: dict[Cohort, list[Subscriber]] = {}
        self._plans: dict[Layout, Plan] = {}
        self._generation = 0
        self._waiting: list[RowChange] = []
        self._waiting_bytes = 0
        self._arrived = anyio.Event()
        self.offered = 0
        """How many changes were ever taken, and how many of these are done with."""
        self.decided = 0
        self.scope = anyio.CancelScope()
        self._pace = Pace()

    @property
    def is_empty(self) -> bool:
        return not self._cohorts

    def add(self, subscriber: Subscriber) -> None:
        if subscriber.cohort not in self._cohorts:
            self._cohorts[subscriber.cohort] = []
            self.forget_plans()
        self._cohorts[subscriber.cohort].append(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        members = self._cohorts.get(subscriber.cohort, [])
        if subscriber in members:
            members.remove(subscriber)
            if not members:
                del self._cohorts[subscriber.cohort]
                self.forget_plans()

    def forget_plans(self) -> None:
        self._plans.clear()
        self._generation += 1

    def offer(self, batch: Sequence[RowChange]) -> None:
        """Take what concerns this lane. One that is too far behind loses its subscribers, who will come back."""
        covered = {layout for layout in {change.layout for change in batch} if self.covers(layout)}
        taken = [change for change in batch if change.layout in covered]
        self._waiting += taken
        self._waiting_bytes += sum(change.size for change in taken)
        self.offered += len(taken)
        too_large = self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1
        if too_large or len(self._waiting) > MAX_WAITING_CHANGES:
            self._close(CloseCode.TRY_LATER, "too many changes are waiting for this role's policies")
        if self._waiting:
            self._arrived.set()

    async def run(self) -> None:
        """Decide and deliver for as long as the lane lives."""
        with self.scope:
            while True:
                await self._arrived.wait()
                batch, self._waiting = self._waiting[:BATCH_CHANGES], self._waiting[BATCH_CHANGES:]
                self._waiting_bytes -= sum(change.size for change in batch)
                if not self._waiting:
                    self._arrived = anyio.Event()
                if batch:
                    await self._decide_safely(batch)
                self.decided = self.offered - len(self._waiting)
                self._on_progress()

    async def _decide_safely(self, batch: list[RowChange]) -> None:
        try:
            await self._decide(batch)
        except DatabaseUnavailableError:
            self._close(CloseCode.RESTART, "the database went away")
        except Exception:
            # The border between subscribers: a fault met on one lane's changes must not end the others.
            logger.exception("realtime: changes for role %s could not be decided", self._claims.role)
            self._close(CloseCode.RESTART, "an internal error; please reconnect")

    async def _decide(self, batch: list[RowChange]) -> None:
        plans = {change.layout: await self._plan(change.layout) for change in batch}
        asked = {question for change in batch for question in matching.questions(change, plans[change.layout])}
        identity = self._identity(plans[batch[0].layout])
        answers, failed = await self._visibility.answer(identity, asked) if asked else ({}, {})
        for condition, raised in failed.items():
            self._complain_of_filter(condition, raised, plans.values())
        hits = {change: matching.match(change, plans[change.layout], answers) for change in batch}
        visible = await self._visible([change for change in batch if hits[change]], plans)
        for change in batch:
            if hits[change] and change in visible:
                self._deliver(change, plans[change.layout], hits[change])
            if logger.isEnabledFor(logging.DEBUG):
                told = reasons.account(change, plans[change.layout], hits[change], visible=change in visible)
                logger.debug("realtime: as role %s, %s", self._claims.role, told)

    async def _visible(self, batch: list[RowChange], plans: dict[Layout, Plan]) -> set[RowChange]:
        """Those of the changes that row-level security lets this lane see, or tells it about with an error."""
        visible: set[RowChange] = set()
        to_ask: dict[Layout, list[RowChange]] = {}
        for change in batch:
            plan = plans[change.layout]
            if plan.error(change) is not None or not (plan.must_ask(change) or plan.hides(change)):
                visible.add(change)
            elif plan.must_ask(change) and change.key() is not None:
                to_ask.setdefault(change.layout, []).append(change)
        for layout, asked in to_ask.items():
            visible |= await self._ask(plans[layout], asked)
        return visible

    async def _ask(self, plan: Plan, batch: list[RowChange]) -> set[RowChange]:
        keys = list(dict.fromkeys(key for change in batch if (key := change.key()) is not None))
        verdicts, raised = await self._visibility.rows_visible(self._identity(plan), plan.table, keys)
        if raised is not None:
            self._complain(plan, f"Policies of {plan.table.schema}.{plan.table.name} could not be evaluated: {raised}")
        shown = {key for key, verdict in zip(keys, verdicts, strict=True) if verdict}
        return {change for change in batch if change.key() in shown}

    def _deliver(self, change: RowChange, plan: Plan, hits: list[Hit]) -> None:
        error = plan.error(change)
        data: dict[matching.Select, str] = {}
        for hit in hits:
            if hit.select not in data:
                data[hit.select] = (
                    changes.render(change, plan.access, hit.select)
                    if error is None
                    else changes.render_error(change, error)
                )
            frame = wire.encode_change(hit.cohort.version, hit.cohort.topic, hit.ids, data[hit.select])
            for subscriber in self._cohorts.get(hit.cohort, ()):
                subscriber.offer(change.xid, frame)

    async def _plan(self, layout: Layout) -> Plan:
        """The plan for a table as it stands; made anew if anything it rests on changed while it was being made."""
        while layout not in self._plans:
            generation = self._generation
            plan = await self._make_plan(layout)
            if generation == self._generation:
                self._plans[layout] = plan
        return self._plans[layout]

    async def _make_plan(self, layout: Layout) -> Plan:
        access = await self._catalogue.access(self._claims.role, layout.table.oid)
        routes: dict[Cohort, tuple[Route, ...]] = {}
        plan = Plan(table=layout.table, access=access, routes=routes)
        for cohort in list(self._cohorts):
            try:
                fitted = [route for binding in _covering(cohort, layout) for route in await self._routes(binding, plan)]
            except MisfitError as error:
                self._tell(cohort, misfit_message(error))
                continue
            if fitted:
                routes[cohort] = tuple(fitted)
        return plan

    async def _routes(self, binding: Binding, plan: Plan) -> list[Route]:
        try:
            conditions = await self._visibility.fit(self._identity(plan), binding, plan.table, plan.access)
            return [Route(id=binding.id, kind=binding.change, conditions=conditions, select=binding.select)]
        except MisfitError:
            if plan.table.key and plan.access.reads_key(plan.table):
                raise
        # Where the role cannot read the key it is told so for each new row, whatever the filter. Only of a deleted row
        # would something be shown, and nobody can tell whether this filter lets it.
        told = [kind for kind in (Change.INSERT, Change.UPDATE) if binding.change in (None, kind)]
        return [Route(id=binding.id, kind=kind, conditions=(), select=binding.select) for kind in told]

    def _identity(self, plan: Plan) -> Identity:
        time_limit = plan.access.time_limit
        return Identity(role=self._claims.role, claims=self._claims.text, time_limit=time_limit, pace=self._pace)

    def covers(self, layout: Layout) -> bool:
        """Whether some subscriber may hear of this table's changes."""
        known = self._plans.get(layout)
        return bool(known.routes) if known else any(_covering(cohort, layout) for cohort in self._cohorts)

    def _complain(self, plan: Plan, message: str) -> None:
        for cohort in plan.routes:
            self._tell(cohort, message)

    def _complain_of_filter(self, condition: Condition, raised: str, plans: Iterable[Plan]) -> None:
        routes = {cohort: routes for plan in plans for cohort, routes in plan.routes.items()}
        for cohort, found in routes.items():
            if any(condition in route.conditions for route in found):
                self._tell(cohort, f"A filter on {condition.filter.column!r} could not be decided: {raised}")

    def _tell(self, cohort: Cohort, message: str) -> None:
        for subscriber in self._cohorts.get(cohort, ()):
            subscriber.complain(message)

    def _close(self, code: CloseCode, reason: str) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        for members in list(self._cohorts.values()):
            for subscriber in list(members):
                subscriber.outlet.close(code, reason)


def _covering(cohort: Cohort, layout: Layout) -> list[Binding]:
    return [each for each in cohort.bindings if each.covers(layout.table.schema, layout.table.name)]


def misfit_message(error: Exception) -> str:
    return (
        "Unable to subscribe to changes with given parameters. An exception happened so please check your connect "
        f"parameters. Exception: {error}"
    )
