// Whether a key belongs to a field, or to the browser, and not to the ranking.
export function isTyping(event: KeyboardEvent): boolean {
  const { target } = event;
  const isInField = target instanceof HTMLElement && target.matches("input, textarea, select");
  return isInField || event.isComposing || event.ctrlKey || event.metaKey || event.altKey;
}
