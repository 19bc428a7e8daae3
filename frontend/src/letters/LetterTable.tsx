import type { Ref } from "react";
import { SHORT_NAMES, text } from "../api.ts";
import { SelectAll } from "../jobs/SelectAll.tsx";
import type { Selection } from "../jobs/useSelection.ts";
import { letterPath } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { JobId, When } from "../ui/Short.tsx";
import { useNow } from "../ui/useNow.ts";
import { keyOf } from "./BulkLetters.tsx";
import type { Letter } from "./api.ts";

type RowProps = { letter: Letter; selection: Selection; now: number };

function LetterRow({ letter, selection, now }: RowProps) {
  const key = keyOf(letter);
  const who = [text(letter.data["userId"]), text(letter.data["hotelId"])].filter(Boolean).join(" · ");
  return (
    <tr className={selection.has(key) ? "chosen" : undefined}>
      <td className="tick">
        <label>
          <input
            type="checkbox"
            checked={selection.has(key)}
            onChange={(event) => selection.choose(key, event.target.checked)}
          />
          <span className="hidden">
            Select letter {letter.id.slice(0, 8)} of {SHORT_NAMES[letter.backend]}
          </span>
        </label>
      </td>
      <th scope="row">
        <Link to={letterPath(letter.backend, letter.id)} className="row-link">
          <JobId id={letter.id} />
        </Link>
        <span className="who">{who || letter.type || "not a job"}</span>
      </th>
      <td>
        <span className={`lane-tag lane-${letter.backend}`}>{SHORT_NAMES[letter.backend]}</span>
      </td>
      <td className="reason" title={letter.error}>
        <span>{letter.error}</span>
      </td>
      <td className="aux">{letter.attempts}</td>
      <td className="aux when">
        <When at={letter.failedAt} now={now} />
      </td>
    </tr>
  );
}

type Props = { letters: Letter[]; selection: Selection; list: Ref<HTMLDivElement> };

export function LetterTable({ letters, selection, list }: Props) {
  const now = useNow(1000);
  return (
    <div ref={list} className="list-table">
      <table className="rows letters">
        <caption className="hidden">Dead letters, newest first</caption>
        <thead>
          <tr>
            <SelectAll selection={selection} />
            <th scope="col">Letter</th>
            <th scope="col">Died on</th>
            <th scope="col">Reason</th>
            <th scope="col" className="aux">
              Attempts
            </th>
            <th scope="col" className="aux when">
              When
            </th>
          </tr>
        </thead>
        <tbody>
          {letters.map((letter) => (
            <LetterRow key={keyOf(letter)} letter={letter} selection={selection} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
