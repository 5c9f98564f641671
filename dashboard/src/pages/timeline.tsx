/* What ran when, what waited, what is planned. */

import { Head } from "../components/bits";
import { Timeline } from "../timeline/timeline";

export function TimelinePage() {
  return (
    <>
      <Head title="Timeline" about="Waiting, running and planned runs of each worker" />
      <Timeline />
    </>
  );
}
