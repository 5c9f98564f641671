/* Which page an address means. */

import { route } from "../nav";
import { href } from "../routes";
import { Empty, Head } from "../components/bits";
import { Activity } from "./activity";
import { Dead } from "./dead";
import { Fleet } from "./fleet";
import { GraphPage } from "./graph";
import { Overview } from "./overview";
import { RunPage } from "./run";
import { Runs } from "./runs";
import { TimelinePage } from "./timeline";
import { WorkerPage } from "./worker";
import { Workers } from "./workers";

export function Page() {
  const { page, id } = route.value;
  switch (page) {
    case "overview":
      return <Overview />;
    case "workers":
      return id ? <WorkerPage key={id} name={id} /> : <Workers />;
    case "runs":
      return id ? <RunPage key={id} id={id} /> : <Runs />;
    case "graph":
      return <GraphPage />;
    case "timeline":
      return <TimelinePage />;
    case "dead":
      return <Dead />;
    case "fleet":
      return <Fleet />;
    case "activity":
      return <Activity />;
    case "nowhere":
      return (
        <>
          <Head title="Page not found" />
          <Empty title="No page has this address">
            <a href={href("overview")}>Go to the overview</a>
          </Empty>
        </>
      );
  }
}
