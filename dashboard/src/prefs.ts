/* What this browser remembers: theme, time zone, keys, density. */

import { effect, signal, type Signal } from "@preact/signals";

function remembered<T extends string>(name: string, known: readonly T[], otherwise: T): Signal<T> {
  const stored = stash(() => localStorage.getItem(`shiftboss.${name}`));
  const preference = signal<T>(known.find((each) => each === stored) ?? otherwise);
  effect(() => {
    const value = preference.value;
    stash(() => localStorage.setItem(`shiftboss.${name}`, value));
  });
  return preference;
}

/** Storage may be forbidden; then nothing is remembered. */
function stash<T>(act: () => T): T | null {
  try {
    return act();
  } catch {
    return null;
  }
}

export const THEMES = ["system", "light", "dark"] as const;
export const theme = remembered("theme", THEMES, "system");
export const zone = remembered("zone", ["local", "UTC"] as const, "local");
export const keys = remembered("keys", ["on", "off"] as const, "on");

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
});

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
}

export function otherZone(): void {
  zone.value = zone.value === "local" ? "UTC" : "local";
}
