import { Component, type ReactNode } from "react";

type Props = { children: ReactNode };

export class ErrorBoundary extends Component<Props, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <section className="page" role="alert">
        <h1>This page broke</h1>
        <p>
          <code>{this.state.error.message}</code>
        </p>
        <p>
          <a href={window.location.pathname}>Load it again</a>. The suite itself is not affected.
        </p>
      </section>
    );
  }
}
