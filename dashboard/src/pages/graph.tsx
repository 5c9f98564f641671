/* Who waits for whom, who excludes whom, what they share. */

import { Graph } from "../graph/graph";
import { Head } from "../components/bits";

export function GraphPage() {
  return (
    <>
      <Head title="Graph" about="What goes first, what never runs beside what, and what is shared." />
      <Graph />
    </>
  );
}
