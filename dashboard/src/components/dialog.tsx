/* One dialog at a time: it asks before something is done, and shows what went wrong beside its button.

   - The focus comes back to what opened it; where that is gone, to the page's heading.
   - A single letter never acts: every action that a key opens ends in such a dialog. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { sentence } from "../api/client";
import { refresh } from "../live/stream";
import { Glyph } from "./glyph";
import { say } from "./notice";

/** What has the focus first: the choice, the first field, the way back. */
const FIRST = [".choices button", "form :is(input, textarea, select)", "form footer button"];

const current = signal<ComponentChildren>(null);
let opener: Element | null = null;

export function openDialog(content: ComponentChildren): void {
  opener = document.activeElement;
  current.value = content;
}

export function closeDialog(): void {
  current.value = null;
  const back = opener;
  opener = null;
  requestAnimationFrame(() => {
    if (back instanceof HTMLElement && back.isConnected && back !== document.body) back.focus();
    else focusHeading();
  });
}

export function focusHeading(): void {
  document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
}

export function DialogHost() {
  return <>{current.value}</>;
}

export function isDialogOpen(): boolean {
  return current.value !== null;
}

export function Dialog({ title, wide = false, children }: { title: string; wide?: boolean; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const it = box.current;
    it?.showModal();
    it?.querySelector<HTMLElement>(FIRST.find((each) => it.querySelector(each)) ?? "button")?.focus();
    return () => it?.close();
  }, []);
  return (
    <dialog
      ref={box}
      class={wide ? "wide" : ""}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        closeDialog();
      }}
      onPointerDown={(event) => {
        if (event.target === box.current) closeDialog();
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={closeDialog}>
            <Glyph name="cross" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface Order {
  title: string;
  verb: string;
  grave?: boolean;
  wide?: boolean;
  disabled?: boolean;
  children?: ComponentChildren;
  /** What was done, to be said; whatever it throws is shown.  null: stay open. */
  act: () => Promise<ComponentChildren>;
}

/** A dialog with fields and one button that does it. */
export function Ask({ title, verb, grave = false, wide = false, disabled = false, children, act }: Order) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      const done = await act();
      if (done === null) return;
      closeDialog();
      refresh();
      say(done);
    } catch (error) {
      setProblem(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} wide={wide}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        {children}
        {problem && (
          <p class="problem" role="alert">
            <Glyph name="bang" /> {problem}
          </p>
        )}
        <footer>
          <button type="button" onClick={closeDialog}>
            Back
          </button>
          <button type="submit" class={grave ? "grave" : "primary"} disabled={disabled || busy} aria-busy={busy}>
            {busy ? "Working…" : verb}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  hint?: ComponentChildren;
  placeholder?: string;
  long?: boolean;
}

let fields = 0;

export function Field({ label, value, onValue, hint, placeholder, long = false }: FieldProps) {
  const [id] = useState(() => `field-${++fields}`);
  const common = {
    id,
    value,
    placeholder,
    "aria-describedby": hint ? `${id}-hint` : undefined,
    onInput: (event: Event) => onValue((event.currentTarget as HTMLInputElement).value),
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {long ? <textarea rows={3} {...common} /> : <input type="text" {...common} />}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
