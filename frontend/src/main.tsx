import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./ui/base.css";
import { App } from "./app.tsx";
import { begin } from "./session/session.ts";
import { watchLooks } from "./ui/stale.ts";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
watchLooks(document);
void begin();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
