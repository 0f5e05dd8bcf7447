// What the server says about the build and the served models.
import type { View } from "../state/route.svelte.ts";
import { getJson } from "./http.ts";

export interface Sample {
  prompt: string;
  reply: string;
  step: number;
}

export interface Status {
  state: "building" | "opening" | "ready" | "failed";
  stage: string;
  fraction: number | null;
  seconds_left: number | null;
  message: string;
  loss_curve: [number, number | null][];
  samples: Sample[];
  can_chat: boolean;
  model: string; // description of the model that replies
  model_number: number;
  views?: View[]; // the views that this server has beside the conversation
}

export interface ModelVersion {
  name: string;
  id: string;
  weights: string;
  method: string | null;
  state: string;
}

export interface ModelCard {
  id: string;
  chatwright?: {
    task: string;
    weights: string | null;
    version: string | null;
    versions: ModelVersion[];
    context_length: number;
  };
}

export const getStatus = () => getJson<Status>("/api/status");

export async function getModels(): Promise<ModelCard[]> {
  const { data } = await getJson<{ data: ModelCard[] }>("/v1/models");
  return data.filter((card) => (card.chatwright?.task ?? "generate") === "generate");
}
