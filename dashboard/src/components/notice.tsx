/* What was done, said once and politely; it goes by itself, unless somebody looks at it. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Glyph } from "./glyph";

const STAYS_MS = 7000;
interface Notice {
  number: number;
  text: ComponentChildren;
}

const notice = signal<Notice | null>(null);
let number = 0;

export function say(text: ComponentChildren): void {
  notice.value = { number: ++number, text };
}

export function Notices() {
  const it = notice.value;
  const [held, hold] = useState(false);
  useEffect(() => {
    if (it === null || held) return;
    const timer = setTimeout(() => {
      notice.value = null;
    }, STAYS_MS);
    return () => clearTimeout(timer);
  }, [it, held]);
  return (
    <div class="notices" role="status" aria-live="polite" onPointerEnter={() => hold(true)} onPointerLeave={() => hold(false)}>
      {it && (
        <p class="notice" key={it.number}>
          <span>{it.text}</span>
          <button type="button" class="icon" aria-label="Dismiss" onClick={() => (notice.value = null)}>
            <Glyph name="cross" />
          </button>
        </p>
      )}
    </div>
  );
}
