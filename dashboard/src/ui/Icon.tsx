const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  stop: "M6 6h12v12H6z",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  retry: "M4 12a8 8 0 1 1 2.6 5.9M4 12V6m0 6h6",
  expand: "M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13",
  send: "M5 12h14M13 6l6 6-6 6",
  check: "M5 12.5l4.5 4.5L19 7",
  hourglass: "M7 4h10M7 20h10M8 4c0 5 8 5 8 0M8 20c0-9 8-9 8-16M16 20c0-9-8-9-8-16",
} as const;

const FILLED = new Set(["play", "pause", "stop"]);

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  const paint = FILLED.has(name)
    ? { fill: "currentColor" }
    : { fill: "none", stroke: "currentColor", strokeWidth: 1.9, strokeLinecap: "round", strokeLinejoin: "round" } as const;
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} {...paint} />
    </svg>
  );
}
