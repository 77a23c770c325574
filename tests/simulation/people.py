"""People: they act by plain SQL, at any moment, and sometimes leave a transaction open for seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from simulation.world import World

from orchestrator.signals import Signal

if TYPE_CHECKING:
    from simulation.daemons import Daemon

# What an editor may run into: somebody else's lock, a rule of a trigger, a row that is gone meanwhile.
_REFUSALS = ("55P03", "22023", "PT429", "23503", "40P01", "23505")


@dataclass(kw_only=True)
class People:
    world: World
    daemons: list[Daemon]
    _chance: random.Random = field(init=False)
    _busy: set[int] = field(default_factory=set)
    _lines: int = 0

    def __post_init__(self) -> None:
        self._chance = self.world.chance.people

    async def live(self, until: float) -> None:
        """Act until that time; open transactions end some time after."""
        for _ in range(self._chance.randint(1, 4)):
            self._act(self._create)
        for _ in range(self._chance.randint(0, 6)):
            self._act(self._chance.choice((self._todo, self._line, self._message)))
        async with asyncio.TaskGroup() as group:
            while self.world.now < until:
                await asyncio.sleep(self._chance.expovariate(1.1))
                group.create_task(self._transaction())

    def resume_all(self) -> None:
        """At the end everybody plays, so that whatever is left has to be done."""
        self._act(lambda run: run("update public.agent_stacks set execution_state = 'running'"))

    def write_a_little(self) -> None:
        """Something new for stacks that are at rest."""
        for action in self._chance.choices((self._todo, self._line, self._idea), k=3):
            self._act(action)

    # One transaction ---------------------------------------------------------------------------------------------

    def _act(self, action: Callable[[Any], None]) -> None:
        person = next(n for n in range(len(self.world.database.people)) if n not in self._busy)
        self._statements(person, [action])
        self._commit(person)

    async def _transaction(self) -> None:
        free = [n for n in range(len(self.world.database.people)) if n not in self._busy]
        if not free:
            return
        person = free[0]
        actions = self._chance.choices(self._actions, weights=self._weights, k=self._chance.choice((1, 1, 1, 1, 2, 3)))
        if not self._statements(person, actions):
            return
        if self._chance.random() < 0.15:
            self._busy.add(person)
            self.world.note(f"person {person}", "leaves the transaction open")
            try:
                await asyncio.sleep(self._chance.choice((0.3, 1.0, 6.0)) * self._chance.random())
            finally:
                self._busy.discard(person)
        if self._chance.random() < 0.1:
            self.world.note(f"person {person}", "rolls back")
            self.world.database.people[person].rollback()
        else:
            self._commit(person)

    def _statements(self, person: int, actions: list[Callable[[Any], None]]) -> bool:
        world, connection = self.world, self.world.database.people[person]
        world.database.set_clock(connection, world.now)

        def run(sql: str, *args: Any) -> list[tuple[Any, ...]]:
            world.note(f"person {person}", f"{sql} {' '.join(str(arg)[:60] for arg in args)}")
            cursor = connection.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

        try:
            for action in actions:
                action(run)
        except psycopg.Error as error:
            connection.rollback()
            world.note(f"person {person}", f"is refused: {error.sqlstate} {str(error).splitlines()[0]}")
            if error.sqlstate not in _REFUSALS:
                world.find(f"a person's statement raised {error.sqlstate}: {' / '.join(str(error).splitlines()[:4])}")
            return False
        return True

    def _commit(self, person: int) -> None:
        """Commit, and tell the daemons of every stack's row that changed, as Realtime would."""
        before = self._rows()
        try:
            self.world.database.people[person].commit()
        except psycopg.Error as error:
            self.world.find(f"a person's commit raised {error.sqlstate}: {error}")
            self.world.database.people[person].rollback()
        after = self._rows()
        self.world.note(f"person {person}", "commits")
        for stack in sorted(before.keys() | after.keys()):
            if before.get(stack) != after.get(stack):
                state, at = after[stack][1:3] if stack in after else (None, None)
                self._tell(Signal(stack_id=stack, execution_state=state, changed_at=at))

    def _rows(self) -> dict[UUID, tuple[Any, ...]]:
        query = "select id, execution_state, updated_at, xmin::text from public.agent_stacks"
        return {row[0]: (row[3], row[1], row[2]) for row in self.world.database.ask(query)}

    def _tell(self, signal: Signal) -> None:
        chance, odds = self.world.chance.network, self.world.chance.odds
        for daemon in self.daemons:
            if daemon.dead or daemon.ended or chance.random() < odds.lost_signal:
                continue
            delay = chance.uniform(0.002, 0.03)
            if chance.random() < odds.late_signal:
                delay = chance.uniform(0.1, 8.0)
            daemon.hear(signal, delay)
            if chance.random() < odds.double_signal:
                daemon.hear(signal, delay + chance.uniform(0, 2))

    # What they do ------------------------------------------------------------------------------------------------

    def _stack(self) -> UUID | None:
        rows = self.world.database.ask("select id from public.agent_stacks order by id")
        return self._chance.choice(rows)[0] if rows else None

    def _row(self, table: str, where: str = "true") -> UUID | None:
        rows = self.world.database.ask(f"select id from public.{table} where {where} order by id")
        return self._chance.choice(rows)[0] if rows else None

    def _create(self, run: Any) -> None:
        if len(self.world.database.ask("select from public.agent_stacks")) >= 5:
            return
        state = self._chance.choice(("running", "running", "running", "idle"))
        sql = "insert into public.agent_stacks (participant_name, execution_state, cadence_s) values (%s, %s, %s)"
        run(sql, f"team {self._chance.randrange(1000)}", state, self._chance.choice((None, 1, 2)))

    def _move(self, run: Any) -> None:
        state = self._chance.choice(("running", "running", "running", "paused", "paused", "stopped"))
        run("update public.agent_stacks set execution_state = %s where id = %s", state, self._stack())

    def _move_all(self, run: Any) -> None:
        state = self._chance.choice(("running", "running", "paused", "stopped"))
        run("update public.agent_stacks set execution_state = %s", state)

    def _touch_all(self, run: Any) -> None:
        run("update public.agent_stacks set priority = %s", self._chance.randint(0, 10))

    def _delete(self, run: Any) -> None:
        run("delete from public.agent_stacks where id = %s", self._stack())

    def _todo(self, run: Any) -> None:
        if stack := self._stack():
            self._lines += 1
            sql = "insert into public.todos (stack_id, content, priority, assigned_to) values (%s, %s, %s, %s)"
            to = self._chance.choice(("builder", "builder", "communicator"))
            run(sql, stack, f"person's {self._lines}", self._chance.randint(1, 10), to)

    def _cancel_todo(self, run: Any) -> None:
        if todo := self._row("todos", "status in ('pending', 'in_progress', 'failed')"):
            run("update public.todos set status = 'cancelled' where id = %s", todo)

    def _edit_todos(self, run: Any) -> None:
        run("update public.todos set priority = %s where stack_id = %s", self._chance.randint(1, 10), self._stack())

    def _retry(self, run: Any) -> None:
        run("update public.todos set status = 'pending' where status in ('failed', 'cancelled')")
        run("update public.user_messages set status = 'waiting' where status = 'failed'")
        run("update public.message_reads set status = 'waiting' where status = 'failed'")

    def _idea(self, run: Any) -> None:
        if stack := self._stack():
            sql = """insert into public.project_ideas (stack_id, title) values (%s, %s)
              on conflict (stack_id) do update set title = excluded.title"""
            run(sql, stack, f"idea {self._chance.randrange(1000)}")

    def _line(self, run: Any) -> None:
        stack = self._stack()
        for _ in range(self._chance.choice((1, 1, 1, 4)) if stack else 0):
            self._lines += 1
            run("insert into public.user_messages (stack_id, content) values (%s, %s)", stack, f"line {self._lines}")

    def _visitor_line(self, run: Any) -> None:
        """As a visitor of the page: through row-level security and the token buckets."""
        if stack := self._stack():
            self._lines += 1
            run("""select set_config('request.jwt.claims', '{"role":"anon"}', true)""")
            run("set local role anon")
            run("insert into public.user_messages (stack_id, content) values (%s, %s)", stack, f"line {self._lines}")
            run("reset role")
            run("select set_config('request.jwt.claims', '', true)")

    def _message(self, run: Any) -> None:
        """A team message written by hand, by whom only the database knows; its writer has to wake the reader, too."""
        if stack := self._stack():
            self._lines += 1
            sql = "insert into public.messages (to_stack_id, content, message_type) values (%s, %s, 'direct')"
            run(sql, stack, f"message {self._lines}")
            run("select internal.wake(%s)", stack)

    @property
    def _actions(self) -> list[Callable[[Any], None]]:
        return [
            self._create, self._move, self._move_all, self._touch_all, self._delete, self._todo, self._cancel_todo,
            self._edit_todos, self._retry, self._idea, self._line, self._visitor_line, self._message,
        ]  # fmt: skip

    _weights = (5, 8, 2, 2, 2, 8, 2, 2, 2, 2, 8, 2, 4)
