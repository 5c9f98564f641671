/* Who waits for whom, who excludes whom, what they share. */

import { Graph } from "../graph/graph";
import { Head } from "../components/bits";

export function GraphPage() {
  return (
    <>
      <Head title="Graph" about="Dependencies, exclusions and shared resources" />
      <Graph />
    </>
  );
}
