// The reader's own small model, and the answers of a class, on a server that keeps them.
import { getJson, postJson, send } from "../api/http.ts";
import type { Job } from "../api/teach.ts";
import type { Answer, Answers } from "./lessons.ts";

export interface OwnModelState {
  name: string; // by which requests ask for it
  has_model: boolean;
  settings: { layers: number; steps: number; seed: number } | null;
  place: number | null; // trainings before this one, which waits
  job: Job | null;
  limits: { max_steps: number; max_layers: number };
}

export interface OwnSettings {
  layers: number;
  steps: number;
  seed: number;
}

export const getOwnModel = () => getJson<OwnModelState>("/api/lessons/model");
export const trainOwnModel = (settings: OwnSettings) => postJson<OwnModelState>("/api/lessons/model", settings);
export const stopTraining = () => postJson<OwnModelState>("/api/lessons/model/stop", {});

export const isWaiting = (state: OwnModelState): boolean => state.place !== null;
export const isTraining = (state: OwnModelState): boolean => state.job?.state === "running";

// How much of a training is done, from 0 to 1: half as many steps on conversations follow those on texts.
export function trainedShare({ job, settings }: OwnModelState): number {
  const progress = job?.progress;
  if (!progress || !settings) return 0;
  const first = settings.steps;
  const all = first + Math.max(1, Math.floor(first / 2));
  return Math.min(1, (progress.step + (progress.stage === "sft" ? first : 0)) / all);
}

interface ServerAnswer {
  before: number | null;
  after: number | null;
  checked: boolean;
}

export async function getAnswers(): Promise<Answers> {
  const { answers } = await getJson<{ answers: Record<string, ServerAnswer> }>("/api/lessons/answers");
  return Object.fromEntries(Object.entries(answers).map(([id, { checked, ...rest }]) => [id, { ...rest, hasChecked: checked }]));
}

export async function putAnswer(lesson: string, { before, after, hasChecked }: Answer): Promise<void> {
  await send("PUT", `/api/lessons/answers/${lesson}`, { before, after, checked: hasChecked });
}

export const getClassEffect = () => getJson<unknown>("/api/lessons/effect");
