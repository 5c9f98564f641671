/* The one stream of this tab: what changes, as it changes.

   - On every `hello`, and whenever something was left out, `epoch` grows and pages read their lists anew; so nothing is missed.
   - Frames are handed out in batches, a few times a second, however many come.
   - While nobody looks (a hidden tab, or paused by hand) there is no stream; coming back begins with a fresh look.
   - A stream that breaks is opened again, later each time; a session that has ended asks for the token instead. */

import { batch, computed, effect, signal } from "@preact/signals";
import { address } from "../api/client";
import { mustLogIn, readSession, session } from "../api/session";
import type { Frames } from "../api/schema";
import { route } from "../nav";

export type Link = "connecting" | "live" | "paused" | "stale" | "reconnecting";

const FLUSH_MS = 150;
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 15_000;
const POLL_AFTER = 2; // breaks in a row: something between us does not let streams through

const names = ["hello", "status", "event", "run", "log", "resync", "stale", "bye"] as const;
type Name = keyof Frames;
type Handlers = { [N in Name]: Set<(frames: Frames[N][]) => void> };

export const paused = signal(false);
export const hidden = signal(document.hidden);
export const epoch = signal(0);
export const skewMs = signal(0); // the server's clock before ours
const state = signal<Exclude<Link, "paused">>("connecting");
export const reason = signal("");
export const link = computed<Link>(() => (paused.value ? "paused" : state.value));

const handlers = Object.fromEntries(names.map((name) => [name, new Set()])) as unknown as Handlers;
let source: EventSource | null = null;
let breaks = 0;
let again = 0;
let flushing = 0;
let lastEvent = "";
let queue: { name: Name; data: unknown }[] = [];

/** Be told of frames of that name; returns how to stop it. */
export function on<N extends Name>(name: N, act: (frames: Frames[N][]) => void): () => void {
  const those = handlers[name] as Set<(frames: Frames[N][]) => void>;
  those.add(act);
  return () => void those.delete(act);
}

const wanted = computed(() => {
  const { page, id } = route.value;
  const ofRun = page === "runs" && id !== null && /^\d+$/.test(id);
  return ofRun ? { topics: "status,event,run,log", run: id } : { topics: "status,event,run" };
});

const wantedKey = computed(() => JSON.stringify(wanted.value));
const mayStream = computed(() => !paused.value && !hidden.value && session.value?.role != null);

/** Keep a stream open while somebody looks. */
export function stream(): void {
  document.addEventListener("visibilitychange", () => {
    hidden.value = document.hidden;
  });
  addEventListener("online", () => reopen());
  addEventListener("pagehide", () => close());
  effect(() => {
    wantedKey.value; // another page wants other frames
    if (mayStream.value) return open();
    close();
    state.value = "connecting";
  });
}

/** Look anew after something was done while no stream tells of it. */
export function refresh(): void {
  if (link.peek() !== "live") epoch.value += 1;
}

function open(): void {
  close();
  if (state.peek() !== "connecting" && breaks > 0) state.value = "reconnecting";
  const opened = new EventSource(address("events", { ...wanted.peek(), last_event_id: lastEvent }));
  source = opened;
  for (const name of names) {
    opened.addEventListener(name, (message) => {
      if (source === opened) receive(name, message as MessageEvent<string>);
    });
  }
  opened.onerror = () => {
    if (source === opened) broken("the connection was lost");
  };
}

function close(): void {
  source?.close();
  source = null;
  queue = [];
  clearTimeout(again);
}

function reopen(): void {
  if (mayStream.peek() && source === null) open();
}

function receive(name: Name, message: MessageEvent<string>): void {
  if (message.lastEventId) lastEvent = message.lastEventId;
  const data: unknown = JSON.parse(message.data);
  queue.push({ name, data });
  if (name === "hello" || name === "bye") flush();
  else if (!flushing) flushing = window.setTimeout(flush, FLUSH_MS);
}

function flush(): void {
  clearTimeout(flushing);
  flushing = 0;
  const taken = queue;
  queue = [];
  batch(() => {
    for (const name of names) {
      const frames = taken.filter((each) => each.name === name).map((each) => each.data);
      if (frames.length > 0) deliver(name, frames);
    }
  });
}

function deliver<N extends Name>(name: N, frames: unknown[]): void {
  const last = frames[frames.length - 1] as Record<string, string>;
  if (name === "hello") {
    breaks = 0;
    state.value = "live";
    skewMs.value = Date.parse(last["at"] ?? "") - Date.now() || 0;
    epoch.value += 1;
  } else if (name === "resync") epoch.value += 1;
  else if (name === "status") state.value = "live";
  else if (name === "stale") {
    state.value = "stale";
    reason.value = last["reason"] ?? "";
  } else if (name === "bye") broken(last["reason"] ?? "the server ended the stream");
  for (const act of handlers[name]) (act as (frames: unknown[]) => void)(frames);
}

function broken(why: string): void {
  close();
  breaks += 1;
  reason.value = why;
  state.value = "reconnecting";
  const wait = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (breaks - 1)) * (0.75 + Math.random() / 2);
  again = window.setTimeout(() => void retry(), wait);
}

async function retry(): Promise<void> {
  try {
    await readSession();
    if (mustLogIn()) return;
    if (breaks > POLL_AFTER) epoch.value += 1; // pages read their lists anew: slow, but alive
    if (mayStream.peek()) open();
  } catch {
    broken("the server does not answer");
  }
}
