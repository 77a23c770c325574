import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef, useState } from "react";

interface VirtualRowsProps {
  ids: readonly string[];
  rowHeight: number;
  label: string;
  head: ReactNode;
  row: (id: string, index: number) => ReactNode;
}

const SPARE = 6; // rows rendered above and below the view, so that scrolling meets no gaps

/** A table of equally high rows of which only those in view exist; roles and counts tell the whole to a screen reader. */
export function VirtualRows({ ids, rowHeight, label, head, row }: VirtualRowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);

  const first = Math.max(0, Math.min(ids.length - 1, Math.floor(view.top / rowHeight) - SPARE));
  const last = Math.min(ids.length, Math.ceil((view.top + view.height) / rowHeight) + SPARE);

  /** The arrow keys walk from row to row, also to rows that do not exist yet. */
  function walk(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const here = (event.target as HTMLElement).closest<HTMLElement>("[data-index]");
    const element = box.current;
    if (step === 0 || !here || !element) return;
    const to = Number(here.dataset.index) + step;
    if (to < 0 || to >= ids.length) return;
    event.preventDefault();
    const top = to * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + 2 * rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + 2 * rowHeight - element.clientHeight;
    }
    requestAnimationFrame(() => element.querySelector<HTMLElement>(`[data-index="${to}"] a`)?.focus());
  }

  return (
    <div ref={box} className="rows" role="table" aria-label={label} aria-rowcount={ids.length + 1} onKeyDown={walk}>
      {head}
      <div role="rowgroup" className="rows-space" style={{ height: ids.length * rowHeight }}>
        {ids.slice(first, last).map((id, offset) => (
          <div
            key={id}
            role="row"
            aria-rowindex={first + offset + 2}
            data-index={first + offset}
            data-testid="stack-row"
            data-stack-id={id}
            className="row"
            style={{ height: rowHeight, transform: `translateY(${(first + offset) * rowHeight}px)` }}
          >
            {row(id, first + offset)}
          </div>
        ))}
      </div>
    </div>
  );
}
