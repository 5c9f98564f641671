/* What happened, in a sentence.  Pure. */

import type { AnyEvent } from "../api/schema";
import type { Tone } from "../components/status";
import type { GlyphName } from "../components/glyph";
import { duration, label, plural, shortType } from "../format";

export interface EventText {
  tone: Tone;
  glyph: GlyphName;
  what: string;
  more: string;
  by: string;
}

function told(tone: Tone, glyph: GlyphName, what: string, more = "", by = ""): EventText {
  return { tone, glyph, what, more, by };
}

export function eventText(event: AnyEvent): EventText {
  switch (event.type) {
    case "audit": {
      const change = [event.before, event.after].filter(Boolean).join(" → ");
      return event.action === "refused" ? told("warn", "slash", "refused", change, event.by) : told("running", "play", label(event.action), change, event.by);
    }
    case "unreadable":
      return told("warn", "clock", "an event that cannot be read", event.reason);
    case "worker_disabled":
      return told("off", "pause", "worker disabled", [event.reason, event.starves.length > 0 ? `now wait: ${event.starves.join(", ")}` : ""].filter(Boolean).join("; "), event.by);
    case "worker_enabled":
      return told("ok", "check", "worker enabled", "", event.by);
    case "worker_forgotten":
      return told("off", "slash", "worker forgotten", "", event.by);
    case "worker_declared":
      return event.changed.length > 0 ? told("running", "gear", "declaration changed", event.changed.join(", ")) : told("off", "gear", "worker declared");
    case "breaker_opened":
      return told("bad", "slash", `breaker ${event.breaker} opened`);
    case "breaker_half_open":
      return told("warn", "cycle", `breaker ${event.breaker} half-open`, "a probe runs");
    case "breaker_closed":
      return told("ok", "check", `breaker ${event.breaker} closed`);
    case "dead_lettered":
      return told("bad", "cross", "dead letter", event.error ? `${shortType(event.error.type)}: ${event.error.message}` : label(event.cause));
    case "run_skipped":
      return told("off", "skip", `${plural(event.count, "instant")} skipped`, label(event.reason));
    case "run_rescued":
      return told("warn", "cycle", "run rescued", "its node was given up");
    case "stale_report":
      return told("warn", "bang", "late report ignored", `its claim (fence ${event.fence}) was no longer its own`);
    case "arrival_refused":
      return told("bad", "cross", "trigger refused", event.reason, event.by);
    case "node_joined":
      return told("ok", "nodes", `node ${event.name} joined`);
    case "node_left":
      return event.lost ? told("bad", "nodes", `node ${event.name} was lost`) : told("off", "nodes", `node ${event.name} left`);
    case "node_frozen":
      return told("bad", "clock", `node ${event.name} stood still for ${duration(event.seconds)}: a body kept the interpreter's lock`, event.bodies);
    case "node_shedding":
      return event.level === "nothing" ? told("ok", "check", "node holds back nothing") : told("warn", "bang", `node holds back ${event.level} runs`, event.reason);
    case "node_drained":
      return told("off", "pause", "node drained", `${event.drained} drained, ${event.interrupted} interrupted, ${event.waiting} waiting, ${event.lost} lost`);
    case "clock_stepped":
      return told("warn", "clock", `the clock moved by ${duration(event.step_s)}`);
    case "store_restored":
      return told("warn", "cycle", "store restored", event.reason);
    case "run_stored":
      return told("off", "clock", "run stored");
    case "run_started":
      return told("running", "play", "run started");
    case "attempt_ended":
      return told("warn", "cycle", `attempt ${event.attempt} ended`, label(event.cause));
    case "run_ended":
      return told(event.status === "succeeded" ? "ok" : "bad", event.status === "succeeded" ? "check" : "cross", `run ${event.status}`);
  }
}
