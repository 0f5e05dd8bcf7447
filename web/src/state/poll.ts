// Call a function now and then again and again, with a pause between; returns a function that stops.
export function poll(look: () => Promise<void>, pause: () => number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  async function turn(): Promise<void> {
    await look();
    if (!isOver) timer = setTimeout(turn, pause());
  }
  void turn();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
