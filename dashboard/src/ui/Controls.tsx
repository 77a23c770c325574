import { allowed, type Move } from "../moves";
import type { ExecutionState, Stack } from "../rows";
import { useServices } from "../services";
import { whyNot } from "../session";
import type { Table } from "../store";
import { useRow, useViewer } from "./hooks";
import { Icon, type IconName } from "./Icon";
import { capital } from "./words";

const MOVES: readonly { move: Move; icon: IconName }[] = [
  { move: "play", icon: "play" },
  { move: "resume", icon: "play" },
  { move: "pause", icon: "pause" },
  { move: "stop", icon: "stop" },
];

/** The state to show: what was asked for, while the server has not answered yet. */
export function useShownState(stack: Stack): { state: ExecutionState; pending: boolean } {
  const wish = useRow(useServices().actions.wishes, stack.id);
  return { state: wish?.state ?? stack.execution_state, pending: wish !== undefined };
}

/** The moves that make sense now. Visitors see none; who may only look sees them disabled, with the reason. */
export function Controls({ stack, table, compact }: { stack: Stack; table: Table<Stack>; compact: boolean }) {
  const { actions } = useServices();
  const viewer = useViewer();
  const { state, pending } = useShownState(stack);
  if (viewer.role === "visitor") return null;
  const refused = whyNot(viewer);
  return (
    <div className="controls" role="group" aria-label={`Controls of ${stack.participant_name}`}>
      {MOVES.filter(({ move }) => allowed(move, state)).map(({ move, icon }) => (
        <button
          key={move}
          type="button"
          className={compact ? "button button-icon" : `button ${move === "stop" ? "" : "button-primary"}`}
          data-testid={`control-${move}`}
          disabled={refused !== null || pending}
          title={refused ?? `${capital(move)} ${stack.participant_name}`}
          aria-label={compact ? `${capital(move)} ${stack.participant_name}` : undefined}
          onClick={() => void actions.move([stack], move, table)}
        >
          <Icon name={icon} />
          {compact ? null : capital(move)}
        </button>
      ))}
    </div>
  );
}
