/**
 * Runs queued work once a frame. A hidden tab gets no frames, so there a slow timer takes over: the page stays right
 * without painting for nobody, and catches up at once when it is looked at again.
 */

const HIDDEN_MS = 1000;

export function frameScheduler(work: () => void): { request: () => void; cancel: () => void } {
  let frame: number | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;

  const cancel = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    if (timer !== null) clearTimeout(timer);
    frame = timer = null;
  };
  const run = () => {
    cancel();
    work();
  };
  const request = () => {
    if (frame !== null || timer !== null) return;
    // Both are armed: whichever the browser grants first does the work, for a tab may be hidden between the two.
    if (!document.hidden) frame = requestAnimationFrame(run);
    timer = setTimeout(run, HIDDEN_MS);
  };
  return { request, cancel };
}

/** Calls back after the current frame has been painted (a task queued from inside a frame runs behind its paint). */
export function afterPaint(callback: () => void): void {
  const channel = new MessageChannel();
  channel.port1.onmessage = callback;
  channel.port2.postMessage(null);
}
