/* Small things that pages are made of. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Progress as ProgressValue } from "../api/schema";
import { href } from "../routes";
import { count } from "../format";
import { Glyph } from "./glyph";

export function Head({ title, about, children }: { title: ComponentChildren; about?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <div class="page-title">
        <h1 tabIndex={-1}>{title}</h1>
        {about && <p class="about">{about}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

let sections = 0;

export function Section({ title, aside, children, class: extra = "" }: { title: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; class?: string }) {
  const [id] = useState(() => `section-${++sections}`);
  return (
    <section aria-labelledby={id} class={extra}>
      <div class="section-head">
        <h2 id={id}>{title}</h2>
        {aside && <div class="aside">{aside}</div>}
      </div>
      {children}
    </section>
  );
}

const LONG_NAME = 32; // characters; beyond them it breaks into lines

export function WorkerLink({ name, open = false }: { name: string; open?: boolean }) {
  return (
    <a class={name.length > LONG_NAME ? "name long" : "name"} href={href("workers", name)} data-open={open || undefined}>
      {name}
    </a>
  );
}

export function RunLink({ id, open = false }: { id: number; open?: boolean }) {
  return (
    <a class="id" href={href("runs", id)} data-open={open || undefined} aria-label={`Run ${id}`}>
      #{id}
    </a>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()} aria-label={`Copy ${what}`}>
      <Glyph name={done ? "check" : "copy"} /> {done ? "Copied" : "Copy"}
    </button>
  );
}

export function Progress({ progress }: { progress: ProgressValue }) {
  const { done, total, message } = progress;
  const share = total ? Math.min(1, done / total) : null;
  return (
    <span class="progress">
      <progress value={share ?? undefined} max={1} aria-label={`Progress${message ? `: ${message}` : ""}`} />
      <span class="number">{share === null ? count(done) : `${Math.floor(share * 100)} %`}</span>
      {message && <span class="muted clip">{message}</span>}
    </span>
  );
}

/** What would fill this, as a command or a few lines. */
export function Empty({ title, children, code }: { title: string; children?: ComponentChildren; code?: string }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <p>{children}</p>}
      {code && (
        <div class="snippet">
          <pre tabIndex={0} aria-label="Example">
            <code>{code}</code>
          </pre>
          <Copy text={code} what="these lines" />
        </div>
      )}
    </div>
  );
}

export function Trouble({ error }: { error: string }) {
  return (
    <p class="problem" role="alert">
      <Glyph name="bang" /> {error}
    </p>
  );
}

export function Loading() {
  return (
    <p class="loading" aria-busy="true">
      Loading…
    </p>
  );
}

/** A page of which nothing is known yet. */
export function Arriving({ title }: { title: string }) {
  return (
    <>
      <Head title={title} />
      <Loading />
    </>
  );
}

export function Fresh({ waiting, show, what }: { waiting: number; show: () => void; what: string }) {
  return waiting === 0 ? null : (
    <button type="button" class="fresh" onClick={show}>
      {count(waiting)} new {what}
    </button>
  );
}

export function Details({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Detail({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
