/* The focus is never lost: when what has it goes away, the nearest thing that stays takes it.

   - A dialog gives its focus back by itself (`dialog.tsx`). */

import { focusHeading } from "./dialog";

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select, textarea, summary, [tabindex='0']";

export function keepFocus(): void {
  let around: Element[] = []; // what had the focus, and what it stood in, the innermost first
  document.addEventListener("focusin", (event) => {
    around = event.target instanceof Element && event.target.closest("dialog") === null ? chain(event.target) : [];
  });
  document.addEventListener("focusout", (event) => {
    const left = event.target as Element;
    queueMicrotask(() => {
      if (left.isConnected) around = [];
    });
  });
  new MutationObserver(() => {
    const [had] = around;
    if (had === undefined || had.isConnected || document.activeElement !== document.body) return;
    const home = around.find((each) => each.isConnected);
    around = [];
    const next = home?.querySelector<HTMLElement>(FOCUSABLE);
    if (next) next.focus();
    else focusHeading();
  }).observe(document.body, { childList: true, subtree: true });
}

function chain(element: Element): Element[] {
  const parents: Element[] = [];
  for (let at: Element | null = element; at !== null && at.id !== "main"; at = at.parentElement) parents.push(at);
  return parents;
}
