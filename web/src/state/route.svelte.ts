// Which view the page shows: the conversation, or the one that the address names (#/teach).
export const VIEWS = ["rate", "teach", "runs"] as const;
export type View = (typeof VIEWS)[number];

// The view that the address names; null for a conversation.
export const addressedView = (): View | null => VIEWS.find((view) => location.hash === `#/${view}`) ?? null;

export const route = $state({ view: addressedView() });

export function followAddress(): () => void {
  const follow = () => (route.view = addressedView());
  addEventListener("hashchange", follow);
  return () => removeEventListener("hashchange", follow);
}
