/* What stands under the pointer or has the focus, in words beside it.  Its bar says the same to a screen reader. */

import type { Signal } from "@preact/signals";

export interface TipText {
  at: DOMRect;
  title: string;
  facts: readonly string[];
}

const WIDTH = 288;

export function Tip({ tip }: { tip: Signal<TipText | null> }) {
  const it = tip.value;
  if (it === null) return null;
  const left = Math.max(8, Math.min(innerWidth - WIDTH - 8, it.at.left + it.at.width / 2 - WIDTH / 2));
  const isBelow = it.at.bottom < innerHeight - 180;
  const place = isBelow ? { top: `${it.at.bottom + 6}px` } : { bottom: `${innerHeight - it.at.top + 6}px` };
  return (
    <div class="timeline-tip" aria-hidden="true" style={{ left: `${left}px`, width: `${WIDTH}px`, ...place }}>
      <strong>{it.title}</strong>
      {it.facts.map((fact) => (
        <span key={fact}>{fact}</span>
      ))}
    </div>
  );
}
