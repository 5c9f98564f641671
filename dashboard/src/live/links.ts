/* What in a sentence of the server is a link: the runs in it ("run #7"), and the subject that came with it.  Pure. */

export type Piece = { kind: "text" | "worker" | "node"; text: string } | { kind: "run"; id: number };

const RUN = /(?<=(?:\bruns? |\blast: )(?:#\d+, )*)#\d+\b/g;

export function pieces(text: string, subject = "", kind = ""): Piece[] {
  const parts: Piece[] = [];
  let rest = text;
  const at = kind === "worker" || kind === "node" ? place(text, subject) : -1;
  if (at >= 0) {
    parts.push(...withRuns(text.slice(0, at)), { kind: kind as "worker" | "node", text: subject });
    rest = text.slice(at + subject.length);
  }
  return [...parts, ...withRuns(rest)];
}

/** Where *subject* stands in *text* as a word of its own. */
function place(text: string, subject: string): number {
  const inName = /[\w.-]/;
  for (let at = text.indexOf(subject); subject && at >= 0; at = text.indexOf(subject, at + 1)) {
    if (!inName.test(text[at - 1] ?? " ") && !/\w/.test(text[at + subject.length] ?? " ")) return at;
  }
  return -1;
}

function withRuns(text: string): Piece[] {
  const parts: Piece[] = [];
  let after = 0;
  for (const match of text.matchAll(RUN)) {
    if (match.index > after) parts.push({ kind: "text", text: text.slice(after, match.index) });
    parts.push({ kind: "run", id: Number(match[0].slice(1)) });
    after = match.index + match[0].length;
  }
  if (after < text.length) parts.push({ kind: "text", text: text.slice(after) });
  return parts;
}
