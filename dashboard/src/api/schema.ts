/** The types of the API, written by tools/api_types.py from the server's OpenAPI: change them there. */

/** The stored run, or the one that the same key had made before. */
export interface Accepted {
  run: number;
  worker: string;
}

/** The stored runs in the order of the triggers, or those that the same keys had made before. */
export interface AcceptedMany {
  runs: Array<number>;
}

/** What somebody did, as the audit has it. */
export interface Act {
  id: number;
  at: string;
  by: string;
  action: string;
  worker: string;
  run: number | null;
  node: string;
  before: string;
  after: string;
  text: string;
  severity: Severity;
  sealed: boolean;
}

/** Newest first. `next`: the cursor of the next page; None at the end. */
export interface Activity {
  events: Array<StoredEvent>;
  next: number | null;
}

/** Newest first. `next`: the cursor of the next page; None at the end. */
export interface Acts {
  acts: Array<Act>;
  next: number | null;
}

/** M4: a fixed distance from *anchor*, which is the first scheduled time, a UTC time. With `days` > 0 the distance is that many days of *timezone*'s calendar, always at the anchor's local time; a local time that a clock change skips or repeats is treated as cron's (O3). With `days` = 0 it is `every_s` of elapsed time. Raises ConfigurationError for an unknown zone or a distance outside 0.01 s to a century. */
export interface Anchored {
  type: "anchored";
  every_s: number;
  anchor: string;
  days: number;
  timezone: string;
}

/** A trigger within its caller's transaction was committed, but could not become a run when it was picked up. */
export interface ArrivalRefused {
  type: "arrival_refused";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  key: string;
  by: string;
  reason: string;
}

/** The times *instants* (UTC, ascending, each once), read by people in *timezone*. It ends with the last of them. Raises ConfigurationError for no time at all, a wrong order and an unknown zone. */
export interface At {
  type: "at";
  instants: Array<string>;
  timezone: string;
}

/** One finished attempt of a run (Q2). `cause` is None if it succeeded. */
export interface Attempt {
  number: number;
  node: string;
  started_at: string;
  ended_at: string;
  duration_s: number;
  cause: Cause | null;
  error: Error | null;
  code_version: string;
}

/** An attempt that was not the last: the run waits for its retry, or was cut short and is due again (R2). */
export interface AttemptEnded {
  type: "attempt_ended";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  attempt: number;
  cause: Cause;
  error: Error | null;
  retry_at: string | null;
}

/** A1: who did what; `before` and `after` in words. */
export interface Audit {
  type: "audit";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
  action: string;
  before: string;
  after: string;
}

/** The result: `doubts` contradict the audit, `limits` are what cannot be proven here. */
export interface AuditVerdict {
  rows: number;
  removed: number;
  proven_to: number;
  proven: number;
  unsealed: number;
  doubts: Array<Doubt>;
  limits: Array<string>;
  head: Seal | null;
}


export interface BreakerClosed {
  type: "breaker_closed";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  breaker: string;
}


export interface BreakerHalfOpen {
  type: "breaker_half_open";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  breaker: string;
}


export interface BreakerOpened {
  type: "breaker_opened";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  breaker: string;
  until: string | null;
}

/** K1, K2: opens after *failures* failed attempts in a row, or at *rate* of the last *window* (from *min_calls* on). Open for *cooldown_s*, doubled at each failed probe up to *max_cooldown_s*; *successes* probes close it. */
export interface BreakerPolicy {
  failures: number;
  rate: number | null;
  window: number;
  min_calls: number;
  cooldown_s: number;
  max_cooldown_s: number;
  successes: number;
}

/** The stream ends; connect again, here or at another node. */
export interface Bye {
  reason: string;
}

/** One calendar event in a time zone. A zone at the end of the expression goes before *timezone*. Raises ConfigurationError for an expression that is not understood or never fires, and for an unknown zone. */
export interface CalendarEvent {
  type: "calendar_event";
  expression: string;
  timezone: string;
}

/** `expect`: how many match; required unless `dry_run`. */
export interface CancelMany {
  filter: RunFilter;
  expect?: number | null;
  dry_run?: boolean;
  reason?: string | null;
}

/** Somebody wants this run to end (T4). */
export interface CancelRequest {
  by: string;
  at: string;
  reason: string;
}

/** Why a run ended as it did, or why an attempt did not count. */
export type Cause = "cancelled" | "crash" | "crash_loop" | "dependency_failed" | "disabled" | "error" | "expired" | "fatal" | "interrupted" | "lost" | "misfire" | "replaced" | "rescued" | "timeout" | "unfit";

/** Says which node executes an attempt. `fence` grows with every claim in the store (C5, C7). */
export interface Claim {
  node: string;
  fence: number;
  at: string;
  probe: boolean;
  fallback: boolean;
  zombie_since: string | null;
}

/** A time at which the clocks of the worker's zone change. */
export interface ClockChange {
  at: string;
  change_s: number;
}

/** O4: the wall clock moved by `step_s` against elapsed time. */
export interface ClockStepped {
  type: "clock_stepped";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  step_s: number;
}

/** `expect`: how many match; required unless `dry_run`. */
export interface CloseMany {
  filter: LetterChoice;
  expect?: number | null;
  dry_run?: boolean;
  note?: string | null;
}

/** O3: a cron expression in a time zone, by the Vixie rule. Five fields (minute hour day-of-month month day-of-week), six with seconds first, or a nickname such as @daily. If day-of-month or day-of-week starts with `*` both must match, else either. Raises ConfigurationError for an expression that is not understood or never fires, and for an unknown zone. */
export interface Cron {
  type: "cron";
  expression: string;
  timezone: string;
}

/** Which days and hours a schedule may have. `weekdays`: 0 is Monday. `country`: a code of ISO 3166-1 such as "DE", with `subdivision` of ISO 3166-2 such as "BY"; its public holidays are left out. `hours`: seconds of the day, from and to; over midnight if *to* is not later. Raises ConfigurationError for a country that is not known, and if no day is open. */
export interface DayFilter {
  weekdays: Array<number>;
  country: string;
  subdivision: string;
  except_dates: Array<string>;
  hours: Array<unknown> | null;
  otherwise: Otherwise;
}

/** The number of open dead letters that share a worker, a cause and an error type. */
export interface DeadGroup {
  worker: string;
  cause: string;
  error_type: string;
  count: number;
  oldest_at: string;
  newest_at: string;
  newest_run: number;
}

/** Q: the entry of a dead run; the run itself, with payload and attempts, is in the history. */
export interface DeadLetter {
  run: number;
  worker: string;
  cause: Cause;
  error_type: string;
  entered_at: string;
  has_payload: boolean;
  state: string;
  closed_at: string | null;
  closed_by: string;
  note: string;
  replayed_as: number | null;
  unreadable: Unreadable | null;
}


export interface DeadLettered {
  type: "dead_lettered";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  cause: Cause;
  error: Error | null;
}

/** Everything that is declared about a worker. Durations are in seconds; None means no limit, unless noted. */
export interface Definition {
  name: string;
  mode: Mode;
  schedule: Every | Anchored | At | CalendarEvent | Cron | RRule | Several | Within | null;
  start: Start;
  jitter_s: number;
  misfire: Misfire;
  grace_s: number;
  misfire_limit: number;
  until: string | null;
  times: number | null;
  pause_s: number;
  priority: Priority;
  timeout_s: number | null;
  start_within_s: number | null;
  deadline_s: number | null;
  cancel_grace_s: number;
  concurrency: number | null;
  patience_s: number;
  retry: RetryPolicy;
  breaker: string | null;
  breaker_policy: BreakerPolicy | null;
  fallback: boolean;
  max_consecutive_failures: number | null;
  fatal_counts: boolean | null;
  probation_s: number | null;
  depends_on: Array<Upstream>;
  after: Array<string>;
  blocks: Array<string>;
  tags: Array<string>;
  uses: Record<string, number>;
  rate: Rate | null;
  health: HealthPolicy;
  at_most_once: boolean;
  key_ttl_s: number;
  max_payload_bytes: number;
  executor: string;
  max_runs_per_child: number;
  max_memory_bytes: number | null;
  parameters: string;
  doc: string;
  redact: Array<string>;
  redact_patterns: Array<string>;
}

/** K4, K5: who disabled the worker and why. `probation_until` is None if only a person enables it again. */
export interface Disabled {
  by: string;
  reason: string;
  since: string;
  error: Error | null;
  run: number | null;
  probation_s: number | null;
  probation_until: string | null;
}

/** How many matched and how many were done. `runs`: the first that matched; `refused`: the first refusals. */
export interface Done {
  matched: number;
  done: number;
  dry_run: boolean;
  runs: Array<number>;
  refused: Array<Refusal>;
}

/** What is not as it was sealed, or as somebody remembers it. `what`: rows, seal, retention or head. */
export interface Doubt {
  what: string;
  first: number;
  last: number;
  text: string;
}

/** A node that starts no new runs. */
export interface Drained {
  id: string;
  name: string;
  mode: NodeMode;
}

/** What a function raised. `type` is the qualified class name; whoever recorded it has cut the traceback. */
export interface Error {
  type: string;
  message: string;
  traceback: string;
}

/** M4: a fixed rate, counted from the worker's first scheduled time; 0.01 s to a century, exact to the microsecond. Raises ConfigurationError outside these bounds. */
export interface Every {
  type: "every";
  every_s: number;
}

/** Every hold of one run; `earliest` is when that can change without an event, None if only an event changes it. A run without holds is running, has ended, or is about to start (`behind` names the run ahead of it in its lane). */
export interface Explanation {
  run: Run;
  holds: Array<Hold>;
  earliest: string | null;
  behind: number | null;
  declared_otherwise: Array<OtherDeclaration>;
}

/** Which dead letters. */
export interface ExportMany {
  filter: LetterChoice;
}

/** Which worker waits for which, which ones exclude each other, and what they share. `complete`: nothing is left out. `workers`, `alone` and `groups` count all workers, those without relations, and the components of the others. `components`: the first of these, the worst first, if workers are left out. */
export interface Graph {
  nodes: Array<GraphNode>;
  edges: Array<GraphEdge>;
  at: string;
  complete: boolean;
  workers: number;
  alone: number;
  groups: number;
  components: Array<GraphComponent>;
}

/** Workers that can hold each other's runs. */
export interface GraphComponent {
  first: string;
  workers: number;
  health: string;
  shown: boolean;
}

/** From what comes first to what waits; `blocks` has no direction and is listed once. */
export interface GraphEdge {
  kind: string;
  source: string;
  target: string;
  detail: string;
}

/** A worker, a breaker or a resource. `name` is unique among those of its kind. */
export interface GraphNode {
  kind: string;
  name: string;
  health: string;
  detail: string;
  mode: string;
  enabled: boolean;
  running: number;
  due: number;
  tags: Array<string>;
}

/** The 500 largest, the largest first; `total` counts the letters of all, `left_out` the groups that are missing. */
export interface Groups {
  total: number;
  groups: Array<DeadGroup>;
  left_out: number;
}

/** H1. */
export type Health = "degraded" | "disabled" | "healthy" | "offline" | "unhealthy" | "unknown";

/** H2: the thresholds of a worker's health. None switches a check off. `health_policy` checks the fields when the policy is given to a worker, and not before. */
export interface HealthPolicy {
  degraded_rate: number | null;
  unhealthy_rate: number | null;
  min_attempts: number;
  expected_duration_s: number | null;
  slow_factor: number;
  very_slow_factor: number;
  max_due: number | null;
  heartbeat_timeout_s: number | null;
  expect_success_within_s: number | null;
}

/** One fact that lowers the health, or is good to know; about the whole system if `worker` is empty. */
export interface HealthReason {
  severity: Health;
  fact: string;
  text: string;
  worker: string;
}

/** The first frame: from here on nothing is missed. Read lists again when it comes; `resumed`: events continue. */
export interface Hello {
  at: string;
  event: number;
  topics: Array<string>;
  resumed: boolean;
}

/** Why a run does not start. */
export interface Hold {
  gate: string;
  text: string;
  scope: string;
  subject: string;
  subject_kind: string;
  until_says: string;
  since: string | null;
  until: string | null;
  [more: string]: unknown;
}

/** One attempt in the chart of durations. */
export interface Lasted {
  ok: boolean;
  duration_s: number;
}

/** Open dead letters; `runs`: only those of these runs. */
export interface LetterChoice {
  worker?: string | null;
  error?: string | null;
  since?: string | null;
  runs?: Array<number>;
}

/** A page, newest first. `next`: the cursor of the next one; None at the end. */
export interface Letters {
  letters: Array<DeadLetter>;
  next: number | null;
}

/** Lines in order, at most 1,000; ask again after the last one. */
export interface Log {
  lines: Array<LogLine>;
}

/** `token`: a token of this server; or `code`: the code in the link that the server printed. */
export interface LogIn {
  token?: string | null;
  code?: string | null;
}

/** A line that a function logged: the `number`-th of the attempt with that fence. */
export interface LogLine {
  run: number;
  fence: number;
  number: number;
  attempt: number;
  at: string;
  level: string;
  text: string;
}

/** How many runs ended well and how many ended dead in the minute that begins at `at`. */
export interface Minute {
  at: string;
  succeeded: number;
  failed: number;
}

/** The minutes in which runs ended, the oldest first. */
export interface Minutes {
  since: string;
  at: string;
  minutes: Array<Minute>;
  complete: boolean;
}

/** O2. */
export type Misfire = "all" | "one" | "skip";

/** M1. */
export type Mode = "continuous" | "scheduled" | "triggered";

/** G4: the report of a shutdown. */
export interface NodeDrained {
  type: "node_drained";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  drained: number;
  interrupted: number;
  waiting: number;
  lost: number;
}

/** C4: for `seconds` nothing but one function ran in the node's process, because it kept the interpreter's lock. `worker` and `run` are set if it is known which; otherwise `bodies` names those that ran. `stack` is set if it was seen. */
export interface NodeFrozen {
  type: "node_frozen";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  name: string;
  seconds: number;
  bodies: string;
  stack: string;
}


export interface NodeJoined {
  type: "node_joined";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  name: string;
}


export interface NodeLeft {
  type: "node_left";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  name: string;
  lost: boolean;
}


export type NodeMode = "client" | "draining" | "running";

/** H4: what the node holds back from now on, and why. */
export interface NodeShedding {
  type: "node_shedding";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  level: string;
  reason: string;
}

/** One node as `nodes` shows it. */
export interface NodeStatus {
  id: string;
  name: string;
  live: boolean;
  mode: string;
  slots: number;
  used: number;
  workers: number;
  shed: string;
  shed_reason: string;
  lag_s: number;
  memory_bytes: number;
  lease_left_s: number;
  started_at: string;
  version: string;
  code_version: string;
  pid: number;
  host: string;
  unreadable: string;
  durability: string;
  decodes: Array<string>;
  frozen: boolean;
}

/** The processes on this store, the oldest first. */
export interface Nodes {
  nodes: Array<NodeStatus>;
}

/** What was done about it; recorded in the audit log. null: no note. */
export interface NoteBody {
  note?: string | null;
}

/** D5: what a run does if its upstream's latest run has failed. */
export type OnFailure = "run" | "skip" | "wait";

/** Why a run exists. */
export type Origin = "after" | "iteration" | "occurrence" | "replay" | "trigger";

/** A live node that declares a worker differently from the declaration in force. */
export interface OtherDeclaration {
  node: string;
  id: string;
  pid: number;
  host: string;
  code_version: string;
  first_seen_at: string | null;
}

/** What becomes of a scheduled time on a day that the calendar leaves out. */
export type Otherwise = "next" | "skip";

/** A run and what belongs to it. `chain`: the runs that led to it, the earliest first. `log`: the last lines of its last attempt that logged, of `logged` in all. `executor` and `timeout_s` are its worker's; empty and None if the worker was forgotten. */
export interface PageOfRun {
  run: Run;
  letter: DeadLetter | null;
  why: Explanation | null;
  chain: Array<Run>;
  nodes: Record<string, string>;
  executor: string;
  timeout_s: number | null;
  log: Array<LogLine>;
  logged: number;
  at: string;
}

/** A worker and what belongs to it. `nodes`: the live ones that declare it; `why` is about its next run. `related_left_out`: how many names the three lists of related workers lack, because they have 500 at most. */
export interface PageOfWorker {
  worker: WorkerStatus;
  definition: Definition;
  declared_at: string;
  why: Explanation | null;
  blocked_with: Array<string>;
  dependents: Array<string>;
  triggers: Array<string>;
  nodes: Array<string>;
  declared_otherwise: Array<OtherDeclaration>;
  next: Array<string>;
  clock_changes: Array<ClockChange>;
  durations: Array<Lasted>;
  runs: Array<Run>;
  at: string;
  related_left_out: number;
}

/** K7: who paused the worker and why. `until` is None if only a person resumes it. */
export interface Pause {
  by: string;
  reason: string;
  since: string;
  until: string | null;
  is_elapsed: boolean;
}

/** `until`: how long, in seconds or as "2h", or a time of ISO 8601; null: until resumed. Why; recorded in the audit log. null: no reason. */
export interface PauseBody {
  until?: number | string | null;
  reason?: string | null;
}

/** What a trigger accepts. `declared`: this process knows the function; else any object, which is checked later. */
export interface PayloadForm {
  worker: string;
  declared: boolean;
  schema: Record<string, unknown>;
  takes: string;
}

/** In the order of the request. */
export interface Permissions {
  permitted: Array<Permitted>;
}

/** The actions that are permitted on a worker; `worker` is None for those that concern no single worker. */
export interface Permitted {
  worker: string | null;
  actions: Array<string>;
}

/** `worker`: only this one; null: all that the node declares. */
export interface PreferBody {
  worker?: string | null;
}

/** The workers and resources that this changes; none if the node's declarations are already in force. */
export interface Preferred {
  names: Array<string>;
}

/** P1: the four priorities. A higher number goes first. */
export type Priority = "low" | "normal" | "high" | "critical";

/** RFC 9457. `type` is stable; some types have further members (`matched`, `maybe_stored`). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  [more: string]: unknown;
}

/** How far a function last said that it is. */
export interface Progress {
  done: number;
  total: number | null;
  message: string;
  at: string | null;
}

/** The times of *rule* from *anchor* on, a UTC time, in the local time of *timezone*. *rule* is one RRULE, and on further lines RDATE and EXDATE in local time. Raises ConfigurationError if it is not understood, fires too often or never, for an unknown zone, and without python-dateutil. */
export interface RRule {
  type: "rrule";
  rule: string;
  anchor: string;
  timezone: string;
}

/** B8: a bucket of *count* starts that is refilled evenly over *per_s* seconds. */
export interface Rate {
  count: number;
  per_s: number;
}

/** Why; recorded in the audit log. null: no reason. */
export interface Reason {
  reason?: string | null;
}

/** A run or dead letter that was refused, and why. */
export interface Refusal {
  run: number;
  type: string;
  detail: string;
}

/** `delay` in seconds or as "5m". */
export interface ReplayBody {
  delay?: number | string;
}

/** `rate`: how fast they become due, "10/s"; all at once without it. */
export interface ReplayMany {
  filter: LetterChoice;
  expect?: number | null;
  dry_run?: boolean;
  rate?: string | null;
}

/** Something was left out: read these topics' lists again. */
export interface Resync {
  topics: Array<string>;
  reason: string;
}

/** R1: `max_retries` besides the first attempt (None: no limit); full jitter below min(cap, first × factor^n). */
export interface RetryPolicy {
  max_retries: number | null;
  first_s: number;
  factor: number;
  cap_s: number;
}

/** One request to execute a worker, from pending to its end. */
export interface Run {
  id: number;
  worker: string;
  origin: Origin;
  status: Status;
  priority: Priority;
  created_at: string;
  occurs_at: string;
  due_at: string;
  attempt: number;
  attempts: Array<Attempt>;
  claim: Claim | null;
  covers_until: string | null;
  missed: number;
  key: string | null;
  digest: string | null;
  payload: unknown;
  forced: boolean;
  degraded: boolean;
  give_up_at: string | null;
  deadline_at: string | null;
  first_started_at: string | null;
  finished_at: string | null;
  cause: Cause | null;
  error: Error | null;
  result: unknown;
  result_error: string | null;
  interruptions: number;
  rescues: number;
  cancel: CancelRequest | null;
  progress: Progress | null;
  heartbeat_at: string | null;
  replay_of: number | null;
  caused_by: number | null;
  by: string;
  traceparent: string | null;
  unreadable: Unreadable | null;
  by_calendar: boolean;
  masked: Array<Array<number>>;
  clock_set_us: number;
  undecodable: string;
  encoded_by: string;
  place_at: string | null;
}

/** `attempt` is the one that ended with the run, `attempt_cause` its cause; 0 if it ended without an attempt. */
export interface RunEnded {
  type: "run_ended";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  status: Status;
  cause: Cause | null;
  duration_s: number;
  error: Error | null;
  attempt: number;
  attempt_cause: Cause | null;
}

/** Unfinished runs; `due_before`: due before that time. */
export interface RunFilter {
  worker?: string | null;
  status?: Array<"pending" | "running">;
  due_before?: string | null;
}

/** C4: its node is gone; it is pending again (`due_at`) or dead. */
export interface RunRescued {
  type: "run_rescued";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  lost_node: string;
  due_at: string | null;
}

/** One or more scheduled times passed without a run; `count` of them, from `first` to `last`. */
export interface RunSkipped {
  type: "run_skipped";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  reason: Cause;
  first: string | null;
  last: string | null;
  count: number;
}


export interface RunStarted {
  type: "run_started";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  attempt: number;
  delay_s: number;
}


export interface RunStored {
  type: "run_stored";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  origin: string;
}

/** A run in progress, for lists. */
export interface RunningRun {
  run: number;
  worker: string;
  node: string;
  since: string;
  attempt: number;
  progress: Progress | null;
  zombie: boolean;
  cancelling: boolean;
  unreadable: string;
}

/** A page, newest first. `next`: the cursor of the next one; None at the end. */
export interface Runs {
  runs: Array<Run>;
  next: number | null;
}

/** How far the chain has come with row `id`, under the key. */
export interface Seal {
  id: number;
  rows: number;
  at: string;
  digest: string;
  keep_s: number;
  key: string;
  mac: string;
}

/** Who you are here. `role` is None if you must log in first; `limited`: single actions may be refused. */
export interface SessionInfo {
  role: string | null;
  name: string;
  limited: boolean;
  asks_for_token: boolean;
  version: string;
}

/** `rows`: which ones, each as "table/id"; without it all that cannot be read. `note`: for the audit. */
export interface SetAsideBody {
  rows?: Array<string> | null;
  note?: string | null;
}

/** Fires whenever one of *rules* does; times that coincide fire once. At least two, or ConfigurationError. */
export interface Several {
  type: "several";
  rules: Array<Cron | CalendarEvent>;
}


export type Severity = "debug" | "error" | "info" | "success" | "warning";

/** The store does not answer: the data shown is old until the next status. */
export interface Stale {
  reason: string;
}

/** C5: a report about a claim that was no longer its sender's; it changed nothing. */
export interface StaleReport {
  type: "stale_report";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  fence: number;
}

/** M3: the first scheduled run is due at once, or at the first scheduled time. */
export type Start = "next" | "now";

/** S: `lifecycle.py` has the moves between these. */
export type Status = "cancelled" | "dead" | "pending" | "running" | "skipped" | "succeeded";

/** The changes of what a live page shows: at most 300 workers and 100 running runs, and the totals of all workers. Shown are the disabled workers, then the worst, then some that are held or have dead letters. `workers`: the changed rows, or all shown ones if `full`. `forgotten`: names that are no longer shown. `order`: the shown names; None if it is unchanged. `revision` grows when any worker changes, also one that is not shown. */
export interface StatusChange {
  at: string;
  full: boolean;
  health: string;
  reasons: Array<HealthReason>;
  nodes: Array<NodeStatus>;
  running: Array<RunningRun>;
  workers: Array<WorkerStatus>;
  forgotten: Array<string>;
  order: Array<string> | null;
  store: string;
  totals: Totals;
  revision: number;
}

/** C9: the store lost a part of its past, or may have; commits go on after `epoch`, every process declares again. */
export interface StoreRestored {
  type: "store_restored";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  reason: string;
  epoch: number;
}

/** An event and its number, which is also its id in a stream. */
export interface StoredEvent {
  number: number;
  event: RunStored | ArrivalRefused | RunStarted | AttemptEnded | RunEnded | RunSkipped | RunRescued | StaleReport | DeadLettered | WorkerDeclared | WorkerDisabled | WorkerEnabled | WorkerPaused | WorkerResumed | WorkerForgotten | BreakerOpened | BreakerHalfOpen | BreakerClosed | NodeJoined | NodeLeft | NodeShedding | NodeFrozen | ClockStepped | StoreRestored | NodeDrained | UnreadableEvent | Audit;
}

/** A worker, whether it is enabled now, and whether it is paused. */
export interface Switched {
  worker: string;
  enabled: boolean;
  paused: boolean;
}

/** H3: the whole system; `status` is healthy, degraded or unhealthy. `workers`: disabled first, then the worst. All workers, or a page; then `reasons` are those of the whole and of the workers of the page. */
export interface SystemHealth {
  status: Health;
  reasons: Array<HealthReason>;
  workers: Record<string, WorkerHealth>;
  counts: Record<string, number>;
  matching: number;
  next: string | null;
}

/** Everything at a glance; disabled workers first, then the worst (K6). All of it, or a page. */
export interface SystemStatus {
  at: string;
  health: string;
  reasons: Array<HealthReason>;
  nodes: Array<NodeStatus>;
  running: Array<RunningRun>;
  workers: Array<WorkerStatus>;
  store: string;
  totals: Totals;
  matching: number;
  next: string | null;
}

/** Runs by worker. A run waits between due and start; between attempts it is in back-off. */
export interface Timeline {
  since: string;
  until: string;
  now: string;
  rows: Array<TimelineRow>;
  complete: boolean;
}

/** A worker's runs that touch the window, the oldest first, and its scheduled times that lie ahead in the window. */
export interface TimelineRow {
  worker: string;
  runs: Array<Run>;
  planned: Array<string>;
}

/** All workers of the store counted, also those that a page leaves out. */
export interface Totals {
  workers: number;
  health: Record<string, number>;
  mode: Record<string, number>;
  running: number;
  pending: number;
  due: number;
  dead_letters: number;
}

/** `delay` in seconds or as "5m", or `at`; `key` makes it idempotent, and so does the header Idempotency-Key. */
export interface TriggerBody {
  payload?: Record<string, unknown> | null;
  key?: string | null;
  delay?: number | string | null;
  at?: string | null;
  priority?: string | null;
  force?: boolean;
}

/** At most 50,000, and 8 MiB of JSON. */
export interface TriggerManyBody {
  triggers?: Array<TriggerOne>;
}

/** One of many: its worker, and the fields of the body of a single trigger. */
export interface TriggerOne {
  payload?: Record<string, unknown> | null;
  key?: string | null;
  delay?: number | string | null;
  at?: string | null;
  priority?: string | null;
  force?: boolean;
  worker: string;
}

/** Which row, and what the reader said. `fields` are the unreadable ones; none: the row is not even JSON. */
export interface Unreadable {
  table: string;
  id: string;
  worker: string;
  reason: string;
  fields: Array<string>;
}

/** Replaces a stored event that cannot be read (W8). */
export interface UnreadableEvent {
  type: "unreadable";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  reason: string;
}

/** One row; `text` describes it in a sentence. */
export interface UnreadableRow {
  table: string;
  id: string;
  worker: string;
  reason: string;
  text: string;
}

/** Stored rows that cannot be read, with the reason. */
export interface UnreadableRows {
  rows: Array<UnreadableRow>;
}

/** One edge of depends_on (D2, D4, D5). `max_age_s` limits the age of the upstream's last success. */
export interface Upstream {
  worker: string;
  fresh: boolean;
  max_age_s: number | null;
  on_failure: OnFailure;
}

/** How the latest run (by `occurs_at`, then id) ended, for depends_on (D2). */
export interface Verdict {
  occurs_at: string;
  run: number;
  ok: boolean;
}

/** The times of *rule* that *days* lets pass, in the time zone of *rule*. Raises ConfigurationError if nothing is left of the schedule. */
export interface Within {
  type: "within";
  rule: Anchored | At | CalendarEvent | Cron | RRule | Several;
  days: DayFilter;
}

/** A new or changed declaration took effect (M7). */
export interface WorkerDeclared {
  type: "worker_declared";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  changed: Array<string>;
}


export interface WorkerDisabled {
  type: "worker_disabled";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
  reason: string;
  starves: Array<string>;
  accepts: boolean;
  probe_at: string | null;
}


export interface WorkerEnabled {
  type: "worker_enabled";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
}


export interface WorkerForgotten {
  type: "worker_forgotten";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
}

/** A worker's status and its reasons, worst first. */
export interface WorkerHealth {
  status: Health;
  reasons: Array<HealthReason>;
}


export interface WorkerPaused {
  type: "worker_paused";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
  reason: string;
  until: string | null;
}


export interface WorkerResumed {
  type: "worker_resumed";
  text: string;
  severity: Severity;
  at: string;
  worker: string;
  run: number | null;
  node: string;
  by: string;
}

/** One worker as `status` shows it. */
export interface WorkerStatus {
  name: string;
  mode: string;
  schedule: string;
  priority: string;
  enabled: boolean;
  disabled: Disabled | null;
  paused: Pause | null;
  accepts: boolean;
  health: string;
  reasons: Array<HealthReason>;
  running: number;
  pending: number;
  due: number;
  dead_letters: number;
  consecutive_failures: number;
  last_run_at: string | null;
  last_success_at: string | null;
  last_error: Error | null;
  last_error_at: string | null;
  latest: Verdict | null;
  next_due_at: string | null;
  breaker: string | null;
  breaker_until: string | null;
  next_run: number | null;
  holds: Array<Hold>;
  doc: string;
  unreadable: Array<Unreadable>;
}

/** A page, disabled ones first, then the worst. `next`: the cursor of the next one; None at the end. `matching`: how many fit in all. */
export interface Workers {
  workers: Array<WorkerStatus>;
  at: string;
  matching: number;
  next: string | null;
  totals: Totals;
}

export type AnyEvent =
  | RunStored
  | ArrivalRefused
  | RunStarted
  | AttemptEnded
  | RunEnded
  | RunSkipped
  | RunRescued
  | StaleReport
  | DeadLettered
  | WorkerDeclared
  | WorkerDisabled
  | WorkerEnabled
  | WorkerPaused
  | WorkerResumed
  | WorkerForgotten
  | BreakerOpened
  | BreakerHalfOpen
  | BreakerClosed
  | NodeJoined
  | NodeLeft
  | NodeShedding
  | NodeFrozen
  | ClockStepped
  | StoreRestored
  | NodeDrained
  | UnreadableEvent
  | Audit;

/** What the `data` of a frame of the stream is, by its `event`. */
export interface Frames {
  hello: Hello;
  status: StatusChange;
  event: AnyEvent;
  run: Run;
  log: LogLine;
  resync: Resync;
  stale: Stale;
  bye: Bye;
}
