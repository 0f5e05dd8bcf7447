// Probabilities as text.
import { formatNumber } from "../state/language.svelte.ts";

export function percent(share: number): string {
  if (share > 0 && share < 0.0001) return `< ${formatNumber(0.01, 2)} %`;
  return `${formatNumber(100 * share, share < 0.1 ? 2 : 1)} %`;
}
