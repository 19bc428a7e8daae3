"""What every HTTP service shares: app builder, server, problems, auth, body limits, client."""
