/** A client on a clock of the tests', with a gateway in memory. */

import { type About, type Gap, type Options, type Store, type Tidings, createClient, memoryStore } from "../src/index.js";
import { Gateway } from "./model.js";
import { Chance, World } from "./world.js";

export class Setup {
  readonly world = new World();
  readonly chance: Chance;
  readonly gateway: Gateway;
  readonly store: Store = memoryStore();
  readonly received: unknown[] = [];
  readonly gaps: Gap[] = [];
  readonly states: string[] = [];
  readonly errors: unknown[] = [];
  readonly client: Tidings;
  /** Tells the client that the network is back. */
  awake: () => void = () => undefined;

  constructor(options: Partial<Options> = {}, seed = 1) {
    this.chance = new Chance(seed);
    this.gateway = new Gateway(this.world, this.chance);
    this.client = this.another(options);
  }

  /** A client on the same clock, gateway and store, as after a reload. */
  another(options: Partial<Options> = {}): Tidings {
    const { world, store, gateway, chance } = this;
    const client = createClient({
      url: "ws://gateway/api/ws",
      token: () => token({ sub: "ada" }),
      connect: gateway.connect,
      now: () => world.now,
      random: chance.next,
      unique: world.unique,
      setTimeout: world.setTimeout,
      clearTimeout: world.clearTimeout,
      onAwake: (listener) => {
        this.awake = listener;
        return () => undefined;
      },
      store,
      ...options,
    });
    client.onMessage((message) => this.received.push(message));
    client.onGap((gap) => this.gaps.push(gap));
    client.onError((error) => this.errors.push(error));
    client.onState(() => this.states.push(client.state.name));
    return client;
  }

  /** The connection that is there. */
  get connection() {
    const [connection, more] = [...this.gateway.connections];
    if (!connection || more) throw new Error(`${String(this.gateway.connections.size)} connections, expected one`);
    return connection;
  }

  /** Opens the client, and waits until it is live. */
  async live(): Promise<this> {
    this.client.open();
    await this.until(() => this.client.state.name === "live");
    return this;
  }

  /** Lets time pass until something holds; fails after a day. */
  async until(holds: () => boolean): Promise<void> {
    const end = this.world.now + 86_400_000;
    await this.world.advance(0);
    while (!holds()) {
      if (this.world.now > end) throw new Error(`it does not happen; the client is ${JSON.stringify(this.client.state)}`);
      await this.world.advance(50);
    }
  }
}

/** A token with these claims, which nobody verifies. */
export function token(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ tenant: "ops", ...claims })}.x`;
}

export type { About };
