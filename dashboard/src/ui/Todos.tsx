import { type FormEvent, useState } from "react";
import { reason } from "../actions";
import type { StackData } from "../data/stack";
import type { Todo, TodoStatus } from "../rows";
import { useServices } from "../services";
import { whyNot } from "../session";
import { useRows, useViewer } from "./hooks";
import { Icon } from "./Icon";
import { Age } from "./parts";
import { TODO_WORDS } from "./words";

const RANK: Record<TodoStatus, number> = { in_progress: 0, failed: 1, pending: 2, completed: 3, cancelled: 4 };

/** What is being done first, then what failed, then what waits by priority, then what is over, newest first. */
export function orderTodos(a: Todo, b: Todo): number {
  const over = a.status === "completed" || a.status === "cancelled";
  return (
    RANK[a.status] - RANK[b.status] ||
    (over ? b.updated_at.localeCompare(a.updated_at) : b.priority - a.priority || a.created_at.localeCompare(b.created_at))
  );
}

export function Todos({ data, stackId }: { data: StackData; stackId: string }) {
  const todos = [...useRows(data.todos)].sort(orderTodos);
  const viewer = useViewer();
  const done = todos.filter((todo) => todo.status === "completed").length;
  const counted = todos.filter((todo) => todo.status !== "cancelled").length;
  return (
    <section className="panel panel-todos" aria-labelledby="todos-title">
      <header className="panel-head">
        <h2 id="todos-title">Todos</h2>
        <span className="muted">
          {done} of {counted} done
        </span>
        {counted > 0 && <progress className="todo-progress" value={done} max={counted} aria-label="Todos done" />}
      </header>
      {todos.length === 0 ? (
        <p className="panel-empty muted">No todos yet. The planner writes them in its first run.</p>
      ) : (
        <ul className="todos" tabIndex={0} aria-label="Todos">
          {todos.map((todo) => (
            <TodoItem key={todo.id} todo={todo} />
          ))}
        </ul>
      )}
      {viewer.role === "operator" && !viewer.readOnly && <AddTodo stackId={stackId} />}
    </section>
  );
}

function TodoItem({ todo }: { todo: Todo }) {
  const { actions } = useServices();
  const viewer = useViewer();
  const at = todo.completed_at ?? todo.updated_at;
  return (
    <li className={`todo todo-${todo.status}`} data-testid="todo" data-status={todo.status}>
      <span className="todo-mark" aria-hidden="true">
        {todo.status === "completed" && <Icon name="check" />}
        {(todo.status === "failed" || todo.status === "cancelled") && <Icon name="close" />}
      </span>
      <div className="todo-text">
        <p>{todo.content}</p>
        <span className="todo-facts muted">
          <span className="todo-status">{TODO_WORDS[todo.status]}</span> · priority {todo.priority} · <Age at={at} suffix=" ago" />
          {todo.attempts > 1 && ` · attempt ${todo.attempts}`}
        </span>
        {todo.last_error && todo.status !== "completed" && <p className="todo-error">{todo.last_error}</p>}
      </div>
      {todo.status === "failed" && viewer.role !== "visitor" && (
        <button type="button" className="button button-small" disabled={whyNot(viewer) !== null} onClick={() => void actions.retry("todos", todo.id)}>
          <Icon name="retry" /> Retry
        </button>
      )}
    </li>
  );
}

function AddTodo({ stackId }: { stackId: string }) {
  const { actions, notices } = useServices();
  const [content, setContent] = useState("");
  async function add(event: FormEvent) {
    event.preventDefault();
    const text = content.trim();
    if (text === "") return;
    setContent("");
    await actions.addTodo(stackId, text).catch((error: unknown) => {
      setContent(text);
      notices.refused(`Could not add the todo. ${reason(error)}`);
    });
  }
  return (
    <form className="add-todo" onSubmit={add}>
      <input value={content} maxLength={2000} placeholder="Add a todo for the builder" aria-label="New todo" data-testid="todo-input" onChange={(event) => setContent(event.target.value)} />
      <button type="submit" className="button button-icon" aria-label="Add todo" disabled={content.trim() === ""}>
        <Icon name="plus" />
      </button>
    </form>
  );
}
