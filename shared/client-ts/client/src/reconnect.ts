/** When to connect again: what a close code demands, and how long to wait. Pure. */

/** How long to wait before each attempt, and how many attempts in a row may fail. */
export interface Reconnect {
  /** Milliseconds before the first, second and so on; the last counts for all others. */
  readonly delays?: readonly number[];
  /** Instead of these delays, any time up to `base`, doubled after each failure, and at most `cap`. */
  readonly jitter?: { readonly base: number; readonly cap: number };
  /** How many attempts in a row may fail; endless, unless given. */
  readonly attempts?: number;
}

/** 3, 6, 12, 24 and 48 seconds. */
export const DELAYS: readonly number[] = [3000, 6000, 12_000, 24_000, 48_000];

/** The time before the attempt that follows so many failures; nothing, if there is none. */
export function delayAfter(failures: number, plan: Reconnect, random: () => number): number | undefined {
  if (failures > (plan.attempts ?? Infinity)) return undefined;
  const { jitter, delays = DELAYS } = plan;
  if (jitter) return random() * Math.min(jitter.cap, jitter.base * 2 ** (failures - 1));
  return delays[Math.min(failures, delays.length) - 1] ?? 0;
}

/**
 * What follows from a close code.
 *
 * - `again`: connect again, later each time.
 * - `token`: connect again with a fresh token; the same one again means that the user has to log in.
 * - `moved`: connect again at once; nothing has failed.
 * - `never`: stay closed.
 */
export type Consequence = "again" | "token" | "moved" | "never";

/** The codes that say so: 1001, 1011 to 1014, 4000 to 4499, and 1005 and 1006, where the connection just broke. */
export function consequenceOf(code: number): Consequence {
  if (code === 4001 || code === 4006) return "token";
  if (code === 4003) return "moved";
  const isPassing = code === 1001 || code === 1005 || code === 1006 || (code >= 1011 && code <= 1014);
  return isPassing || (code >= 4000 && code < 4500) ? "again" : "never";
}
