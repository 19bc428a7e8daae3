import { ServerResponse } from "node:http";
import react from "@vitejs/plugin-react";
import { type ProxyOptions, defineConfig } from "vite";

const env = process.env;

/** Everything the browser may do, said once. No `unsafe-inline`, nothing from another origin. */
const securityHeaders = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

/** A part of the suite behind this origin. When it cannot be reached, the page is told so as a problem, like any other. */
function part(name: string, target: string, rewrite?: (path: string) => string): ProxyOptions {
  return {
    target,
    ...(rewrite ? { rewrite } : {}),
    configure(proxy) {
      // An event stream cut off behind the proxy would look alive in front of it for ever.
      proxy.on("proxyRes", (answer, _request, response) => {
        answer.on("close", () => {
          if (!answer.complete) response.destroy();
        });
      });
      proxy.on("error", (_error, _request, response) => {
        if (!(response instanceof ServerResponse) || response.headersSent) return;
        response.writeHead(502, { "Content-Type": "application/problem+json" });
        response.end(
          JSON.stringify({
            type: "about:blank",
            code: "unreachable",
            title: `The ${name} cannot be reached`,
            status: 502,
            error: `The ${name} cannot be reached`,
          }),
        );
      });
    },
  };
}

const proxy: Record<string, ProxyOptions> = {
  "^/api/": part("gateway", env["API_URL"] || "http://127.0.0.1:3000"),
  "^/monitoring/": part("monitoring service", env["MONITORING_URL"] || "http://127.0.0.1:3004", (path) =>
    path.replace(/^\/monitoring/, ""),
  ),
};

const place = {
  host: env["BIND_HOST"] || "127.0.0.1",
  port: Number(env["FRONTEND_PORT"] || 5173),
  strictPort: true,
  cors: false,
  proxy,
};

export default defineConfig({
  plugins: [react()],
  server: place,
  // The gateway and monitoring say which names the suite has; the files themselves are no secret.
  preview: { ...place, headers: securityHeaders, allowedHosts: true },
  build: { target: "baseline-widely-available", assetsInlineLimit: 0 },
});
