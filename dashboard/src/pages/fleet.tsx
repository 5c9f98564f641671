/* The processes that run workers of this store: their slots, load and leases. */

import type { NodeStatus } from "../api/schema";
import { bytes, duration, plural } from "../format";
import { whole } from "../live/whole";
import { DrainButton } from "../components/actions";
import { Arriving, Empty, Head, Section } from "../components/bits";
import { Badge } from "../components/status";
import { Since } from "../components/time";
import { href } from "../routes";
import { mayDo } from "../api/permissions";

export function Fleet() {
  const it = whole.value;
  if (it === null) return <Arriving title="Fleet" />;
  const nodes = it.nodes.filter((node) => node.mode !== "client");
  const clients = it.nodes.filter((node) => node.mode === "client" && node.live);
  const live = nodes.filter((node) => node.live);
  const used = live.reduce((sum, node) => sum + node.used, 0);
  const slots = live.reduce((sum, node) => sum + node.slots, 0);
  return (
    <>
      <Head
        title="Fleet"
        about={
          <>
            {plural(live.length, "live node")}, {used} of {plural(slots, "slot")} used, store <code>{it.store}</code>
          </>
        }
      />
      {nodes.length === 0 ? (
        <Empty title="No nodes: no process runs workers of this store" code="shiftboss run app.py" />
      ) : (
        <Section title="Nodes">
          <div class="table" role="group" aria-label="Nodes" tabIndex={0}>
            <table>
              <caption class="hide">Nodes, oldest first</caption>
              <thead>
                <tr>
                  <th scope="col">State</th>
                  <th scope="col">Node</th>
                  <th scope="col">Slots</th>
                  <th scope="col" class="number c-m">
                    Workers
                  </th>
                  <th scope="col" class="number c-m">
                    Event-loop lag
                  </th>
                  <th scope="col" class="number c-m">
                    Memory
                  </th>
                  <th scope="col" class="number c-m">
                    Lease
                  </th>
                  <th scope="col" class="c-l">
                    Load shedding
                  </th>
                  <th scope="col" class="number c-m">
                    Uptime
                  </th>
                  <th scope="col" class="c-l">
                    Version
                  </th>
                  {mayDo("admin", "drain", null) && (
                    <td>
                      <span class="hide">Actions</span>
                    </td>
                  )}
                </tr>
              </thead>
              <tbody>
                {nodes.map((node) => (
                  <Row key={node.id} node={node} />
                ))}
              </tbody>
            </table>
          </div>
        </Section>
      )}
      {clients.length > 0 && (
        <Section title="Clients">
          <ul class="plain-list">
            {clients.map((node) => (
              <li key={node.id}>
                <Badge status="client" quiet /> <code>{node.name}</code>{" "}
                <span class="muted">
                  connected for <Since at={node.started_at} />
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}

function Row({ node }: { node: NodeStatus }) {
  const state = !node.live ? "no lease" : node.mode === "draining" ? "draining" : "live";
  return (
    <tr data-row={node.id}>
      <td class="fit">
        <Badge status={state} />
      </td>
      <th scope="row" class="fit">
        <span class="name">{node.name}</span> <span class="muted c-l-inline">{node.unreadable || `pid ${node.pid}`}</span>
      </th>
      <td class="slots">
        <a class="plain" href={href("runs", null, { status: "running" })} aria-label={`${node.used} of ${node.slots} slots used; show running runs`}>
          <meter min={0} max={node.slots} value={node.used} high={node.slots * 0.9} aria-hidden="true" />
          <span class="number">
            {node.used} <span class="muted">of {node.slots}</span>
          </span>
        </a>
      </td>
      <td class="fit number c-m">
        <a class="plain" href={href("workers")}>
          {node.workers}
        </a>
      </td>
      <td class="fit number c-m">{node.live ? duration(node.lag_s) : "–"}</td>
      <td class="fit number c-m">{node.live && node.memory_bytes > 0 ? bytes(node.memory_bytes) : "–"}</td>
      <td class="fit number c-m">{node.live ? `${duration(Math.max(0, node.lease_left_s))} left` : <span class="bad">expired</span>}</td>
      <td class="c-l">{node.shed === "nothing" ? <span class="faint">none</span> : <Badge status="degraded" word={`${node.shed === "low" ? "low" : "low and normal"} priority held: ${node.shed_reason}`} />}</td>
      <td class="fit number c-m">
        <Since at={node.started_at} />
      </td>
      <td class="fit muted c-l">
        {node.version}
        {node.code_version && ` · ${node.code_version.slice(0, 12)}`}
      </td>
      {mayDo("admin", "drain", null) && <td class="fit row-actions">{node.live && node.mode === "running" && <DrainButton id={node.id} name={node.name} />}</td>}
    </tr>
  );
}
