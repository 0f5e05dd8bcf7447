// A stored run: what a model answered to the checks of the lessons, so that each opens at once.
// web/record_lessons.py writes it.
import { answerInstead, getJson } from "../api/http.ts";

export const STORED = "stored-run"; // the model that requests of a stored run name

interface StoredRun {
  model: string; // which model answered
  answers: { path: string; body: unknown; answer: unknown }[];
}

// The text of a request without the model, which a stored run replaces.
const key = (path: string, body: unknown): string => path + JSON.stringify(body, (name, value: unknown) => (name === "model" ? undefined : value));

// Load the stored run; return the name of its model.
export async function loadStoredRun(): Promise<string> {
  const { model, answers } = await getJson<StoredRun>("/lessons/stored.json");
  const found = new Map(answers.map(({ path, body, answer }) => [key(path, body), answer]));
  answerInstead(STORED, (path, body) => found.get(key(path, body)));
  return model;
}
