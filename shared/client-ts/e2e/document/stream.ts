// What the uploads document's code reads from and names without showing it.
import { EventEmitter } from "node:events";

export const stream = new EventEmitter();
export const userId = "ada";
export const mocId = "moc-1";
