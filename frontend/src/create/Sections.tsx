import { BACKENDS, BACKEND_NAMES, type Backend, STEPS } from "../api.ts";
import { MAX_AMOUNT, PRESETS, PRIORITIES, ROOM_TYPES, isPreset, nights } from "./booking.ts";
import { type Form, Input, Select } from "./Fields.tsx";

const same = (values: readonly string[]) => values.map((value) => [value, value] as const);
const ROOMS = same(ROOM_TYPES);
const LEVELS = same(PRIORITIES);
const FAILURES = [["", "no step"] as const, ...STEPS.map((step) => [step.name, step.title] as const)];

export function Stay({ form }: { form: Form }) {
  const stay = nights(form.draft);
  return (
    <fieldset>
      <legend>The stay</legend>
      <div className="grid">
        <Input form={form} name="userId" label="User" />
        <Input form={form} name="hotelId" label="Hotel" />
        <Input form={form} name="checkIn" label="Check-in" type="date" />
        <Input
          form={form}
          name="checkOut"
          label="Check-out"
          type="date"
          hint={stay ? `${stay} night${stay === 1 ? "" : "s"}` : ""}
        />
        <Input form={form} name="guests" label="Guests" type="number" min={1} max={10} />
        <Select form={form} name="roomType" label="Room" options={ROOMS} />
      </div>
    </fieldset>
  );
}

function Backends({ form }: { form: Form }) {
  const { draft, errors } = form;
  const toggle = (backend: Backend, on: boolean) =>
    form.change({ backends: BACKENDS.filter((each) => (each === backend ? on : draft.backends.includes(each))) });
  return (
    <div className="field wide" role="group" aria-labelledby="backends-label" aria-describedby="backends-note">
      <span id="backends-label" className="label">
        Backends
      </span>
      <div className="chips">
        {BACKENDS.map((backend) => (
          <label key={backend} className={`chip lane-${backend}`}>
            <input
              type="checkbox"
              name="backends"
              value={backend}
              checked={draft.backends.includes(backend)}
              onChange={(event) => toggle(backend, event.target.checked)}
            />
            {BACKEND_NAMES[backend]}
          </label>
        ))}
      </div>
      <p id="backends-note" className={errors.backends ? "note wrong" : "note"}>
        {errors.backends ?? "With several, they race: each effect still happens once"}
      </p>
    </div>
  );
}

export function Queueing({ form }: { form: Form }) {
  return (
    <fieldset>
      <legend>How it is queued</legend>
      <div className="grid">
        <Backends form={form} />
        <Select form={form} name="priority" label="Priority" options={LEVELS} />
        <Input form={form} name="delaySeconds" label="Delay (s)" type="number" min={0} hint="0: at once" />
        <Input form={form} name="orderingKey" label="Ordering key" hint="one of a key at a time" />
      </div>
    </fieldset>
  );
}

const SPREADS = [
  ["race", "on every chosen backend"],
  ["turns", "on one each, in turn"],
] as const;

export function Amount({ form }: { form: Form }) {
  const { draft } = form;
  const several = Number(draft.amount) > 1;
  return (
    <fieldset>
      <legend>How many</legend>
      <div className="presets" role="group" aria-label="Ready-made amounts">
        {["1", "20", "200", "2000"].map((amount) => (
          <button key={amount} type="button" aria-pressed={draft.amount === amount} onClick={() => form.change({ amount })}>
            {amount === "1" ? "One" : Number(amount).toLocaleString("en")}
          </button>
        ))}
      </div>
      <div className="grid amount">
        <Input form={form} name="amount" label="Bookings" type="number" min={1} max={MAX_AMOUNT} />
        <Select
          form={form}
          name="spread"
          label="Each runs"
          options={SPREADS}
          disabled={!several}
          hint={several ? "another user and other nights each" : ""}
        />
      </div>
    </fieldset>
  );
}

export function Faults({ form }: { form: Form }) {
  const { draft } = form;
  const preset = PRESETS.find((each) => isPreset(each, draft));
  return (
    <fieldset>
      <legend>Break it on purpose</legend>
      <div className="presets" role="group" aria-label="Ready-made faults" aria-describedby="preset-note">
        {PRESETS.map((each) => (
          <button key={each.name} type="button" aria-pressed={each === preset} onClick={() => form.change(each.change)}>
            {each.name}
          </button>
        ))}
      </div>
      <p id="preset-note" className="note" role="status">
        {preset ? `${preset.name}: ${preset.does}` : "Your own mixture"}
      </p>
      <div className="grid">
        <Select form={form} name="failAt" label="Fail at" options={FAILURES} />
        <Input
          form={form}
          name="times"
          label="Times"
          type="number"
          min={1}
          max={10}
          disabled={!draft.failAt}
          hint="attempts that fail"
        />
        <Input form={form} name="slowMs" label="Slower by (ms)" type="number" min={0} max={60_000} />
        <div className="field">
          <span className="label" aria-hidden="true">
            Fail how
          </span>
          <label className="chip">
            <input type="checkbox" checked={draft.crash} onChange={(event) => form.change({ crash: event.target.checked })} />
            crash
          </label>
        </div>
      </div>
    </fieldset>
  );
}
