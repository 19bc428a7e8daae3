import { BACKENDS, BACKEND_NAMES, type Backend, toBackend } from "../api.ts";

type Props = { id: string; value: Backend | ""; change: (to: Backend | "") => void; own?: Backend };

/** Where it is to run again; `""`: where it died. */
export function BackendSelect({ id, value, change, own }: Props) {
  return (
    <select id={id} value={value} onChange={(event) => change(toBackend(event.target.value) ?? "")}>
      <option value="">{own ? `${BACKEND_NAMES[own]}, where it died` : "where each died"}</option>
      {BACKENDS.filter((backend) => backend !== own).map((backend) => (
        <option key={backend} value={backend}>
          {BACKEND_NAMES[backend]}
        </option>
      ))}
    </select>
  );
}
