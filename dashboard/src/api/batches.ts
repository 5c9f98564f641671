/* Many questions about what may be done, put together into few.

   - A question names as many workers as the server takes, and no more text than a proxy lets through in an address.
   - A name that the server would not take is in none: nothing can be done to such a worker. */

export interface Pair {
  action: string;
  worker: string | null;
}

export interface Question {
  action: string[];
  worker: string[];
}

const MAX_WORKERS = 50; // as the server says
const MAX_ACTIONS = 20;
const MAX_NAME = 128; // characters, as the server counts them
const MAX_TEXT = 4000; // of workers, as the address writes them; proxies take 8 KB

/** Workers that want the same actions are asked about together. */
export function questions(pairs: readonly Pair[]): Question[] {
  const actionsOf = new Map<string | null, Set<string>>();
  for (const { action, worker } of pairs) actionsOf.set(worker, (actionsOf.get(worker) ?? new Set()).add(action));
  const groups = new Map<string, { actions: string[]; workers: (string | null)[] }>();
  for (const [worker, ofWorker] of actionsOf) {
    const actions = [...ofWorker].sort().slice(0, MAX_ACTIONS);
    const key = `${worker === null} ${actions.join(" ")}`;
    if (!groups.has(key)) groups.set(key, { actions, workers: [] });
    groups.get(key)!.workers.push(worker);
  }
  return [...groups.values()].flatMap(({ actions, workers }) => parted(workers).map((worker) => ({ action: actions, worker })));
}

function parted(workers: readonly (string | null)[]): string[][] {
  if (workers.includes(null)) return [[]];
  const parts: string[][] = [];
  let room = 0;
  for (const worker of workers as string[]) {
    if (!canBeNamed(worker)) continue;
    const length = new URLSearchParams({ worker }).toString().length + 1;
    if (parts.length === 0 || length > room || parts.at(-1)!.length === MAX_WORKERS) {
      parts.push([]);
      room = MAX_TEXT;
    }
    parts.at(-1)!.push(worker);
    room -= length;
  }
  return parts;
}

function canBeNamed(worker: string): boolean {
  return worker !== "" && [...worker].length <= MAX_NAME && !worker.includes("\0");
}
