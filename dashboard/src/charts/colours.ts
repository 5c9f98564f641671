/* Canvases know no CSS: the tokens, read anew when the theme changes. */

import { computed, signal } from "@preact/signals";

const changes = signal(0);

new MutationObserver(() => changes.value++).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changes.value++);

const tokens = ["text-2", "text-3", "line", "line-strong", "accent", "ok", "ok-fill", "bad-fill", "running", "waiting", "warn", "bad", "sans"] as const;
export type Colours = Readonly<Record<(typeof tokens)[number], string>>;

export const colours = computed<Colours>(() => {
  changes.value;
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(tokens.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colours;
});
