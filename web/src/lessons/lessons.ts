// The lessons, and the learner's answers, which stay in this browser.
import { getJson } from "../api/http.ts";
import { readStored, writeStored } from "../state/preferences.svelte.ts";

export interface Lesson {
  id: string;
  title: string;
  text: string[];
  task: string;
  question: { text: string; options: string[]; answer: number };
}

export interface Answer {
  before: number | null; // the chosen option
  after: number | null;
  hasChecked: boolean; // whether the check was run
}

export type Answers = Record<string, Answer>;

export const loadLessons = (language: string): Promise<Lesson[]> => getJson(`/lessons/${language}.json`);

export const readAnswers = (): Answers => readStored<Answers>("lessons", {});
export const writeAnswers = (answers: Answers): void => writeStored("lessons", answers);
export const noAnswer = (): Answer => ({ before: null, after: null, hasChecked: false });

// The answers as a file, for a class: whether each was right before and after the lesson.
export function exportAnswers(lessons: Lesson[], answers: Answers, model: string): string {
  const rows = lessons.map(({ id, question }) => {
    const { before, after, hasChecked } = answers[id] ?? noAnswer();
    const isRight = (option: number | null) => (option === null ? null : option === question.answer);
    return { lesson: id, before: isRight(before), after: isRight(after), checked: hasChecked };
  });
  return JSON.stringify({ chatwright_lessons: 1, model, answers: rows }, null, 2);
}
