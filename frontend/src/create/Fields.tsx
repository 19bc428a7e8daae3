import type { ReactNode } from "react";
import type { Draft, Errors, Field } from "./booking.ts";

/** What every field of the form is given. */
export type Form = {
  draft: Draft;
  errors: Errors;
  change: (part: Partial<Draft>) => void;
  leave: (field: Field) => void;
};

type TextField = { [F in Field]: Draft[F] extends string ? F : never }[Field];

type Common = { form: Form; name: TextField; label: string; hint?: string };

/** Label, control and one line that holds either the hint or the complaint, so that nothing moves. */
function Row({ form, name, label, hint, children }: Common & { children: ReactNode }) {
  const error = form.errors[name];
  return (
    <div className={`field field-${name}`}>
      <label htmlFor={name}>{label}</label>
      {children}
      <p id={`${name}-note`} className={error ? "note wrong" : "note"}>
        {error ?? hint}
      </p>
    </div>
  );
}

function control({ form, name }: Common) {
  return {
    id: name,
    name,
    value: form.draft[name],
    onBlur: () => form.leave(name),
    "aria-invalid": form.errors[name] ? (true as const) : undefined,
    "aria-describedby": `${name}-note`,
  };
}

type InputProps = Common & { type?: "text" | "date" | "number"; min?: number; max?: number; disabled?: boolean };

export function Input({ type = "text", min, max, disabled, ...common }: InputProps) {
  const { form, name } = common;
  return (
    <Row {...common}>
      <input
        {...control(common)}
        type={type}
        min={min}
        max={max}
        disabled={disabled}
        inputMode={type === "number" ? "numeric" : undefined}
        autoComplete="off"
        onChange={(event) => form.change({ [name]: event.target.value })}
      />
    </Row>
  );
}

type SelectProps = Common & { options: readonly (readonly [value: string, label: string])[]; disabled?: boolean };

export function Select({ options, disabled, ...common }: SelectProps) {
  const { form, name } = common;
  return (
    <Row {...common}>
      <select {...control(common)} disabled={disabled} onChange={(event) => form.change({ [name]: event.target.value })}>
        {options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </Row>
  );
}
