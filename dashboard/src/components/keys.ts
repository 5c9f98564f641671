/* The keyboard: letters that go somewhere, move among rows, or open what then asks.

   - No letter acts by itself, and all of them can be switched off (WCAG 2.1.4).
   - While something is typed, or a dialog is open, letters are letters. */

import { go, route } from "../nav";
import { keys, nextTheme } from "../prefs";
import { paused } from "../live/stream";
import type { Page } from "../routes";
import { focusHeading, isDialogOpen } from "./dialog";

export const PLACES: Record<string, Page> = {
  o: "overview",
  w: "workers",
  r: "runs",
  g: "graph",
  t: "timeline",
  d: "dead",
  f: "fleet",
  a: "activity",
};

const TYPED = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const PREFIX_MS = 1500;
let prefixed = 0;
let searchNext = false;

export function listen(acts: { help: () => void; actions: (from: Element) => void }): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isDialogOpen()) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Escape") return void leave(target);
    if (keys.value === "off" || target.matches(TYPED)) return;
    if (pressed(event.key, target, acts)) event.preventDefault();
  });
}

/** Put the focus into the search field of the page that has just come. */
export function searchIfWanted(): boolean {
  const wanted = searchNext;
  searchNext = false;
  return wanted && focusSearch();
}

function pressed(key: string, target: Element, acts: { help: () => void; actions: (from: Element) => void }): boolean {
  const isSecond = performance.now() - prefixed < PREFIX_MS;
  prefixed = 0;
  const place = PLACES[key];
  if (isSecond && place !== undefined) {
    go(place);
    return true;
  }
  switch (key) {
    case "g":
      prefixed = performance.now();
      return true;
    case "/":
      return focusSearch() || searchElsewhere();
    case "j":
      return move(target, 1);
    case "k":
      return move(target, -1);
    case "x":
      return press(target.closest("[data-row]")?.querySelector("input[type=checkbox]"));
    case "Enter":
      return target.matches("a, button, summary") ? false : press(target.closest("[data-row]")?.querySelector("[data-open]"));
    case "p":
      paused.value = !paused.value;
      return true;
    case "t":
      nextTheme();
      return true;
    case ".":
      acts.actions(target);
      return true;
    case "?":
      acts.help();
      return true;
    default:
      return false;
  }
}

function move(from: Element, step: number): boolean {
  const rows = [...document.querySelectorAll("main [data-row]")].filter((row) => row.querySelector("[data-open]"));
  const here = from.closest("[data-row]");
  const at = here === null ? -1 : rows.indexOf(here);
  const next = rows[at === -1 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  const link = next?.querySelector<HTMLElement>("[data-open]");
  link?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return link !== undefined && link !== null;
}

function press(what: Element | null | undefined): boolean {
  if (!(what instanceof HTMLElement)) return false;
  what.click();
  return true;
}

function leave(target: Element): void {
  if (target.matches(TYPED) || target.closest("[data-row]")) focusHeading();
}

function focusSearch(): boolean {
  const field = document.querySelector<HTMLInputElement>("main [data-search]");
  field?.focus();
  field?.select();
  return field !== null;
}

function searchElsewhere(): boolean {
  searchNext = true;
  go(route.peek().page === "runs" ? "runs" : "workers");
  return true;
}
