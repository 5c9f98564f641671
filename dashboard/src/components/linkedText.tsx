/* A sentence of the server, with the runs and the subject in it as links. */

import { href } from "../routes";
import { pieces } from "../live/links";
import { RunLink, WorkerLink } from "./bits";

export function LinkedText({ text, subject = "", kind = "" }: { text: string; subject?: string; kind?: string }) {
  return (
    <>
      {pieces(text, subject, kind).map((piece, at) => {
        switch (piece.kind) {
          case "text":
            return piece.text;
          case "run":
            return <RunLink key={at} id={piece.id} />;
          case "worker":
            return <WorkerLink key={at} name={piece.text} />;
          case "node":
            return (
              <a key={at} href={href("fleet")}>
                {piece.text}
              </a>
            );
        }
      })}
    </>
  );
}
