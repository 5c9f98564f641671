/* The address behind the hash: a page, what it is about, and its filter.

   - `#/runs/12`, `#/runs?worker=probe&status=dead`: whatever can be shown has an address that can be sent to somebody.
   - Pure: reading and changing the browser's address is `nav.ts`. */

export const PAGES = ["overview", "workers", "runs", "graph", "timeline", "dead", "fleet", "activity"] as const;
export type Page = (typeof PAGES)[number];

export interface Route {
  page: Page | "nowhere";
  id: string | null;
  query: URLSearchParams;
}

export type Query = Record<string, string | number | readonly string[] | null | undefined>;

export function parse(hash: string): Route {
  const [path = "", asked = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [first = "", ...rest] = path.split("/");
  const page = first === "" ? "overview" : (PAGES.find((each) => each === first) ?? "nowhere");
  return { page, id: rest.length > 0 ? decoded(rest.join("/")) : null, query: new URLSearchParams(asked) };
}

export function href(page: Page, id?: string | number | null, query?: Query): string {
  const path = page === "overview" ? "" : page;
  const about = id === undefined || id === null ? "" : `/${encodeURIComponent(id)}`;
  const asked = params(query).toString();
  return `#/${path}${about}${asked && `?${asked}`}`;
}

/** What is empty is left out; a list is repeated. */
export function params(query: Query | undefined): URLSearchParams {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined || value === "") continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each));
  }
  return search;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
