/**
 * Runs `task` at once, then at most every `ms`, never twice at the same time; calls in between become one more run, so
 * that the last call is always followed by a run that began after it.
 */
export function atMostEvery(ms: number, task: () => void | Promise<void>): { call: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [busy, again, stopped] = [false, false, false];

  const run = async () => {
    busy = true;
    again = false;
    const pause = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    try {
      await task();
    } finally {
      await pause;
      busy = false;
      if (again && !stopped) void run();
    }
  };

  return {
    call: () => {
      if (stopped) return;
      if (busy) again = true;
      else void run();
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
