import { type ReactNode, type Ref, useEffect, useRef, useState } from "react";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { navigate, withQuery } from "../route.ts";

const PAUSE_MS = 300;

type Choice = { name: string; label: string; query: URLSearchParams; path: string; children: ReactNode };

const filtered = (path: string, query: URLSearchParams, change: Record<string, string>) =>
  navigate(withQuery(path, query, { ...change, cursor: "" }), { replace: true });

export function Choose({ name, label, query, path, children }: Choice) {
  const change = (value: string) => filtered(path, query, { [name]: value });
  return (
    <div className="filter">
      <label htmlFor={`filter-${name}`}>{label}</label>
      <select id={`filter-${name}`} value={query.get(name) ?? ""} onChange={(event) => change(event.target.value)}>
        {children}
      </select>
    </div>
  );
}

export function ChooseBackend({ query, path }: { query: URLSearchParams; path: string }) {
  return (
    <Choose name="backend" label="Backend" query={query} path={path}>
      <option value="">all</option>
      {BACKENDS.map((backend) => (
        <option key={backend} value={backend}>
          {BACKEND_NAMES[backend]}
        </option>
      ))}
    </Choose>
  );
}

type SearchProps = {
  query: URLSearchParams;
  path: string;
  label: string;
  hint: string;
  field: Ref<HTMLInputElement>;
};

/** Searches while one types, after a pause; the address follows. */
export function Search({ query, path, label, hint, field }: SearchProps) {
  const asked = query.get("q") ?? "";
  const [typed, setTyped] = useState(asked);
  const [last, setLast] = useState(asked);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  if (asked !== last) {
    setLast(asked);
    if (asked !== typed.trim()) setTyped(asked);
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  const now = (value: string) => {
    clearTimeout(timer.current);
    filtered(path, new URLSearchParams(window.location.search), { q: value.trim() });
  };
  const type = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(now, PAUSE_MS, value);
  };
  return (
    <div className="filter wide">
      <label htmlFor="filter-q">{label}</label>
      <input
        id="filter-q"
        ref={field}
        type="search"
        value={typed}
        maxLength={100}
        placeholder={hint}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => type(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && now(typed)}
      />
    </div>
  );
}
