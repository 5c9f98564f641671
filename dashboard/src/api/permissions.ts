/* What we may do, by our role and by the host that we are part of: what it refuses is not offered.

   - Nothing is asked where the host refuses no single actions.
   - What is not known yet is not offered; what was known stays while it is asked anew.
   - It is asked anew with every fresh look (`epoch`), and when an action was refused after all: the server judges each. */

import { effect, signal } from "@preact/signals";
import { epoch } from "../live/stream";
import { questions, type Pair, type Question } from "./batches";
import { get, whenNotPermitted } from "./client";
import type { Permissions } from "./schema";
import { may, readSession, session, type Role } from "./session";

const known = signal<ReadonlyMap<string, boolean>>(new Map());
const look = signal(0); // grows when all of it is to be asked anew
const asked = new Map<string, number>(); // in which look
let wanted: Pair[] = [];

export function mayDo(role: Role, action: string, worker: string | null): boolean {
  if (!may(role)) return false;
  if (!session.value?.limited) return true;
  const key = keyOf({ action, worker });
  if (asked.get(key) !== look.value) {
    asked.set(key, look.value);
    if (wanted.push({ action, worker }) === 1) queueMicrotask(() => void askWanted());
  }
  return known.value.get(key) ?? false;
}

/** The same to many: those that fit a filter by *worker*, or by none, and are *of* these workers as far as one can see. */
export function mayDoToMany(role: Role, many: string, one: string, worker: string | null, of: Iterable<string> = []): boolean {
  const each = [...new Set(worker === null ? of : [worker])].map((name) => mayDo(role, one, name));
  return mayDo(role, many, worker) && each.every(Boolean); // all are asked for at once
}

async function askWanted(): Promise<void> {
  const pairs = wanted;
  wanted = [];
  for (const question of questions(pairs)) await ask(question);
}

async function ask({ action, worker }: Question): Promise<void> {
  const during = look.peek();
  try {
    const { permitted } = await get<Permissions>("session/may", { action, worker });
    if (look.peek() !== during) return; // a later look asks it too
    const after = new Map(known.peek());
    for (const { worker: name, actions } of permitted) {
      for (const each of action) after.set(keyOf({ action: each, worker: name }), actions.includes(each));
    }
    known.value = after;
  } catch {
    // as before; the next look asks again
  }
}

function keyOf({ action, worker }: Pair): string {
  return JSON.stringify([action, worker]);
}

effect(() => {
  epoch.value;
  session.value;
  look.value = look.peek() + 1;
});

whenNotPermitted(() => void readSession().catch(() => undefined));
