/** A clock that tests move: everything that waits is run in its order, and no test waits for real time. */

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** Lets every promise that can go on do so. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class World {
  now = 1_700_000_000_000;
  #timers: Timer[] = [];
  #number = 0;

  readonly setTimeout = (run: () => void, after: number): unknown => {
    const timer = { at: this.now + Math.max(after, 0), run };
    // Behind all that are due at the same time.
    const place = this.#timers.findIndex((other) => other.at > timer.at);
    this.#timers.splice(place < 0 ? this.#timers.length : place, 0, timer);
    return timer;
  };

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers = this.#timers.filter((other) => other !== timer);
  };

  readonly unique = (): string => `id-${String((this.#number += 1))}`;

  /** Moves the clock, and runs what is due meanwhile. */
  async advance(time: number): Promise<void> {
    await settle();
    const end = this.now + time;
    for (let next = this.#timers[0]; next && next.at <= end; next = this.#timers[0]) {
      this.#timers.shift();
      this.now = Math.max(this.now, next.at);
      next.run();
      await settle();
    }
    this.now = end;
  }
}

/** Numbers from a seed, always the same (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }
}
