/* Written by `make openapi` from docs/openapi. */

export interface AcceptedBooking {
  bookingId: string;
  queues: {
    [k: string]: AcceptedLeg;
  };
  links: Links;
}
export interface AcceptedLeg {
  jobId?: string;
  messageId?: string;
  status: "pending" | "queued" | "delayed" | "active" | "retrying" | "completed" | "dead" | "cancelling" | "cancelled";
  receipt?: {
    [k: string]: unknown;
  };
}
export interface Links {
  self: string;
  status: string;
  events: string;
  confirmation: string;
}
export interface BatchAnswer {
  accepted: number;
  refused: number;
  items: BatchItem[];
}
/**
 * `error` and `errors` where it was refused, the others where it was accepted.
 */
export interface BatchItem {
  index: number;
  status: "accepted" | "refused";
  bookingId?: string;
  queues?: {
    [k: string]: AcceptedLeg;
  };
  links?: Links;
  error?: string;
  errors?: {
    [k: string]: string;
  }[];
}
export interface BookingAnswer {
  bookingId: string;
  state: "accepted" | "processing" | "confirmed" | "rejected" | "failed" | "cancelling" | "cancelled";
  status: {
    [k: string]: LegAnswer;
  };
  effects: {
    [k: string]: EffectAnswer;
  };
  compensation: Compensation | null;
  userId?: string;
  hotelId?: string;
  checkIn?: string;
  checkOut?: string;
  guests?: number;
  roomType?: string;
  simulate?: {
    [k: string]: unknown;
  };
  createdAt: string;
  priority: string;
  delaySeconds: number;
  result: BookingResult | null;
  links: Links;
}
/**
 * A job on one backend. `due`: when it goes on, of one that waits for its time. `limitedBy`: the limit that holds
 * it up: a backend, `type:` and a type, or `rateLimit` for its own.
 */
export interface LegAnswer {
  state: "pending" | "queued" | "delayed" | "active" | "retrying" | "completed" | "dead" | "cancelling" | "cancelled";
  progress: number;
  attempts: number;
  step: string | null;
  worker: string | null;
  timestamps: Timestamps;
  due: string | null;
  limitedBy: string | null;
  error: string | null;
  receipt: {
    [k: string]: unknown;
  } | null;
  result: unknown;
  generation: number;
}
export interface Timestamps {
  enqueued: string | null;
  started: string | null;
  finished: string | null;
}
/**
 * Which leg did the step, and when.
 */
export interface EffectAnswer {
  by: string;
  at: string | null;
}
/**
 * What was given back, in cents, and whether a mail told so.
 */
export interface Compensation {
  at: string | null;
  refunded?: number;
  mailed?: boolean;
}
export interface BookingResult {
  bookingId: string;
  status: "confirmed";
  confirmedAt: string;
  confirmationNumber: string;
  workerId: string | null;
}
/**
 * Each item is validated by itself, and may be as large as a booking that is sent alone.
 */
export interface BookingBatch {
  /**
   * Bookings, as each would be sent alone.
   *
   * @minItems 1
   * @maxItems 1000
   */
  bookings: unknown[];
}
export interface BookingPage {
  items: BookingAnswer[];
  nextCursor: string | null;
}
export interface BookingStatus {
  bookingId: string;
  state: "accepted" | "processing" | "confirmed" | "rejected" | "failed" | "cancelling" | "cancelled";
  status: {
    [k: string]: LegAnswer;
  };
  effects: {
    [k: string]: EffectAnswer;
  };
  compensation: Compensation | null;
}
export interface Cancelling {
  bookingId: string;
  state: "cancelling";
  links: Links;
}
/**
 * A member that is not named stays; null goes back to what the settings say. `paused` is of backends: a paused one
 * starts nothing, on no worker, until it is resumed. `outstanding` is of backends and tenants, and all that tenants
 * have.
 */
export interface Change {
  concurrency?: number | null;
  rate?: Rate | null;
  outstanding?: number | null;
  paused?: boolean | null;
}
/**
 * At most `max` starts in any `durationMs`.
 */
export interface Rate {
  max: number;
  durationMs: number;
}
/**
 * By scope: a backend, `type:` and a job type, `tenant:` and a tenant, `tenant` for those without their own.
 */
export interface Changes {
  [k: string]: Change;
}
export interface DelayedAnswer {
  bookingId: string;
  queues: {
    [k: string]: AcceptedLeg;
  };
  links: Links;
  delaySeconds: number;
  scheduledFor: string;
  jobId: string;
  message: string;
}
/**
 * A booking that is run `delaySeconds` from now: by default on RQ.
 */
export interface DelayedBooking {
  userId: string;
  hotelId: string;
  checkIn: string;
  checkOut: string;
  guests?: number;
  roomType?: "standard" | "deluxe" | "suite" | "presidential";
  simulate?: Simulate | null;
  /**
   * @minItems 1
   */
  backends?: ("rq" | "redisStreams" | "kafka")[];
  priority?: "low" | "normal" | "high" | "critical" | 5 | 10 | 15 | 20;
  delaySeconds?: number;
  /**
   * Jobs of one key run one at a time, in order, on each backend.
   */
  orderingKey?: string | null;
}
/**
 * Faults a learner asks for: the first `times` attempts fail (or crash the worker) at the step `failAt`;
 * `slowMs` makes that step (or, without one, every step) that much slower. Until the job is redriven.
 */
export interface Simulate {
  failAt?: ("validate" | "payment" | "document" | "mail" | "inventory") | null;
  times?: number;
  slowMs?: number;
  crash?: boolean;
}
export interface DiscardedLetter {
  id: string;
  backend: "rq" | "redisStreams" | "kafka";
  outcome: "discarded";
}
export interface DiscardedLetters {
  discarded: number;
  refused: number;
  items: LetterOutcome[];
  nextCursor: string | null;
}
export interface LetterOutcome {
  backend: "rq" | "redisStreams" | "kafka";
  id: string;
  outcome: "redriven" | "discarded" | "refused";
  state?: "pending" | "queued" | "delayed" | "active" | "retrying" | "completed" | "dead" | "cancelling" | "cancelled";
  error?: string;
}
export interface InspectedLetter {
  id: string;
  backend: "rq" | "redisStreams" | "kafka";
  type: string;
  error: string | null;
  attempts: number;
  redrives: number;
  failedAt: string | null;
  createdAt: string;
  step: string | null;
  worker: string | null;
  data: {
    [k: string]: unknown;
  };
  readable: boolean;
  links: LetterLinks;
  options: {
    [k: string]: unknown;
  };
  receipt: {
    [k: string]: unknown;
  } | null;
  legs: {
    [k: string]:
      "pending" | "queued" | "delayed" | "active" | "retrying" | "completed" | "dead" | "cancelling" | "cancelled";
  };
  timeline: unknown[];
}
export interface LetterLinks {
  self: string;
}
/**
 * A leg that died. `readable` false: what lay on the broker is no job; it needs a type before it can run.
 */
export interface LetterAnswer {
  id: string;
  backend: "rq" | "redisStreams" | "kafka";
  type: string;
  error: string | null;
  attempts: number;
  redrives: number;
  failedAt: string | null;
  createdAt: string;
  step: string | null;
  worker: string | null;
  data: {
    [k: string]: unknown;
  };
  readable: boolean;
  links: LetterLinks;
}
export interface LetterPage {
  items: LetterAnswer[];
  nextCursor: string | null;
}
/**
 * Of a tenant `outstanding` alone; `paused` of backends. `waiting`: jobs in its line, on all backends. `running`:
 * those that hold a place, of a `concurrency` alone.
 */
export interface LimitAnswer {
  concurrency?: number | null;
  rate?: RateAnswer | null;
  waiting?: number;
  running?: number;
  outstanding?: number | null;
  paused?: boolean;
}
export interface RateAnswer {
  max: number;
  durationMs: number;
}
export interface LimitsAnswer {
  limits: {
    [k: string]: LimitAnswer;
  };
}
/**
 * Either the named letters, or those that match, newest first, up to `limit`.
 */
export interface Many {
  items?: Which[] | null;
  matching?: Matching | null;
  limit?: number;
  /**
   * `nextCursor` of the answer before: what is refused stays
   */
  cursor?: string | null;
}
export interface Which {
  backend: "rq" | "redisStreams" | "kafka";
  id: string;
}
export interface Matching {
  backend?: ("rq" | "redisStreams" | "kafka") | null;
  type?: string | null;
  q?: string;
}
/**
 * A booking, and how it is to be run: by default on all three backends, at once.
 */
export interface NewBooking {
  userId: string;
  hotelId: string;
  checkIn: string;
  checkOut: string;
  guests?: number;
  roomType?: "standard" | "deluxe" | "suite" | "presidential";
  simulate?: Simulate | null;
  /**
   * @minItems 1
   */
  backends?: ("rq" | "redisStreams" | "kafka")[];
  priority?: "low" | "normal" | "high" | "critical" | 5 | 10 | 15 | 20;
  delaySeconds?: number;
  /**
   * Jobs of one key run one at a time, in order, on each backend.
   */
  orderingKey?: string | null;
}
/**
 * Without a `tenant` it sees what everybody's is; with one, only what that tenant's keys have sent.
 */
export interface NewKey {
  name: string;
  tenant?: string | null;
  /**
   * @minItems 1
   */
  scopes: ("bookings:read" | "bookings:write" | "ops:read" | "ops:write")[];
}
export interface NewSession {
  apiKey: string;
}
/**
 * How many rooms of a type a hotel has in the nights from `checkIn` to the one before `checkOut`.
 */
export interface NewTotal {
  roomType?: "standard" | "deluxe" | "suite" | "presidential";
  checkIn: string;
  checkOut: string;
  total: number;
}
/**
 * `to`: another backend. `data`: the payload in place of the old one; `type` goes with it, for what was no job.
 */
export interface Redrive {
  to?: ("rq" | "redisStreams" | "kafka") | null;
  type?: ("booking" | "noop") | null;
  data?: {
    [k: string]: unknown;
  } | null;
}
export interface RedriveMany {
  items?: Which[] | null;
  matching?: Matching | null;
  limit?: number;
  /**
   * `nextCursor` of the answer before: what is refused stays
   */
  cursor?: string | null;
  to?: ("rq" | "redisStreams" | "kafka") | null;
}
export interface RedrivenLetter {
  id: string;
  backend: "rq" | "redisStreams" | "kafka";
  state: "pending" | "queued" | "delayed" | "active" | "retrying" | "completed" | "dead" | "cancelling" | "cancelled";
  receipt: {
    [k: string]: unknown;
  } | null;
}
export interface RedrivenLetters {
  redriven: number;
  refused: number;
  items: LetterOutcome[];
  nextCursor: string | null;
}
/**
 * `tenant` and `scopes` are of the key that this browser came with; "": no tenant's, it sees everybody's.
 */
export interface SessionAnswer {
  required: boolean;
  expiresAt: string | null;
  tenant: string;
  scopes: string[];
}
export interface Problem {
  type: string;
  code: string;
  title: string;
  status: number;
  detail: string;
  error: string;
  traceId: string;
  errors?: {
    field: string;
    message: string;
    code: string;
  }[];
}
