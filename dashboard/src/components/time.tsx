/* Times: relative to now, exact on hover and focus; local or UTC, as the viewer chooses. */

import { computed, effect, signal } from "@preact/signals";
import { absolute, clock, duration, instant, relative } from "../format";
import { hidden, paused, skewMs } from "../live/stream";
import { zone } from "../prefs";

const tick = signal(Date.now());
export const now = computed(() => tick.value + skewMs.value); // by the server's clock
export const utc = computed(() => zone.value === "UTC");

effect(() => {
  if (hidden.value || paused.value) return;
  tick.value = Date.now();
  const timer = setInterval(() => {
    tick.value = Date.now();
  }, 1000);
  return () => clearInterval(timer);
});

/** "4 min ago" */
export function Ago({ at, focusable = false }: { at: string; focusable?: boolean }) {
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={absolute(ms, utc.value)} tabIndex={focusable ? 0 : undefined}>
      {relative(ms, now.value)}
    </time>
  );
}

/** "in 12 s", and "due 4 min ago" once it has passed. */
export function Due({ at }: { at: string }) {
  return (
    <>
      {Date.parse(at) < now.value && "due "}
      <Ago at={at} />
    </>
  );
}

const STAMP = /(?:\b(?:at|since) )?\b(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/;

/** A sentence of the server; times in it are relative here: "disabled automatically 2 min ago". */
export function Timed({ text }: { text: string }) {
  const [before = "", day, clock] = text.split(STAMP);
  return day === undefined ? (
    <>{text}</>
  ) : (
    <>
      {before}
      <Ago at={`${day}T${clock}Z`} />
      <Timed text={text.slice(before.length).replace(STAMP, "")} />
    </>
  );
}

/** "15:10:42", with the day where it is another one. */
export function At({ at, exact = false }: { at: string; exact?: boolean }) {
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={`${absolute(ms, utc.value)}, ${relative(ms, now.value)}`}>
      {exact ? clock(ms, utc.value, true) : instant(ms, now.value, utc.value)}
    </time>
  );
}

/** How long since then; it ticks. */
export function Since({ at }: { at: string }) {
  return <time dateTime={at}>{duration(Math.max(0, Math.round((now.value - Date.parse(at)) / 1000)))}</time>;
}
