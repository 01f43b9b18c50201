"""A small service with scoped API keys and an audit log; it knows nothing of tracing or of otel-keyaudit."""
