/* What may be done, each as a button that asks first; whoever may not do it, by role or by the host, has no button. */

import { useState } from "preact/hooks";
import { path, post } from "../api/client";
import type { Accepted, DeadLetter, Drained, Preferred, Run, Switched } from "../api/schema";
import { mayDo } from "../api/permissions";
import { go } from "../nav";
import { Ask, Field, openDialog } from "./dialog";
import { RunLink, WorkerLink } from "./bits";
import { seconds } from "./schema";
import { openTrigger } from "./trigger";

interface Look {
  small?: boolean;
  primary?: boolean;
}

interface ActionProps extends Look {
  name: string;
  about?: string; // what it is about, for its accessible name
  grave?: boolean;
  open: () => void;
}

export function Action({ name, about, open, small = false, primary = false, grave = false }: ActionProps) {
  return (
    <button
      type="button"
      data-action
      class={[small && "small", primary && "primary", grave && "grave-text"].filter(Boolean).join(" ")}
      aria-label={about === undefined ? undefined : `${name.replace("…", "")} ${about}`}
      aria-haspopup="dialog"
      onClick={open}
    >
      {name}
    </button>
  );
}

// ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

export function TriggerButton({ worker, label = "Trigger…", ...look }: { worker: string; label?: string } & Look) {
  return mayDo("operator", "trigger", worker) ? <Action name={label} about={worker} open={() => openTrigger(worker)} {...look} /> : null;
}

export function DisableButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "disable", worker) ? <Action name="Disable…" about={worker} open={() => openDialog(<Disable worker={worker} />)} {...look} /> : null;
}

export function EnableButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "enable", worker) ? <Action name="Enable…" about={worker} open={() => openDialog(<Enable worker={worker} />)} {...look} /> : null;
}

/** Enabling what is enabled closes its breaker and forgets its failures. */
export function ResetButton({ worker, ...look }: { worker: string } & Look) {
  return mayDo("operator", "enable", worker) ? <Action name="Close breaker…" about={`of ${worker}`} open={() => openDialog(<Enable worker={worker} isOn />)} {...look} /> : null;
}

export function ForgetButton({ worker }: { worker: string }) {
  return mayDo("admin", "forget", worker) ? <Action name="Forget…" about={worker} grave open={() => openDialog(<Forget worker={worker} />)} /> : null;
}

function Disable({ worker }: { worker: string }) {
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={`Disable ${worker}?`}
      verb="Disable"
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/disable`, { reason });
        return (
          <>
            Disabled <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>Nothing new of it starts; what runs goes on, and whoever depends on it waits.</p>
      <Field label="Reason" value={reason} onValue={setReason} hint="Stands beside the worker and in the activity." />
    </Ask>
  );
}

function Enable({ worker, isOn = false }: { worker: string; isOn?: boolean }) {
  return (
    <Ask
      title={isOn ? `Close the breaker of ${worker}?` : `Enable ${worker}?`}
      verb={isOn ? "Close the breaker" : "Enable"}
      act={async () => {
        await post<Switched>(`workers/${path(worker)}/enable`);
        return (
          <>
            {isOn ? "Closed the breaker of" : "Enabled"} <WorkerLink name={worker} />.
          </>
        );
      }}
    >
      <p>{isOn ? "What waits for it starts at once, without a probe. Its failures in a row are forgotten." : "It starts again. Its failures in a row are forgotten and its breaker is closed."}</p>
    </Ask>
  );
}

function Forget({ worker }: { worker: string }) {
  return (
    <Ask
      title={`Forget ${worker}?`}
      verb="Forget"
      grave
      act={async () => {
        await post<void>(`workers/${path(worker)}/forget`);
        go("workers");
        return `Forgot ${worker}.`;
      }}
    >
      <p>It is removed from every list; its history stays. Only possible when no live node declares it any more.</p>
    </Ask>
  );
}

// ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function CancelButton({ run, worker, ...look }: { run: number; worker: string } & Look) {
  return mayDo("operator", "cancel", worker) ? (
    <Action name="Cancel…" about={`run ${run}`} open={() => openDialog(<Cancel run={run} worker={worker} />)} {...look} />
  ) : null;
}

function Cancel({ run, worker }: { run: number; worker: string }) {
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={`Cancel run ${run} of ${worker}?`}
      verb="Cancel the run"
      grave
      act={async () => {
        const after = await post<Run>(`runs/${run}/cancel`, { reason });
        return (
          <>
            Run <RunLink id={run} /> {after.status === "cancelled" ? "is cancelled." : "was asked to end."}
          </>
        );
      }}
    >
      <p>While it waits it ends at once; while it runs its body is asked to end. It is not retried.</p>
      <Field label="Reason" value={reason} onValue={setReason} />
    </Ask>
  );
}

// ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────

export function LetterButtons({ letter, small = false, changed }: { letter: DeadLetter; small?: boolean; changed: () => void }) {
  if (letter.state !== "open") return null;
  const about = `run ${letter.run}`;
  return (
    <>
      {letter.has_payload && mayDo("operator", "replay", letter.worker) && (
        <Action name="Replay…" about={about} small={small} primary={!small} open={() => openDialog(<Replay letter={letter} changed={changed} />)} />
      )}
      {mayDo("operator", "resolve", letter.worker) && (
        <Action name="Resolve…" about={about} small={small} open={() => openDialog(<Close letter={letter} how="resolve" changed={changed} />)} />
      )}
      {mayDo("admin", "discard", letter.worker) && (
        <Action name="Discard…" about={about} small={small} grave open={() => openDialog(<Close letter={letter} how="discard" changed={changed} />)} />
      )}
    </>
  );
}

function Replay({ letter, changed }: { letter: DeadLetter; changed: () => void }) {
  const [delay, setDelay] = useState("");
  const wait = delay === "" ? 0 : seconds(delay);
  return (
    <Ask
      title={`Replay run ${letter.run} of ${letter.worker}?`}
      verb="Replay"
      disabled={wait === null}
      act={async () => {
        const { run } = await post<Accepted>(`dead-letters/${letter.run}/replay`, { delay: wait ?? 0 });
        changed();
        return (
          <>
            Run {letter.run} is replayed as <RunLink id={run} />.
          </>
        );
      }}
    >
      <p>A new run with the same payload and fresh attempts. This letter is closed and keeps its history.</p>
      <Field
        label="Wait before it"
        value={delay}
        onValue={setDelay}
        placeholder="at once"
        hint={wait === null ? "That is no duration; write 30s, 10m or 1h30m." : "30s, 10m, 1h30m"}
      />
    </Ask>
  );
}

function Close({ letter, how, changed }: { letter: DeadLetter; how: "resolve" | "discard"; changed: () => void }) {
  const [note, setNote] = useState("");
  const isGrave = how === "discard";
  return (
    <Ask
      title={`${isGrave ? "Discard" : "Resolve"} run ${letter.run} of ${letter.worker}?`}
      verb={isGrave ? "Discard" : "Resolve"}
      grave={isGrave}
      act={async () => {
        await post<DeadLetter>(`dead-letters/${letter.run}/${how}`, { note });
        changed();
        return (
          <>
            Run <RunLink id={letter.run} /> is {isGrave ? "discarded" : "resolved"}.
          </>
        );
      }}
    >
      <p>{isGrave ? "It is worth nothing: retention takes it later, payload and all." : "Somebody has seen to it; nothing runs again."}</p>
      <Field label="Note" value={note} onValue={setNote} hint="What was done about it; kept with the letter." long />
    </Ask>
  );
}

// ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function DrainButton({ id, name }: { id: string; name: string }) {
  return mayDo("admin", "drain", null) ? <Action name="Drain…" about={name} small open={() => openDialog(<Drain id={id} name={name} />)} /> : null;
}

export function PreferButton({ worker, id, name }: { worker: string; id: string; name: string }) {
  return mayDo("admin", "prefer", worker) ? <Action name="Prefer…" about={name} small open={() => openDialog(<Prefer worker={worker} id={id} name={name} />)} /> : null;
}

function Prefer({ worker, id, name }: { worker: string; id: string; name: string }) {
  return (
    <Ask
      title={`Let ${worker} be as ${name} declares it?`}
      verb="Prefer"
      grave
      act={async () => {
        const { names } = await post<Preferred>(`nodes/${path(id)}/prefer`, { worker });
        return names.length > 0 ? `What ${name} declares about ${worker} holds from now on.` : `What ${name} declares about ${worker} holds already.`;
      }}
    >
      <p>It holds in the whole fleet, whichever code is newer, until newer code comes.</p>
    </Ask>
  );
}

function Drain({ id, name }: { id: string; name: string }) {
  return (
    <Ask
      title={`Drain ${name}?`}
      verb="Drain"
      grave
      act={async () => {
        const node = await post<Drained>(`nodes/${path(id)}/drain`);
        return `${node.name} finishes what runs and starts nothing new.`;
      }}
    >
      <p>What runs there is finished; nothing new starts on it until its process is started again.</p>
    </Ask>
  );
}
