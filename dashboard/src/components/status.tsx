/* A status: a glyph, a word and a colour, the same everywhere. */

import type { Run } from "../api/schema";
import { label } from "../format";
import { Glyph, type GlyphName } from "./glyph";

export type Tone = "ok" | "running" | "waiting" | "warn" | "bad" | "off" | "planned";
type Look = readonly [Tone, GlyphName, string?];

const LOOKS: Record<string, Look> = {
  // runs
  pending: ["waiting", "clock"],
  running: ["running", "play"],
  succeeded: ["ok", "check"],
  dead: ["bad", "cross"],
  cancelled: ["off", "slash"],
  skipped: ["off", "skip"],
  retrying: ["warn", "cycle"],
  cancelling: ["warn", "slash"],
  zombie: ["bad", "bang"],
  failed: ["bad", "cross"],
  // health
  healthy: ["ok", "check"],
  degraded: ["warn", "bang"],
  unhealthy: ["bad", "cross"],
  offline: ["bad", "plug"],
  disabled: ["off", "pause"],
  unknown: ["off", "ring"],
  // breakers
  closed: ["ok", "check"],
  open: ["bad", "slash"],
  half_open: ["warn", "cycle", "half-open"],
  // nodes
  live: ["ok", "check"],
  draining: ["warn", "pause"],
  client: ["off", "ring"],
  "no lease": ["bad", "cross"],
  // dead letters
  replayed: ["running", "cycle"],
  resolved: ["ok", "check"],
  discarded: ["off", "slash"],
  superseded: ["off", "skip"],
};

const UNKNOWN: Look = ["off", "ring"];

export function look(status: string): { tone: Tone; glyph: GlyphName; word: string } {
  const [tone, glyph, word] = LOOKS[status] ?? UNKNOWN;
  return { tone, glyph, word: word ?? label(status) };
}

/** What a run is, in a finer word than its status. */
export function stateOf(run: Run): string {
  if (run.claim?.zombie_since) return "zombie";
  if (run.status === "running" && run.cancel !== null) return "cancelling";
  if (run.status === "pending" && run.attempt > 0) return "retrying";
  return run.status;
}

export function Badge({ status, word, quiet = false }: { status: string; word?: string | undefined; quiet?: boolean }) {
  const it = look(status);
  return (
    <span class={`status ${it.tone}${quiet ? " quiet" : ""}`}>
      <Glyph name={it.glyph} />
      <span class="word">{word ?? it.word}</span>
    </span>
  );
}
