// Learning from feedback, and the training runs, as the server reports them (docs/reference/page-api.md).
import { getJson, postJson } from "./http.ts";

export type Point = [step: number, value: number | null];

export interface Job {
  state: "running" | "finished" | "stopped" | "failed";
  command: string;
  seconds: number;
  lines: string[];
  progress: { stage: string; step: number; steps: number; loss: number | null; seconds_left: number | null } | null;
  curve: Point[];
  error: string;
}

export interface Metrics {
  win_rate?: number;
  win_rate_low?: number;
  win_rate_high?: number;
  prompts?: number;
  tokens_before?: number;
  tokens_after?: number;
  judge?: string;
  bits_per_byte_before?: number;
  bits_per_byte_after?: number;
  skills?: Record<string, { before: number; after: number; p_value: number }>;
}

export interface Decision {
  version: string;
  is_promoted: boolean;
  reason: string;
  metrics: Metrics;
}

export interface Improvement {
  job: Job | null;
  decision: Decision | null;
}

export interface Share {
  value: number;
  low: number;
  high: number;
  n: number;
}

export interface FeedbackSummary {
  report: {
    n: number;
    n_kept: number;
    n_raters: number;
    ties: number;
    left_out: Record<string, number>;
    two_raters_agree: Share | null;
    is_simulated: boolean;
    raters: { rater: string; n: number; n_kept: number; others: Share | null; is_simulated: boolean }[];
  };
  pairs: number;
  thumbs_up: number;
  thumbs_down: number;
  method: string;
  obstacle: string;
  n_other_models: number;
}

export interface Decision {
  kind: "promoted" | "refused" | "rolled_back";
  time: string;
  by: string;
  reason: string;
  is_forced: boolean;
  metrics: Metrics;
}

export interface Version {
  name: string;
  parent: string | null;
  method: string;
  state: "served" | "served before" | "refused" | "not decided";
  events: Decision[];
}

export interface Versions {
  served: string | null;
  can_roll_back_to: string[];
  versions: Version[];
  can_start_canary: boolean;
  canary: {
    canary: string; // "open" until thumbs decide
    version: string | null;
    share: number;
    served_votes: number;
    served_up: number;
    candidate_votes: number;
    candidate_up: number;
  } | null;
}

export interface Run {
  id: string;
  stage: string;
  state: "running" | "finished" | "stopped";
  step: number;
  steps: number;
  seconds: number;
  seconds_left: number | null;
  loss: number | null;
  has_report: boolean;
  recipe: string;
}

export interface RunDetail extends Run {
  curves: Record<string, Point[]>;
  samples: { step: number; samples: [prompt: string, reply: string][] }[];
  tokens: number | null;
  data: Record<string, Record<string, unknown>>;
  checks: Record<string, number>;
  figures: Record<string, number>;
  warning: string;
}

export interface Runs {
  runs: Run[];
  started: { name: string; job: Job | null }[];
  recipes: { name: string; about: string; stages: string[] }[];
}

export const getSummary = () => getJson<FeedbackSummary>("/api/feedback/summary");
export const getImprovement = () => getJson<Improvement>("/api/improve");
export const startImprovement = (method: string, any_weights: boolean) =>
  postJson<Improvement>("/api/improve", { method, any_weights });
export const stopImprovement = () => postJson<Improvement>("/api/improve/stop", {});
export const getVersions = () => getJson<Versions>("/api/versions");
export const decide = (name: string, action: "promote" | "rollback", reason: string) =>
  postJson<Versions>(`/api/versions/${encodeURIComponent(name)}/${action}`, { reason });
export const startCanary = (name: string) => postJson<Versions>(`/api/versions/${encodeURIComponent(name)}/canary`, {});
export const endCanary = () => postJson<Versions>("/api/canary/end", {});

const runPath = (id: string) => `/api/runs/${id.split("/").map(encodeURIComponent).join("/")}`;
export const getRuns = () => getJson<Runs>("/api/runs");
export const getRun = (id: string) => getJson<RunDetail>(runPath(id));
export const reportPath = (id: string) => `${runPath(id)}/report`;
export const startRecipe = (recipe: string, is_smoke: boolean) => postJson("/api/runs", { recipe, is_smoke });
export const changeRecipe = (name: string, action: "stop" | "resume") =>
  postJson(`/api/runs/${encodeURIComponent(name)}/${action}`, {});
