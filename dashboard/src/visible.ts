/* Text from anywhere, as people may be shown it: what would turn the direction of writing or stand there unseen is shown
   as the command shows it (`core/printable.py`): \x1b, \u202e.

   - One place: every text of every page passes here on its way into the document, and so do the attributes that are read.
   - Line breaks and tabs stay: in a block they are its lines, elsewhere they are a space. */

import { options, type VNode } from "preact";

const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const READ = ["title", "aria-label", "placeholder", "alt"];
const NAMED: Record<string, string> = { "\r": "\\r" };

export function visible(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  const hex = code.toString(16);
  if (character in NAMED) return NAMED[character]!;
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

const before = options.vnode;
options.vnode = (node) => {
  show(node as VNode<Record<string, unknown>>);
  before?.(node);
};

function show(node: VNode<Record<string, unknown>>): void {
  const given: unknown = node.props;
  if (node.type === null) {
    if (typeof given === "string") (node as { props: unknown }).props = visible(given); // a text: preact keeps it here
    return;
  }
  if (typeof node.type !== "string") return;
  for (const name of READ) {
    const value = node.props[name];
    if (typeof value === "string") node.props[name] = visible(value);
  }
}
