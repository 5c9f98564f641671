/* Where we are, as a signal, and how to go elsewhere. */

import { signal } from "@preact/signals";
import { href, parse, type Page, type Query, type Route } from "./routes";

export const route = signal<Route>(parse(location.hash));

addEventListener("hashchange", () => {
  route.value = parse(location.hash);
});

export function go(page: Page, id?: string | number | null, query?: Query): void {
  location.hash = href(page, id, query);
}

/** Change the filter of this page; typing in a search field leaves no trail of addresses behind. */
export function refine(changes: Query): void {
  const { page, id, query } = route.value;
  if (page === "nowhere") return;
  const next: Query = {};
  for (const name of new Set(query.keys())) next[name] = query.getAll(name);
  history.replaceState(null, "", href(page, id, { ...next, ...changes }));
  route.value = parse(location.hash);
}
