/* Questions and orders to the API.

   - Every address is relative: the dashboard works below any path.
   - What goes wrong is a `Problem` whose `detail` is a sentence to show beside whatever was pressed.
   - A 401 means that the session has ended: `session.ts` asks for the token. */

import { parse, write } from "../json";
import { params, type Query } from "../routes";

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly detail: string,
    readonly facts: Record<string, unknown> = {},
  ) {
    super(detail);
  }
}

let onNoSession: () => void = () => undefined;

export function whenSessionEnds(act: () => void): void {
  onNoSession = act;
}

let onNotPermitted: () => void = () => undefined;

/** The host has refused an action. */
export function whenNotPermitted(act: () => void): void {
  onNotPermitted = act;
}

export function address(path: string, query?: Query): string {
  const asked = params(query).toString();
  return `api/v1/${path}${asked && `?${asked}`}`;
}

export function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return asked<T>(address(path, query), { signal: signal ?? null });
}

/** The same, numbers below members of these *names* with their digits (`Written`). */
export function getAsWritten<T>(path: string, names: readonly string[], signal?: AbortSignal): Promise<T> {
  return asked<T>(address(path), { signal: signal ?? null }, (text) => parse(text, names));
}

/** What is `Written` in *body* is sent as it is. */
export function post<T>(path: string, body: unknown = {}): Promise<T> {
  return asked<T>(address(path), sent("POST", body));
}

/** An order whose answer is read as it comes. */
export function postForStream(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  return right(address(path), { ...sent("POST", body), signal });
}

export function remove(path: string): Promise<void> {
  return asked<void>(address(path), sent("DELETE", {}));
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The path of a thing that has a name of any kind. */
export function path(...parts: (string | number)[]): string {
  return parts.map((part) => encodeURIComponent(part)).join("/");
}

function sent(method: string, body: unknown): RequestInit {
  return { method, body: write(body), headers: { "content-type": "application/json" } };
}

async function asked<T>(url: string, options: RequestInit, read: (text: string) => unknown = JSON.parse): Promise<T> {
  const response = await right(url, options);
  return (response.status === 204 ? undefined : read(await response.text())) as T;
}

/** An answer that is a success.  Throws a Problem. */
async function right(url: string, options: RequestInit): Promise<Response> {
  const response = await answered(url, options);
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && problem.kind === "no-token") onNoSession();
  if (problem.kind === "not-permitted") onNotPermitted();
  throw problem;
}

async function answered(url: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server does not answer.");
  }
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const { type, detail, ...facts } = (await response.json()) as { type: string; detail: string };
    return new Problem(response.status, type.replace("urn:shiftboss:problem:", ""), detail, facts);
  } catch {
    return new Problem(response.status, "no-problem", `The server answered ${response.status} ${response.statusText}.`);
  }
}
